"""The reply policy, rule by rule."""

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, MetricRecord, RecordDict

from datatoken.authorization.reasons import Reason
from datatoken.ddo.operation import ReplyPolicy
from datatoken.ddo.terms import ParameterSpec
from datatoken.types import MessageKind
from fl_edge.messages import ReplyWithheldError, check_reply
from tests.fl_edge.messages.makers import read, records

TRAIN, EVALUATE, QUERY = MessageKind.TRAIN, MessageKind.EVALUATE, MessageKind.QUERY
REQUEST = read(records()).outline()
SECRET = "patient 4711, diagnosis 42"


def model(*arrays: np.ndarray) -> ArrayRecord:
    return ArrayRecord(list(arrays) or [np.zeros((2, 3), np.float32), np.zeros(4)])


def check(reply: RecordDict, kind: MessageKind = TRAIN, **policy: object) -> None:
    check_reply(ReplyPolicy(**policy), kind, REQUEST, read(reply))  # type: ignore[arg-type]


def withheld(reply: RecordDict, kind: MessageKind = TRAIN, **policy: object) -> str:
    with pytest.raises(ReplyWithheldError) as caught:
        check(reply, kind, **policy)
    assert caught.value.reason is Reason.REPLY_WITHHELD
    return caught.value.message


def test_a_model_and_its_metrics_leave() -> None:
    """Acceptance: 80."""
    check(RecordDict({"arrays": model(), "metrics": MetricRecord({"loss": 0.1, "n": 3})}))
    check(RecordDict({"metrics": MetricRecord({"auc": 0.9})}), EVALUATE)


@pytest.mark.parametrize(
    "arrays",
    [
        model(np.zeros((3, 2), np.float32), np.zeros(4)),
        model(np.zeros((2, 3), np.float64), np.zeros(4)),
        model(np.zeros((2, 3), np.float32), np.zeros(5)),
        model(np.zeros((2, 3), np.float32)),
        model(np.zeros((2, 3), np.float32), np.zeros(4), np.zeros(1)),
        model(np.zeros(4), np.zeros((2, 3), np.float32)),
    ],
)
def test_extra_or_reshaped_arrays(arrays: ArrayRecord) -> None:
    """Train answers with the input's names, dtypes and shapes. Acceptance: 80."""
    assert "shapes" in withheld(RecordDict({"arrays": arrays}))


def test_arrays_under_another_name() -> None:
    assert "only the array records" in withheld(RecordDict({"stolen": model()}))


@pytest.mark.parametrize("kind", [EVALUATE, QUERY])
def test_evaluate_and_query_carry_no_arrays(kind: MessageKind) -> None:
    assert "no arrays" in withheld(RecordDict({"arrays": model()}), kind)


def test_free_arrays_are_bounded_by_bytes_and_names() -> None:
    """An operation such as boosted trees declares free shapes, up to a size."""
    free = {"arrays": {TRAIN: "free"}, "max_bytes": 100}
    trees = RecordDict({"trees": ArrayRecord([np.zeros(100, np.uint8)])})
    check(trees, **free)
    assert "at most 99 bytes" in withheld(trees, **{**free, "max_bytes": 99})
    many = RecordDict({"trees": ArrayRecord([np.zeros(1, np.uint8)] * 40)})
    assert "too many" in withheld(many, **free)


def test_a_long_list_of_metrics() -> None:
    """Threat: data in metrics (352 kB in one list). Acceptance: 80."""
    flood = RecordDict({"m": MetricRecord({"loss": [0.5] * 44_000})})
    assert withheld(flood) == "A reply holds at most 16 metric values."


def test_empty_lists_count_as_names() -> None:
    names = MetricRecord({f"n{i}": [] for i in range(17)})
    assert "at most 16" in withheld(RecordDict({"m": names}))


def test_many_empty_records() -> None:
    empty = {f"r{i}": MetricRecord() for i in range(9)}
    assert "records" in withheld(RecordDict(empty))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**63])
def test_numbers_that_are_not_plain(value: float) -> None:
    assert "finite" in withheld(RecordDict({"m": MetricRecord({"loss": value})}))


def test_text_in_names_stays_and_the_refusal_does_not_repeat_it() -> None:
    """Threat: data in names. Acceptance: 80."""
    for reply in (
        RecordDict({"m": MetricRecord({SECRET: 1.0})}),
        RecordDict({SECRET: MetricRecord({"loss": 1.0})}),
        RecordDict({"m": MetricRecord({"x" * 65: 1.0})}),
    ):
        assert SECRET not in withheld(reply)


def test_only_declared_metrics() -> None:
    reply = RecordDict({"m": MetricRecord({"loss": 1.0})})
    check(reply, metrics=["loss"])
    assert "declared" in withheld(reply, metrics=["auc"])


def test_no_config_record_unless_declared() -> None:
    """Threat: 44 kB in a ConfigRecord. Acceptance: 80."""
    reply = RecordDict({"c": ConfigRecord({"status": "ok"})})
    assert "ConfigRecord" in withheld(reply)
    declared = {"status": ParameterSpec(type="str", enum=["ok", "failed"])}
    check(reply, config=declared)
    other = RecordDict({"c": ConfigRecord({"status": SECRET})})
    assert SECRET not in withheld(other, config=declared)
    assert "not declared" in withheld(RecordDict({"c": ConfigRecord({"x": 1})}), config=declared)
    listed = RecordDict({"c": ConfigRecord({"status": ["ok"]})})
    assert "schema" in withheld(listed, config=declared)
