"""flwr makes messages only inside a task; here each test is one."""

import pytest
from flwr.supercore.task_identity import TaskIdentity

from tests.fl_edge.strategy.grid import RUN


@pytest.fixture(autouse=True)
def _identity(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"_task_id": 1, "_run_id": RUN, "_node_id": 1}.items():
        monkeypatch.setattr(TaskIdentity, name, value)
