"""Runs are rebuilt from bytes: what a SuperLink says of a run is not believed."""

import pytest
from flwr.cli.install import install_from_fab
from flwr.supercore.fab import Fab
from flwr.supercore.run import Run

from datatoken.authorization.reasons import Reason, Refused
from datatoken.types import sha256_hex
from fl_edge.supernode.apps import AppsFolder
from fl_edge.supernode.runs import rebuild
from tests.fl_edge.harness import write_app
from tests.fl_edge.supernode.parts import RUN_ID, fab_of

FAB = fab_of()


def run_of(fab: bytes = FAB, **changed: object) -> tuple[int, Run, Fab]:
    run = Run.create_empty(RUN_ID)
    run.fab_id, run.fab_version, run.fab_hash = "tests/probe", "1.0.0", sha256_hex(fab)[2:]
    for name, value in changed.items():
        setattr(run, name, value)
    return RUN_ID, run, Fab(run.fab_hash, fab, {})


def reason(*arguments: object) -> Reason:
    with pytest.raises(Refused) as caught:
        rebuild(*arguments)  # type: ignore[arg-type]
    return caught.value.reason


def test_every_field_follows_from_the_fab() -> None:
    """Acceptance: 103, 104."""
    noise = {"flwr_aid": "x", "federation_id": "@me/other", "account_name": "x", "bytes_sent": 9}
    facts = rebuild(*run_of(series_id=7, override_config={"epochs": 3}, **noise))
    expected = Run.create_empty(RUN_ID)
    expected.fab_id, expected.fab_version = "tests/probe", "1.0.0"
    expected.fab_hash, expected.series_id = sha256_hex(FAB)[2:], RUN_ID
    expected.override_config = {"epochs": 3}
    assert facts.run == expected
    assert facts.parameters == {"epochs": 3, "rate": 0.1}


def test_shared_series_id() -> None:
    """Two runs never share a series, whatever the SuperLink says: it keys their state."""
    assert rebuild(*run_of(series_id=7)).run.series_id == RUN_ID


@pytest.mark.parametrize(
    "changed",
    [
        {"fab_version": "../../../tmp"},
        {"fab_version": "2.0.0"},
        {"fab_id": "tests/other"},
        {"fab_id": "../x"},
        {"primary_task_type": "flwr-agentapp"},
        {"primary_task_type": "flwr-model"},
        {"run_id": RUN_ID + 1},
    ],
)
def test_server_supplied_trust_fields(changed: dict[str, object]) -> None:
    """A contradiction between what the SuperLink says and the bytes is refused."""
    assert reason(*run_of(**changed)) is Reason.RUN_NOT_ACCEPTED


@pytest.mark.parametrize(
    "override",
    [{"epochs": "many"}, {"epochs": 1.5}, {"epochs": True}, {"rate": "0.1"}, {"unknown": 1}],
)
def test_overrides_outside_the_app(override: dict[str, object]) -> None:
    """An unknown override ends a bare node's loop; one of another type reaches its app."""
    assert reason(*run_of(override_config=override)) is Reason.PARAMETERS_OUTSIDE_TERMS


def test_an_int_passes_as_a_float() -> None:
    assert rebuild(*run_of(override_config={"rate": 1})).parameters["rate"] == 1


def test_announced_and_delivered_fab_differ() -> None:
    """Threat: swapped bundle after approval. Acceptance: 103."""
    run_id, run, fab = run_of()
    swapped = Fab(fab.hash_str, fab_of(config="epochs = 2"), {})
    assert reason(run_id, run, swapped) is Reason.OPERATION_MISMATCH
    relabelled = Fab("ab" * 32, fab.content, {})
    assert reason(run_id, run, relabelled) is Reason.OPERATION_MISMATCH


@pytest.mark.parametrize(
    "fab",
    [
        fab_of(version="../1"),
        fab_of(version="1..0"),
        fab_of(publisher="te/sts"),
        fab_of(name="a/../b"),
        fab_of(components='agentapp = "probe.agent:app"'),
    ],
)
def test_fabs_that_no_owner_should_run(fab: bytes) -> None:
    """Names become folders, and an agent is no ClientApp: refused although registered."""
    named = {"fab_id": "tests/probe", "fab_version": "1.0.0"}
    assert reason(*run_of(fab, **named)) is Reason.RUN_NOT_ACCEPTED


def test_fab_folder_collision(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """flwr takes a folder with the right eight digits for the app; the gate empties it first.

    Acceptance: 103
    """
    from flwr.cli.build import build_fab_from_disk

    monkeypatch.setenv("FLWR_HOME", str(tmp_path / "home"))
    app = write_app(tmp_path / "app", "app = 'honest'\n", "app = 1\n", {})
    fab = build_fab_from_disk(app)
    installed = install_from_fab(fab, skip_prompt=True)
    client = installed / "probe" / "client.py"
    client.write_text("app = 'poisoned'\n")

    install_from_fab(fab, skip_prompt=True)
    assert "poisoned" in client.read_text(), "flwr checks the folder itself: the trap is gone"

    AppsFolder(tmp_path / "home").wipe()
    assert install_from_fab(fab, skip_prompt=True) == installed
    assert client.read_text() == "app = 'honest'\n"


def test_a_folder_of_apps_that_points_elsewhere(tmp_path) -> None:
    """A link in the place of the folder is removed, what it points to is left alone."""
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "file").write_text("kept")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "apps").symlink_to(tmp_path / "victim")
    AppsFolder(tmp_path / "home").wipe()
    assert not (tmp_path / "home" / "apps").exists()
    assert (tmp_path / "victim" / "file").read_text() == "kept"
