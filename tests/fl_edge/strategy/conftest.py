"""flwr makes messages only inside a task: these tests are one."""

from collections.abc import Iterator

import pytest
from flwr.supercore.task_identity import TaskIdentity

from tests.fl_edge.strategy.grid import RUN


@pytest.fixture(autouse=True)
def task(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Set the identity of a ServerApp's task."""
    for name, value in {"_task_id": 1, "_run_id": RUN, "_node_id": 1}.items():
        if hasattr(TaskIdentity, name):
            monkeypatch.setattr(TaskIdentity, name, value)
    yield
