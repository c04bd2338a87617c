"""The banks' tables, the demo's options, and how it judges refusals."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from datatoken.authorization.reasons import Reason
from datatoken.errors import BadInputError
from examples.mvp1_banks import refusals
from examples.mvp1_banks.__main__ import parse
from examples.mvp1_banks.clear import auc_in_the_clear
from examples.mvp1_banks.story import Options
from examples.support import credit
from examples.support.datasets import find_file
from examples.support.mpc.exposure import ring_elements
from examples.support.mpc.rows import _lines, search_rows
from examples.support.mpc.watch import Part, standing
from examples.support.report import Refusal

ROOT = Path(__file__).parents[2]


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No data set is on this machine."""
    monkeypatch.setenv("DATATOKEN_DATA", str(tmp_path / "none"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "none"))


@pytest.mark.skipif(not find_file(credit.FILE, credit.SHA256), reason="no credit_default.csv")
def test_the_banks_know_17_and_6_columns_of_the_same_customers() -> None:
    found = credit.load_credit(1000)

    a, b = found.columns("A"), found.columns("B")
    assert (len(a), len(b)) == (17, 6)
    assert not set(a) & set(b)
    assert list(found.tables["A"]["ID"]) == list(found.tables["B"]["ID"])
    assert list(found.tables["A"]["default"]) == list(found.tables["B"]["default"])


def test_rows_are_split_by_columns_the_same_way_every_time(stand_in: None) -> None:
    first, second = credit.load_credit(700), credit.load_credit(700)

    assert not set(first.columns("A")) & set(first.columns("B"))
    assert first.rows == 700
    assert all(first.tables[bank].equals(second.tables[bank]) for bank in "AB")


def test_a_smaller_data_set_gives_what_it_has_unless_rows_are_asked_for(stand_in: None) -> None:
    assert credit.load_credit(at_most=30_000).rows == 4454
    assert credit.load_credit(at_most=1_000).rows == 1000
    with pytest.raises(BadInputError, match="4,454"):
        credit.load_credit(6_000)


def test_every_column_is_declared_with_bounds_or_categories(stand_in: None) -> None:
    found = credit.load_credit(500)

    for bank in "AB":
        for name, spec in found.schema(bank).columns.items():
            assert spec.categories or spec.minimum is not None, name


def test_the_joint_model_in_the_clear_is_better_than_chance(stand_in: None, tmp_path: Path) -> None:
    parameters: dict[str, Any] = {
        "label": "default",
        "label-party": 0,
        "columns": "",
        "amounts": "auto",
        "max-categories": 6,
        "scaling": "own",
        "encoding": "model",
        "seed": 3,
        "holdout": 0.2,
    }

    assert auc_in_the_clear(credit.load_credit(), parameters, tmp_path) > 0.8


def test_every_refusal_has_its_reasons_and_its_lines() -> None:
    known = {*Reason, "MISSING_GRANT"}

    assert refusals.EXPECTED.keys() == refusals.LINES.keys()
    assert all(codes and codes <= known for codes in refusals.EXPECTED.values())


def test_a_refusal_for_another_reason_is_unexpected() -> None:
    right = Refusal(refusals.REPLAYED, "all", "REQUEST_REPLAYED", "")
    wrong = Refusal(refusals.REPLAYED, "all", "DEADLINE_PASSED", "")
    none = Refusal(refusals.FORGED, "all", "", "")

    assert refusals.unexpected([right]) == []
    assert refusals.unexpected([right, wrong, none]) == [
        f"{refusals.REPLAYED} (all): DEADLINE_PASSED",
        f"{refusals.FORGED} (all): not refused",
    ]


@pytest.mark.parametrize(
    ("arguments", "providers", "rows"),
    [([], ("A", "B", "D"), None), (["--protocol", "CHEETAH", "--rows", "2000"], ("A", "B"), 2000)],
)
def test_cheetah_is_for_the_two_banks_alone(
    arguments: list[str], providers: tuple[str, ...], rows: int | None
) -> None:
    options: Options = parse(arguments)[0]

    assert options.providers == providers
    assert options.rows == rows


@pytest.mark.parametrize(
    "arguments", [["--epochs", "2"], ["--rows", "10"], ["--protocol", "SEMI2K"]]
)
def test_options_that_cannot_be_are_refused(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "examples.mvp1_banks", *arguments]

    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)

    assert done.returncode == 2
    assert "error" in done.stderr


def test_ring_elements_are_the_last_field_of_a_share(tmp_path: Path) -> None:
    values = np.array([[1, -1], [2**62, -(2**62)]], "<i8")
    body = b"fields" + values.tobytes()
    path = tmp_path / "x0"
    path.write_bytes(
        b"magic..." + (2).to_bytes(4, "little")
        + (4).to_bytes(8, "little") + b"meta"
        + len(body).to_bytes(8, "little") + body
    )  # fmt: skip

    assert ring_elements(path, (2, 2))[1, 0, 0] == 0.5
    assert ring_elements(path, (2, 2))[1, 1, 0] == -0.5


def test_a_row_outside_of_its_private_domain_is_found(tmp_path: Path, stand_in: None) -> None:
    found = credit.load_credit(500)
    private = tmp_path / "services" / "A-private"
    rows = found.save("A", private / "rows.csv")
    host = SimpleNamespace(domain="private", folder=private)
    world: Any = SimpleNamespace(
        folder=tmp_path, hosts={"A-private": host}, host_of=lambda asset: host, credit=found
    )
    leak = tmp_path / "services" / "D-compute" / "service.log"
    leak.parent.mkdir()
    leak.write_bytes(b"all is well")
    part = _part_with_table(private, found)

    clean = search_rows(world, [part], PARAMETERS)
    leak.write_bytes(b"about to send " + next(iter(_lines(rows))))
    leaking = search_rows(world, [part], PARAMETERS)

    assert clean.outside == []
    assert clean.inside == 2  # the file of rows, and the table that the engine reads
    assert leaking.outside == ["services/D-compute/service.log"]


PARAMETERS: dict[str, Any] = {
    "label": "default",
    "label-party": 0,
    "columns": "",
    "amounts": "auto",
    "max-categories": 6,
    "scaling": "own",
    "encoding": "model",
    "seed": 3,
}


def _part_with_table(private: Path, found: credit.Credit) -> Part:
    from rtt_tracer.tables import open_table

    folder = private / "state" / "runs" / "1"
    (folder / "work" / "in").mkdir(parents=True)
    table = open_table(str(private / "rows.csv"), credit.KEY, found.schema("A"))
    table.write_npz(folder / "work" / "in" / "table.npz")
    return Part("A-data", folder)


def test_progress_before_the_first_stage_is_that_of_the_slowest_party(tmp_path: Path) -> None:
    parts = []
    for name, events in {"A-data": ["authorised", "introduced"], "D-compute": []}.items():
        folder = tmp_path / name
        folder.mkdir()
        lines = "".join(f'{{"event": "{event}"}}\n' for event in events)
        (folder / "events.jsonl").write_text(lines, encoding="utf-8")
        parts.append(Part(name, folder))

    assert standing(parts) == "gates ask the chain"
    assert standing(parts[:1]) == "parties meet"
