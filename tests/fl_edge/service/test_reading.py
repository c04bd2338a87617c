"""What is read of a log that flwr and an app write."""

from datatoken.rounds.documents import Closing, NamedRound, RoundDocument
from datatoken.types import MessageKind
from fl_edge.service.logged import last_aggregate
from fl_edge.service.reading import LogReader, plain

DIGEST = "0x" + "ab" * 32
LOG = """\x1b[92mINFO \x1b[0m:      [ROUND 2/3]
INFO :      configure_train: Sampled 5 nodes (out of 6)
INFO :      aggregate_train: Received 4 results and 1 failures
INFO :      \t└──> Aggregated MetricRecord: {'loss': 0.5, 'n': 3}
INFO :      configure_evaluate: Sampled 6 nodes (out of 6)
INFO :      aggregate_evaluate: Received 6 results and 0 failures
INFO :      \t└──> Aggregated MetricRecord: {'auc': 0.75}
INFO :      \t└──> MetricRecord: {'held-out': 0.25}"""


def read(text: str) -> tuple[LogReader, list[tuple[str, dict[str, int]]]]:
    """Return the reader and its events after a log."""
    reader = LogReader()
    return reader, [event for line in text.splitlines() for event in reader.line(plain(line))]


def test_one_event_for_each_round_and_kind() -> None:
    reader, events = read(LOG)

    assert events == [
        ("round", {"round": 2, "rounds": 3}),
        ("train", {"round": 2, "asked": 5, "results": 4, "failures": 1}),
        ("evaluate", {"round": 2, "asked": 6, "results": 6, "failures": 0}),
    ]
    assert reader.metrics == {
        "train": {2: {"loss": 0.5, "n": 3}},
        "evaluate": {2: {"auc": 0.75}},
        "server": {2: {"held-out": 0.25}},
    }


def test_app_that_writes_its_model_into_the_log_as_a_metric() -> None:
    weights = [0.5] * 1000
    hostile = [
        f"└──> Aggregated MetricRecord: {{'weights': {weights}, 'loss': 1.0}}",
        "└──> Aggregated MetricRecord: {'a row: 17, female, ill': 1.0}",
        "└──> Aggregated MetricRecord: __import__('os').system('true')",
        "└──> Aggregated MetricRecord: {'loss': 1e999, 'text': 'ill'}",
        "└──> Aggregated MetricRecord: " + "{" * 5000 + "}",
    ]

    reader, _ = read("[ROUND 1/1]\naggregate_train: Received 1 results and 0 failures")
    for line in hostile:
        assert list(reader.line(line)) == []

    assert reader.metrics == {"train": {1: {"loss": 1.0}}}


def test_log_line_that_would_steer_a_terminal() -> None:
    assert plain("\x1b[91mred\x1b[0m and \x1b]0;title\x07\u202e") == (
        "red and \\u001b]0;title\\u0007\\u202e"
    )


def test_aggregate_of_another_run_is_not_taken() -> None:
    def document(number: int, run: str, **annotations: str) -> RoundDocument:
        named = NamedRound(
            run=run,
            kind=MessageKind.TRAIN,
            input="0x" + "01" * 32,
            annotations=annotations,
            by="0x" + "11" * 20,
        )
        return RoundDocument.model_construct(
            number=number, closing=Closing.COMPLETE, named=[named], receipts=[]
        )

    documents = [
        document(1, "7", aggregate=DIGEST, round="1"),
        document(2, "7", contributed="2 of 2"),
        document(3, "8", aggregate="0x" + "cd" * 32, round="1"),
    ]

    found = last_aggregate(documents, "7")

    assert found is not None
    assert (found.number, found.round, found.digest) == (1, "1", DIGEST)
    assert last_aggregate(documents, "9") is None
