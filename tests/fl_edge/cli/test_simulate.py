"""``fl-edge simulate``, as its user sees it."""

import json
from pathlib import Path

import pytest

from fl_edge.cli.app import main

SUM = Path(__file__).parents[1] / "simulation" / "sum_op"
SANDBOX = ["simulate", "--sandbox", str(SUM), "--sandbox", "fedaverage", "--backend", "inline"]


def run(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return int(ended.value.code or 0)


def test_says_in_words_and_in_json_that_nothing_is_enforced(
    capfd: pytest.CaptureFixture[str],
) -> None:
    options = ["--clients", "4", "-c", "num-server-rounds=1", "-c", "min-nodes=4"]

    code = run([*SANDBOX, *options, "--format", "json"])

    out, err = capfd.readouterr()
    found = json.loads(out)
    assert code == 0
    assert "NO ENFORCEMENT" in err
    assert found["enforcement"] is False
    assert (found["clients"], found["dts"], found["status"]) == (4, 4, "completed")
    assert [one["kind"] for one in found["rounds"]] == ["train", "evaluate"]
    assert found["metrics"]["evaluate"]["1"]["loss"] == 2.5


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["simulate"], 3, "Name a job, or an app with --sandbox"),
        (["simulate", "0x12"], 2, "0x and 64 hex digits"),
        (["simulate", "--sandbox", "nowhere"], 3, "There is no folder nowhere"),
        ([*SANDBOX, "--clients", "2000"], 3, "A composite has 1 to 1024 members"),
        ([*SANDBOX, "--clients", "2", "-c", "absent=1"], 3, "does not declare the parameter"),
    ],
)
def test_bad_input_is_one_sentence(
    arguments: list[str], code: int, sentence: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == code
    assert sentence in " ".join(capfd.readouterr().err.split())


def test_an_app_that_fails_leaves_too_few_and_its_own_reason(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken_op"
    broken.mkdir()
    for file in SUM.glob("*.*"):
        text = file.read_text().replace("sum_op", "broken_op")
        (broken / file.name).write_text(text.replace("own = float(", "own = 1 / 0 * float("))
    arguments = ["simulate", "--sandbox", str(broken), "--sandbox", "fedaverage"]

    code = run([*arguments, "--backend", "inline", "--clients", "2"])

    assert code == 4
    err = " ".join(capfd.readouterr().err.split())
    assert "APP_FAILED: The app raised an exception." in err
    assert "division by zero" not in err
