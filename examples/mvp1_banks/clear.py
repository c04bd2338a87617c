"""The same model in the clear, for comparison: nobody but a demo has both tables."""

from pathlib import Path

import numpy as np

from datatoken.types import Scalar
from examples.support.credit import KEY, Credit
from rtt_tracer.operations.local_logistic_regression.encoding import held_out
from rtt_tracer.operations.local_logistic_regression.train import auc, fit
from rtt_tracer.operations.secret_sharing.share import share
from rtt_tracer.tables import open_table


def auc_in_the_clear(credit: Credit, parameters: dict[str, Scalar], folder: Path) -> float:
    """Return the AUC of a logistic regression of all columns, on the same held-out rows.

    Parameters
    ----------
    parameters : dict
        The effective run configuration of the joint training.
    folder : Path
        For the tables, while this runs.
    """
    arrays = []
    for party, bank in enumerate(("A", "B")):
        path = folder / f"{bank}.npz"
        source = credit.save(bank, folder / f"{bank}.csv")
        open_table(str(source), KEY, credit.schema(bank)).write_npz(path)
        with np.load(path, allow_pickle=False) as file:
            arrays.append(share({name: file[name] for name in file.files}, parameters, party))
    y = arrays[0]["y"][:, 0]
    x = np.column_stack([arrays[0]["x"], arrays[1]["x"], np.ones(len(y))])
    kept = len(y) - held_out(len(y), float(parameters["holdout"]))
    return auc(x[kept:] @ fit(x[:kept], y[:kept]), y[kept:])
