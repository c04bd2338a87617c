"""The SuperLink's seams: there in this flwr, and no start without any one of them."""

import importlib
from types import SimpleNamespace

import pytest

from datatoken.errors import ExitCode, LocalEnvironmentError
from fl_edge.superlink import seams


def test_seams_are_as_they_are_known() -> None:
    seams.check_server()
    seams.check_app()


class Changed:
    """Loads modules, one of them with a part replaced."""

    def __init__(self, module: str, path: str, value: object) -> None:
        self.module, self.path, self.value = module, path, value

    def __call__(self, name: str) -> object:
        real = importlib.import_module(name)
        if name != self.module:
            return real
        return _replaced(real, self.path.split("."), self.value)


GONE = object()


def _replaced(real: object, path: list[str], value: object) -> object:
    copy = SimpleNamespace(**{k: getattr(real, k) for k in dir(real) if not k.startswith("__")})
    if len(path) > 1:
        value = _replaced(getattr(real, path[0]), path[1:], value)
    if value is GONE:
        delattr(copy, path[0])
    else:
        setattr(copy, path[0], value)
    return copy


@pytest.mark.parametrize("seam", seams.SERVER_SEAMS, ids=lambda seam: seam.name)
def test_superlink_does_not_run_ungated_when_a_seam_is_gone(seam: seams.Seam) -> None:
    with pytest.raises(LocalEnvironmentError, match="is gone") as error:
        seams.check_server(Changed(seam.module, seam.name, GONE))

    assert error.value.exit_code is ExitCode.ENVIRONMENT


@pytest.mark.parametrize("seam", seams.SERVER_SEAMS, ids=lambda seam: seam.name)
def test_superlink_does_not_run_ungated_when_a_seam_has_changed(seam: seams.Seam) -> None:
    with pytest.raises(LocalEnvironmentError, match="takes other arguments"):
        seams.check_server(Changed(seam.module, seam.name, lambda something_else: None))


@pytest.mark.parametrize("seam", seams.APP_SEAMS, ids=lambda seam: seam.name)
def test_serverapp_does_not_run_ungoverned_when_a_seam_is_gone(seam: seams.Seam) -> None:
    with pytest.raises(LocalEnvironmentError, match="is gone"):
        seams.check_app(Changed(seam.module, seam.name, GONE))


def test_router_that_calls_another_start_run() -> None:
    other = SimpleNamespace(start_run=None)

    with pytest.raises(LocalEnvironmentError, match="does not call"):
        seams.check_server(Changed(seams.CONTROL_ROUTER, "control_handlers", other))


def test_runtime_that_stores_messages_in_another_way() -> None:
    with pytest.raises(LocalEnvironmentError, match="in another way"):
        seams.check_server(Changed(seams.RUNTIME, "push_messages", lambda: None))


def test_serverapp_that_is_started_by_another_command() -> None:
    from flwr.supercore import constant

    commands = {**constant.TASK_TYPE_TO_COMMAND, constant.TaskType.SERVER_APP: "other"}

    with pytest.raises(LocalEnvironmentError, match="another command"):
        seams.check_server(Changed("flwr.supercore.constant", "TASK_TYPE_TO_COMMAND", commands))
