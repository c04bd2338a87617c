"""Rosetta with three real parties: an operation by stages, a user's script, nothing in the open."""

from pathlib import Path

import numpy as np
import pytest

from tests.rtt_tracer.engines.driver import AGREED, bank_tables
from tests.rtt_tracer.engines.rosetta_driver import STAGES, RosettaRun, in_the_clear, training

pytestmark = pytest.mark.rosetta


def test_training_on_shares_equals_the_clear(tmp_path: Path) -> None:
    """Acceptance: 83, 97"""
    # Prepare
    tables = bank_tables(300)
    with RosettaRun(tmp_path, training(tmp_path), tables) as run:
        # Execute
        run.run()

        # Assert
        assert [end.digest for end in run.ends] == [AGREED] * 3
        assert len(run.checkpoints) == STAGES + 1
        assert np.abs(run.open()["weights"] - in_the_clear(tables)).max() < 2e-3
        assert all(end.metrics["bytes_sent"] > 1000 for end in run.ends)
