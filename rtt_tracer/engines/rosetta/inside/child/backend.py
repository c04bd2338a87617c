"""Rosetta's backend under watch: its own calls say nothing when they fail."""

from pathlib import Path
from typing import TYPE_CHECKING

import tensorflow as tf

tf.compat.v1.logging.set_verbosity(tf.compat.v1.logging.ERROR)

import latticex.rosetta as rtt  # noqa: E402
from latticex.rosetta.controller import dataset_api, protocol_api  # noqa: E402

from .talk import Failed  # noqa: E402

if TYPE_CHECKING:
    from .runner import Party

RUNNING, OVER = "running", "over"


class Backend:
    """What has happened to the backend; `state` is empty before it was activated."""

    state = ""


def prepare(party: "Party") -> None:
    """Put checks around activation, deactivation and the reading of private data."""
    activate, deactivate = protocol_api.activate, protocol_api.deactivate
    wanted = party.job["protocol"]

    def checked_activate(protocol_name: str = wanted, protocol_config_str: str = "") -> None:
        if protocol_name not in (None, wanted) or protocol_config_str:
            raise Failed("PROTOCOL_REFUSED", f"the run was agreed for {wanted} and its settings")
        if Backend.state == RUNNING:
            return
        activate(wanted)
        if not rtt.py_protocol_handler.is_activated():
            raise Failed("ACTIVATION_FAILED", f"Rosetta could not activate {wanted}")
        Backend.state = RUNNING

    def checked_deactivate() -> None:
        if Backend.state != RUNNING:
            return
        party.part()
        deactivate()
        Backend.state = OVER
        if rtt.py_protocol_handler.is_activated():
            raise Failed("ACTIVATION_FAILED", "Rosetta could not be deactivated")

    for module in (protocol_api, rtt):
        module.activate, module.deactivate = checked_activate, checked_deactivate
    _check_files(party.job["rank"])


def _check_files(rank: int) -> None:
    """Refuse a missing CSV file, which Rosetta takes for a party without data."""
    plain = dataset_api.PrivateDataset

    class CheckedDataset(plain):  # type: ignore[misc, valid-type]
        def load_X(self, X: object, *args: object, **more: object) -> object:  # noqa: N802, N803
            if rank in self.data_owner_:
                _exists(X)
            return super().load_X(X, *args, **more)

        def load_y(self, y: object, *args: object, **more: object) -> object:
            if rank == self.label_owner_:
                _exists(y)
            return super().load_y(y, *args, **more)

    CheckedDataset.__name__ = plain.__name__
    dataset_api.PrivateDataset = rtt.PrivateDataset = CheckedDataset


def _exists(source: object) -> None:
    if source is None or (isinstance(source, str) and not Path(source).is_file()):
        raise Failed("INPUT_MISSING", "the program reads a file of this party's that is not there")
