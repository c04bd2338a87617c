"""Words and files of an engine's process that are meant for its supervisor's undoing."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datatoken.authorization.reasons import Reason, Refused
from datatoken.errors import RunFailedError
from rtt_tracer.engines.events import EngineEvent
from rtt_tracer.engines.rosetta.results import reconstruct
from rtt_tracer.engines.spu.results import check_results, columns_of

SALT = b"s" * 32


def ready(**metrics: float) -> EngineEvent:
    return EngineEvent(event="ready", metrics=metrics)


def test_columns_of_an_honest_engine() -> None:
    found = columns_of(ready(**{"columns.0": 12, "columns.2": 1, "seconds": 0.5}))

    assert found == [12, 0, 1]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("columns.999999999999", 1),  # as many places in a list
        ("columns." + "9" * 5000, 1),
        ("columns.²", 1),
        ("columns.-1", 1),
        ("columns.64", 1),
        ("columns.0", 1e300),
        ("columns.0", -1),
        ("columns.0", 1.5),
        ("columns.0", float("inf")),
        ("columns.0", float("nan")),
    ],
)
def test_columns_that_would_exhaust_the_supervisor(name: str, value: float) -> None:
    with pytest.raises(Refused) as refused:
        columns_of(ready(**{name: value}))

    assert refused.value.reason is Reason.ENGINE_FAILED


@pytest.mark.parametrize(
    "manifest",
    [
        b"",
        b"[1]",
        b"{}",
        b'{"outputs": 1}',
        b'{"outputs": [1]}',
        b'{"outputs": [{"sha256": "0x"}]}',
        b'{"outputs": [{"name": 1}]}',
        b'{"outputs": [{"name": "weights"}]}',
        b'{"outputs": [{"name": "../secret", "sha256": "%s"}]}',
        b"[" * 100_000,
    ],
)
def test_manifest_of_a_hostile_compute_party(tmp_path: Path, manifest: bytes) -> None:
    """It has committed to it, and it is none, or names files outside of the results' folder."""
    secret = b"the owner's"
    (tmp_path / "secret.share").write_bytes(secret)
    folder = tmp_path / "0"
    folder.mkdir()
    (folder / "weights.share").write_bytes(b"")
    manifest = manifest.replace(b"%s", b"0x" + hashlib.sha256(secret).hexdigest().encode())
    (folder / "manifest.json").write_bytes(manifest)
    (folder / "salt").write_bytes(SALT)

    with pytest.raises(RunFailedError, match="compute party 0"):
        check_results(folder, "0x" + hashlib.sha256(SALT + manifest).hexdigest())


def test_manifest_of_an_honest_compute_party(tmp_path: Path) -> None:
    content = b"share"
    digest = "0x" + hashlib.sha256(content).hexdigest()
    plain: dict[str, Any] = {"outputs": [{"name": "weights", "sha256": digest}], "rank": 0}
    manifest = json.dumps(plain).encode()
    (tmp_path / "manifest.json").write_bytes(manifest)
    (tmp_path / "salt").write_bytes(SALT)
    (tmp_path / "weights.share").write_bytes(content)

    found = check_results(tmp_path, "0x" + hashlib.sha256(SALT + manifest).hexdigest())

    assert found == plain


def rosetta(folder: Path, **changed: Any) -> list[Path]:
    """Leave what ranks 0 and 1 of a run on Rosetta leave, but for some changes."""
    folders = []
    for rank, share in enumerate((5 << 16, 2 << 16)):
        place = folder / str(rank)
        place.mkdir()
        plain: dict[str, Any] = {
            "agreed": "0x",
            "rank": rank,
            "fraction_bits": 16,
            "outputs": [{"name": "file", "shape": [1], "bound": 9.0}],
        }
        (place / "manifest.json").write_text(json.dumps(plain | changed))
        (place / "file.share").write_bytes(share.to_bytes(8, "little"))
        folders.append(place)
    return folders


def test_output_of_any_name_is_opened(tmp_path: Path) -> None:
    """What is called like an argument of NumPy's own, too."""
    folders = rosetta(tmp_path)

    reconstruct(folders, tmp_path / "out.npz")

    with np.load(tmp_path / "out.npz") as values:
        assert values["file"].tolist() == [7.0]


@pytest.mark.parametrize(
    "changed",
    [
        {"fraction_bits": 2**40},
        {"fraction_bits": "many"},
        {"fraction_bits": None},
        {"outputs": [{"name": "file"}]},
        {"outputs": [{"name": "file", "shape": "x", "bound": 1}]},
        {"outputs": [{"name": "file", "shape": [1], "bound": "none"}]},
        {"outputs": [{"name": "file", "shape": [10**30], "bound": 1}]},
        {"outputs": {}, "rank": "0"},
    ],
)
def test_results_on_rosetta_that_nobody_could_have(tmp_path: Path, changed: dict[str, Any]) -> None:
    folders = rosetta(tmp_path, **changed)

    with pytest.raises(RunFailedError, match="can't be opened"):
        reconstruct(folders, tmp_path / "out.npz")

    assert not (tmp_path / "out.npz").exists()
