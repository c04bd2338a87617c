"""Federated averaging in flwr's wrapper for central differential privacy, fixed clipping.

Around flwr's own clipping and noise this makes sure of what their calibration takes for
granted: every device weighs the same, the number of devices is that of those who answered, and
every update has a length.
"""

from collections.abc import Iterable
from logging import INFO, WARNING
from math import isfinite, sqrt
from math import log as ln
from typing import Any

import numpy as np
import numpy.typing as npt
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from flwr.serverapp.strategy import DifferentialPrivacyServerSideFixedClipping, FedAvg
from flwr.supercore import log

from .replies import WEIGHT, flaw, usable

TINY = 1e-6


class PrivateFedAvg(DifferentialPrivacyServerSideFixedClipping):
    """FedAvg with clipped updates and Gaussian noise on their plain average.

    Parameters
    ----------
    noise_multiplier, clipping_norm : float
        As flwr's.
    delta : float
        For which the log says epsilon.
    **sampling
        Of FedAvg: whom a round asks.
    """

    def __init__(
        self, noise_multiplier: float, clipping_norm: float, delta: float, **sampling: Any
    ) -> None:
        average = FedAvg(train_metrics_aggr_fn=lambda records, key: MetricRecord(), **sampling)
        super().__init__(average, noise_multiplier, clipping_norm, average.min_train_nodes or 1)
        self.delta = delta

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Return the noisy average of the devices that answered, each of the same weight."""
        found = [reply for reply in replies if not reply.has_error()]
        found = [reply for reply in found if self._prepare(reply)]
        if not found:
            return None, None
        self.num_sampled_clients = len(found)
        arrays, metrics = super().aggregate_train(server_round, found)
        spent = epsilon(server_round, self.noise_multiplier, self.delta)
        log(INFO, "Privacy spent: epsilon %.3f at delta %g", spent, self.delta)
        return arrays, metrics

    def aggregate_evaluate(
        self, server_round: int, replies: Iterable[Message]
    ) -> MetricRecord | None:
        """Return the average of the metrics that can be averaged."""
        return super().aggregate_evaluate(server_round, usable(replies))

    def _prepare(self, reply: Message) -> bool:
        """Give a reply the weight 1 and no other metric; tell whether its update can be clipped.

        One number that is not finite would be in every number of the average.
        """
        records = list(reply.content.array_records.values())
        if len(records) == 1:
            metrics = MetricRecord({WEIGHT: 1})
            reply.content = RecordDict({"arrays": records[0], "metrics": metrics})
        if why := flaw(reply.content, self.current_arrays):
            log(WARNING, "The reply of node %d is left out: %s.", reply.metadata.src_node_id, why)
            return False
        sent = self.current_arrays.to_numpy_ndarrays()
        with np.errstate(all="ignore"):
            length = norm(x - y for x, y in zip(records[0].to_numpy_ndarrays(), sent, strict=True))
        if not isfinite(length):
            log(WARNING, "A reply whose update has no finite length is left out.")
            return False
        if length == 0:  # flwr divides by it
            _nudge(records[0], self.clipping_norm * TINY)
        return True


def norm(arrays: Iterable[npt.NDArray[np.floating]]) -> float:
    """Return the length of an update."""
    return sqrt(sum(float(np.linalg.norm(array)) ** 2 for array in arrays))


def epsilon(rounds: int, noise_multiplier: float, delta: float) -> float:
    """Return an epsilon that `rounds` rounds keep to, by zero-concentrated privacy.

    Bun and Steinke (2016): a round is 1 / (2 z ** 2)-zCDP, rounds add up, and rho-zCDP implies
    (rho + 2 sqrt(rho ln(1 / delta)), delta). Sampling of devices is not counted in.
    """
    rho = rounds / (2 * noise_multiplier**2)
    return rho + 2 * sqrt(rho * ln(1 / delta))


def _nudge(record: ArrayRecord, step: float) -> None:
    """Move one number a little, so that an update has a length."""
    name = next(iter(record))
    values = record[name].numpy().copy()
    values.flat[0] += max(step, abs(float(values.flat[0])) * TINY)
    record[name] = Array(values)
