"""Private set intersection between two real processes."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rtt_tracer.engines.base import Role
from rtt_tracer.engines.events import EngineEvent
from tests.rtt_tracer.engines.driver import AGREED, Run, last, operation, said

pytestmark = pytest.mark.spu

CODE = """
def identifiers(table, parameters):
    return [str(key).strip().upper() for key in table["ids"]]
"""
FIRST = ["a-1", "B-2", 'c,"3', "d-4", "e-5"]
SECOND = ["E-5", "x-9", 'C,"3', "a-1 "]


def intersect(
    folder: Path,
    ids: Sequence[Sequence[str]],
    parameters: dict[str, str],
    seconds: float = 30,
) -> tuple[list[EngineEvent], list[list[str] | None]]:
    """Run both parties; return their ends and the keys that each one got."""
    bundle = operation(folder, Role.SPU_INTERSECT, CODE, "identifiers", "common")
    with Run(folder, bundle, "CHEETAH", parameters, seconds) as run:
        processes = []
        for rank, keys in enumerate(ids):
            work = run.work(rank)
            for name in ("tls", "in"):
                (work / name).mkdir(parents=True)
            (work / "tls/key.pem").write_text(run.keys[rank])
            (work / "tls/certificate.pem").write_text(run.parties[rank].certificate)
            np.savez(work / "in/table.npz", ids=np.array(keys))
            entry = "common_spu_intersect.model:identifiers"
            job = run.job(Role.SPU_INTERSECT, work, entry, rank=rank, column_owner=rank)
            processes.append(run.start(replace(job, rows=len(keys)), bundle))
        if len(set(ids[0])) == len(ids[0]):
            for process in processes:
                said(process, "ready")
                process.go(0)
        ends = [last(process) for process in processes]
        files = [run.work(rank) / "out/results/ids.txt" for rank in range(2)]
        return ends, [f.read_text().splitlines() if f.exists() else None for f in files]


@pytest.mark.parametrize("protocol", ["RR22", "KKRT", "ECDH"])
def test_both_learn_their_common_rows(protocol: str, tmp_path: Path) -> None:
    """Each party gets its own keys of the rows that both have, and both agree on them.

    Acceptance: 98
    """
    ends, keys = intersect(tmp_path, [FIRST, SECOND], {"psi-protocol": protocol})

    assert keys == [["a-1", 'c,"3', "e-5"], ['C,"3', "E-5", "a-1 "]]
    assert ends[0].digest == ends[1].digest != AGREED
    assert all(end.metrics["bytes_sent"] > 100 for end in ends)


def test_only_the_receiver_learns_the_common_rows(tmp_path: Path) -> None:
    ends, keys = intersect(tmp_path, [FIRST, SECOND], {"psi-receiver": "1"})

    assert keys == [None, ['C,"3', "E-5", "a-1 "]]
    assert [end.digest for end in ends] == [AGREED, AGREED]


def test_a_row_with_two_faces_is_refused(tmp_path: Path) -> None:
    """Two rows of one identifier would be matched twice; the peer does not wait for ever."""
    ends, keys = intersect(tmp_path, [["a-1", "a-1"], SECOND], {}, seconds=8)

    assert ends[0].code == "OPERATION_UNFIT"
    assert ends[1].code == "LINK_FAILED"
    assert keys == [None, None]
