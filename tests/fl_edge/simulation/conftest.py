"""Worlds for tests of simulations, each thrown away after its test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fl_edge.simulation.parts import NewTown, Town


@pytest.fixture
def new_town(tmp_path: Path) -> Iterator[NewTown]:
    made: list[Town] = []

    def build(**options: object) -> Town:
        made.append(Town(tmp_path / "town", **options))  # type: ignore[arg-type]
        return made[-1]

    yield build
    for town in made:
        town.close()
