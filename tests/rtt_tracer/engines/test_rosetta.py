"""Rosetta with three real parties: an operation by stages, a user's script, nothing in the open."""

import json
from pathlib import Path

import numpy as np
import pytest

from rtt_tracer.engines.rosetta import RosettaEngine
from rtt_tracer.engines.rosetta.source import bundle_script, script_source
from tests.rtt_tracer.engines.driver import AGREED, bank_tables
from tests.rtt_tracer.engines.rosetta_driver import (
    PYTHON,
    STAGES,
    RosettaRun,
    ended,
    in_the_clear,
    training,
)

pytestmark = pytest.mark.rosetta

SCRIPT = """#!/usr/bin/env python3
# Means of two institutions' columns, computed where nobody sees a row.
import sys
import numpy as np
import tensorflow as tf
import latticex.rosetta as rtt

np.set_printoptions(suppress=True)
rtt.activate("SecureNN")
mpc_player_id = rtt.py_protocol_handler.get_party_id()

file_x = "../dsets/P" + str(mpc_player_id) + "/scores_x.csv"
file_y = "../dsets/P" + str(mpc_player_id) + "/scores_y.csv"
shard_x, shard_y = rtt.PrivateDataset(data_owner=(0, 1), label_owner=1).load_data(
    file_x, file_y, header=None
)
N, DIM = shard_x.shape

X = tf.placeholder(tf.float64, [N, DIM])
Y = tf.placeholder(tf.float64, [N, 1])
mean_x = tf.reduce_mean(X, axis=0)
mean_y = tf.reduce_mean(Y, axis=0)
reveal_x = rtt.SecureReveal(mean_x)
reveal_y = rtt.SecureReveal(mean_y, 2)

with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    x, y = sess.run([reveal_x, reveal_y], feed_dict={X: shard_x, Y: shard_y})
    print("means:", x)

print(rtt.get_perf_stats(True))
rtt.deactivate()
"""


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


def test_a_tutorials_script_runs_unchanged(tmp_path: Path) -> None:
    """A user's script in the style of Rosetta's tutorials: published and run as it stands.

    Acceptance: 84
    """
    # Prepare
    place = tmp_path / "rtt_mean_score.py"
    place.write_text(SCRIPT)
    defaults = {name: spec.default for name, spec in script_source(place).parameters.items()}
    tables = bank_tables(200)
    parameters = {**defaults, "label": "y", "label-party": 1, "fraction-bits": 16}
    with RosettaRun(tmp_path, bundle_script(place), tables, parameters) as run:
        processes = run.begin_all()

        # Execute
        for process in processes:
            process.go(0)
        ends = [ended(process) for process in processes]

        # Assert
        assert all(process.wait(20) for process in processes)
        assert [process.exit_code for process in processes] == [0, 0, 0]
        assert len({end.digest for end in ends}) == 1
        assert ends[0].digest != AGREED
        rows = [np.stack([one[name] for name in sorted(one) if name != "y"], 1) for one in tables]
        wanted = np.concatenate(rows, axis=1).mean(axis=0)
        for rank in range(3):
            with np.load(run.results(rank) / "values.npz") as found:
                values = dict(found)
            assert np.abs(values["reveal_0"].ravel() - wanted).max() < 1e-3
            assert ("reveal_1" in values) is (rank == 1)
            assert not list(run.results(rank).glob("*.share"))
        with np.load(run.results(1) / "values.npz") as found:
            assert abs(float(found["reveal_1"].ravel()[0]) - tables[1]["y"].mean()) < 1e-3


def test_a_switch_lets_it_run_where_no_empty_network_can_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then it has ports of the host's, of this run alone, and may use no other."""
    # Prepare
    tables = bank_tables(100)
    with RosettaRun(tmp_path, training(tmp_path), tables) as run:
        run.engine = RosettaEngine(PYTHON, allow_unconfined=True)
        monkeypatch.setattr(run.engine, "_confined", False)
        assert run.engine.missing() is None

        # Execute
        run.run()

        # Assert
        jobs = [json.loads((run.work(rank) / "job.json").read_text()) for rank in range(3)]
        assert all(job["unconfined"] for job in jobs)
        assert len({port for job in jobs for port in job["peers"]}) == 6
        assert np.abs(run.open()["weights"] - in_the_clear(tables)).max() < 2e-3
