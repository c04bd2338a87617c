"""Claims on their way to the recorder: nothing is lost, nothing malformed is passed on."""

from pathlib import Path

import numpy as np
import pytest
from flwr.app import ArrayRecord

from datatoken.authorization.reasons import Reason, Refused
from datatoken.service.problems import ServiceCode, ServiceError
from datatoken.types import MessageKind, sha256_hex
from fl_edge.strategy import Claim, Spool
from fl_edge.strategy.spool import digest_of
from fl_edge.superlink.claims import Aggregates, ClaimCourier
from fl_edge.superlink.runs import Admission, RunBook
from fl_edge.superlink.watch import Named

JOB, INPUT, OTHER = (sha256_hex(name) for name in (b"job", b"input", b"other"))
RUN = 4711
ADMISSION = Admission(
    job=JOB, request=INPUT, bundle=INPUT, artefact=INPUT, parameters={}, minimum=2
)


class Desk:
    """A recorder's desk: what it was told, or why it takes nothing."""

    def __init__(self) -> None:
        self.told: list[dict[str, object]] = []
        self.error: Exception | None = None

    def name_round(self, job: str, **words: object) -> None:
        if self.error is not None:
            raise self.error
        self.told.append({"job": job, **words})


class Courier(ClaimCourier):
    def __init__(self, folder: Path) -> None:
        self.desk = Desk()
        book = RunBook(folder / "runs.sqlite")
        book.add(RUN, ADMISSION)
        super().__init__(
            folder / "spool", book, Aggregates(folder / "aggregates"), lambda job: self.desk
        )


@pytest.fixture
def courier(tmp_path: Path) -> Courier:
    made = Courier(tmp_path)
    made.begin(RUN, ADMISSION)
    return made


def arrays(value: float = 1.0) -> ArrayRecord:
    return ArrayRecord([np.full(3, value, np.float32)])


def put(courier: Courier, number: int = 1, run: int = RUN) -> Spool:
    claim = Claim(kind=MessageKind.TRAIN, input=INPUT, expected=2, sent=3, round=number)
    spool = Spool(courier.spool, run)
    spool.put_claim(claim, arrays(number))
    return spool


def test_claim_is_told_and_its_aggregate_kept(courier: Courier) -> None:
    spool = put(courier)

    assert courier.carry()

    assert courier.desk.told == [
        {
            "job": JOB,
            "run": str(RUN),
            "kind": MessageKind.TRAIN,
            "input_digest": INPUT,
            "expected": 2,
            "annotations": {
                "round": "1",
                "contributed": "2 of 3",
                "aggregate": digest_of(arrays(1)),
            },
        }
    ]
    last = courier.aggregates.last(JOB)
    assert last is not None
    assert (last.digest, last.round) == (digest_of(arrays(1)), 1)
    assert spool.claims() == []


def test_recorder_out_of_reach_loses_no_claim(courier: Courier) -> None:
    """Acceptance: 111."""
    put(courier)
    courier.desk.error = Refused(Reason.RECORDER_UNREACHABLE, "no answer")
    assert not courier.carry()
    assert courier.aggregates.last(JOB) is None

    courier.desk.error = None

    assert courier.carry()
    assert len(courier.desk.told) == 1


def test_recorder_that_refuses_is_not_asked_for_ever(courier: Courier) -> None:
    put(courier)
    courier.name(Named(RUN, MessageKind.TRAIN, INPUT, 3))
    courier.desk.error = ServiceError(ServiceCode.NOT_ENTITLED, "no")

    assert courier.carry()
    courier.desk.error = None
    assert courier.carry()

    assert courier.desk.told == []
    assert courier.aggregates.last(JOB) is None


def test_only_the_last_count_of_a_round_is_told(courier: Courier) -> None:
    for expected in (1, 2, 3):
        courier.name(Named(RUN, MessageKind.TRAIN, INPUT, expected))

    courier.carry()

    assert [words["expected"] for words in courier.desk.told] == [3]


def test_aggregate_swapped_in_the_spool(courier: Courier) -> None:
    spool = put(courier)
    aggregate = next(spool.folder.glob("aggregate-*.npz"))
    other = Spool(courier.spool, 99)
    other.folder.mkdir()
    put(courier, 7, run=99)
    aggregate.write_bytes(next(other.folder.glob("aggregate-*.npz")).read_bytes())

    courier.carry()

    assert courier.desk.told == []
    assert courier.aggregates.last(JOB) is None


def test_claim_of_a_run_that_was_never_admitted(courier: Courier) -> None:
    Spool(courier.spool, 99).folder.mkdir()
    put(courier, run=99)

    assert courier.carry()
    assert courier.desk.told == []


def test_last_aggregate_is_that_of_the_furthest_round(courier: Courier) -> None:
    for number in (1, 2, 3):
        put(courier, number)
    courier.carry()

    resumed = ADMISSION.model_copy(update={"resume": True})
    courier.begin(RUN + 1, resumed)

    terms = Spool(courier.spool, RUN + 1).terms()
    assert terms is not None and terms.start is not None
    assert (terms.start.round, terms.start.digest) == (3, digest_of(arrays(3)))


def test_shorter_run_after_a_longer_one_goes_on_from_its_own_rounds(courier: Courier) -> None:
    for number in (1, 2, 3):
        put(courier, number)
    courier.carry()
    courier.book.add(RUN + 1, ADMISSION)
    courier.begin(RUN + 1, ADMISSION)
    put(courier, 1, run=RUN + 1)
    courier.carry()

    last = courier.aggregates.last(JOB)

    assert last is not None
    assert last.round == 1


def test_aggregates_are_found_again_after_a_restart(courier: Courier, tmp_path: Path) -> None:
    put(courier)
    courier.carry()

    assert Aggregates(tmp_path / "aggregates").last(JOB) == courier.aggregates.last(JOB)
    assert Aggregates(tmp_path / "aggregates").last(OTHER) is None
