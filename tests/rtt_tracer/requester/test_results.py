"""Results at the requester: what parties give is held against each other and against the log."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datatoken.authorization.reasons import Reason, Refused
from datatoken.authorization.view import LogState, RoundGroup
from datatoken.errors import BadInputError
from datatoken.types import Hex32, sha256_hex
from rtt_tracer.agreement.checkpoints import common_digest
from rtt_tracer.agreement.plan import Plan
from rtt_tracer.party.exchange import write_run
from rtt_tracer.requester import results
from tests.support.mpc import MpcWorld

AGREED = sha256_hex(b"agreed")


@pytest.fixture
def plan() -> Plan:
    return MpcWorld().plan()


@pytest.fixture
def folders(plan: Plan, tmp_path: Path) -> dict[Hex32, Path]:
    """What honest parties leave for the requester."""
    commitments = {dt: sha256_hex(dt.encode()) for dt in plan.dts}
    common = common_digest(AGREED, 2, commitments)
    found = {}
    for one in results.opened_parties(plan):
        folder = tmp_path / str(one.rank)
        folder.mkdir()
        write_run(folder, plan, one, AGREED, 2, commitments, common)
        found[one.dt] = folder
    return found


def test_honest_parties_agree(plan: Plan, folders: dict[Hex32, Path]) -> None:
    found = results.check_run(plan, plan.request, folders)

    assert (found.checkpoint, found.commitments.keys()) == (2, set(plan.dts))


def _other_commitment(plain: dict[str, Any]) -> None:
    first = sorted(plain["commitments"])[0]
    plain["commitments"][first] = sha256_hex(b"other")


def _consistent_lie(plain: dict[str, Any]) -> None:
    _other_commitment(plain)
    plain["input"] = common_digest(AGREED, 2, plain["commitments"])


def _one_party_less(plain: dict[str, Any]) -> None:
    plain["commitments"].pop(sorted(plain["commitments"])[0])
    plain["input"] = common_digest(AGREED, 2, plain["commitments"])


def _earlier_checkpoint(plain: dict[str, Any]) -> None:
    plain["checkpoint"] = 1
    plain["input"] = common_digest(AGREED, 1, plain["commitments"])


@pytest.mark.parametrize(
    ("lie", "said"),
    [
        (_other_commitment, "does not hash"),
        (_consistent_lie, "other commitments"),
        (_one_party_less, "does not hash"),
        (_earlier_checkpoint, "other commitments"),
        (lambda plain: plain.update(request=sha256_hex(b"x")), "another run"),
        (lambda plain: plain.update(job=sha256_hex(b"x")), "another run"),
        (lambda plain: plain.update(dt=sha256_hex(b"x")), "another run"),
    ],
)
def test_party_that_says_something_else_is_named(
    lie: Callable[[dict[str, Any]], None], said: str, plan: Plan, folders: dict[Hex32, Path]
) -> None:
    liar = list(folders)[-1]
    path = folders[liar] / "run.json"
    plain = json.loads(path.read_bytes())
    lie(plain)
    path.write_text(json.dumps(plain))

    with pytest.raises(Refused, match=said) as caught:
        results.check_run(plan, plan.request, folders)

    assert caught.value.reason is Reason.CHECKPOINT_MISMATCH
    assert liar[:10] in caught.value.message


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff", b'{"job": 1, "job": 2}'])
def test_malformed_results_are_bad_input(
    content: bytes, plan: Plan, folders: dict[Hex32, Path]
) -> None:
    (next(iter(folders.values())) / "run.json").write_bytes(content)

    with pytest.raises(BadInputError):
        results.check_run(plan, plan.request, folders)


def test_missing_results_are_bad_input(plan: Plan, folders: dict[Hex32, Path]) -> None:
    (next(iter(folders.values())) / "run.json").unlink()

    with pytest.raises(BadInputError):
        results.check_run(plan, plan.request, folders)
    with pytest.raises(BadInputError):
        results.check_run(plan, plan.request, {})


def test_results_are_logged_when_all_parties_receipts_are(
    plan: Plan, folders: dict[Hex32, Path]
) -> None:
    """A round that one party is missing from is not the one that all have signed."""
    found = results.check_run(plan, plan.request, folders)

    def log(members: list[Hex32], **change: str) -> LogState:
        named = {"request": found.request, "run": found.run, "input": found.input} | change
        group = RoundGroup(kind=found.kind, members=frozenset(members), **named)
        return LogState(groups=(group,))

    dts = list(plan.dts)
    assert results.logged(log(dts), found)
    assert not results.logged(log(dts[1:]), found)
    assert not results.logged(log(dts, input=sha256_hex(b"other")), found)
    assert not results.logged(log(dts, run="other"), found)
    assert not results.logged(log(dts, request=sha256_hex(b"other")), found)


def test_revealed_values_must_be_the_same_at_all(plan: Plan, folders: dict[Hex32, Path]) -> None:
    (first, second) = list(folders.values())[:2]
    np.savez(first / "values.npz", y=np.ones(2))
    np.savez(second / "values.npz", y=np.ones(2))
    assert results._revealed(folders) == first / "values.npz"
    np.savez(second / "values.npz", y=np.zeros(2))

    with pytest.raises(Refused, match="another y"):
        results._revealed(folders)
