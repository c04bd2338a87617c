"""Files that several bundles carry: a bundle stands alone, has its own, and all are equal."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("folder", "name", "bundles"),
    [
        ("strategies", "layers.py", 7),
        ("strategies", "rounds.py", 6),
        ("strategies", "replies.py", 3),
        ("clients", "rows.py", 3),
        ("clients", "scores.py", 3),
    ],
)
def test_all_bundles_carry_the_same_file(folder: str, name: str, bundles: int) -> None:
    found = sorted((ROOT / folder).glob(f"*/{name}"))

    assert len(found) == bundles
    assert {path.read_bytes() for path in found} == {found[0].read_bytes()}
