"""The demo's people: real rows, dealt out the same way every time."""

from pathlib import Path

import numpy as np
import pytest

from datatoken.errors import BadInputError
from examples.mvp2_wearables import data


def rows_of(people: data.People) -> set[bytes]:
    return {row.tobytes() for user in people.users for row in np.column_stack([user.x, user.y])}


@pytest.mark.parametrize("users", [2, 4, 10])
def test_heart_rows_are_dealt_out_whole_and_the_unseen_stay_unseen(users: int) -> None:
    people = data.load_people("heart", users)

    assert len(people.users) == users
    assert sum(len(user.y) for user in people.users) + len(people.unseen_y) == 920
    assert {user.label for user in people.users} == {"simulated user"}
    assert all(0.2 < user.y.mean() < 0.8 for user in people.users)
    assert all(np.isfinite(user.x).all() for user in people.users)


def test_the_people_never_seen_do_not_depend_on_the_number_of_users() -> None:
    few, many = data.load_people("heart", 4), data.load_people("heart", 12)

    assert (few.unseen_x == many.unseen_x).all()
    assert rows_of(few) == rows_of(many)


@pytest.mark.parametrize("users", [0, 1, 500])
def test_a_number_of_users_that_cannot_be_is_refused(users: int) -> None:
    with pytest.raises(BadInputError, match="users"):
        data.load_people("heart", users)


def test_ecg_data_that_are_absent_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATATOKEN_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    with pytest.raises(BadInputError, match=r"mitbih_beats\.npz"):
        data.load_people("ecg", 4)


def test_ecg_data_that_were_altered_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATATOKEN_DATA", str(tmp_path))
    (tmp_path / data.ECG_FILE).write_bytes(b"other bytes")

    with pytest.raises(BadInputError, match="sha256"):
        data.load_people("ecg", 4)


def test_every_ecg_device_is_one_real_person() -> None:
    try:
        people = data.load_people("ecg", 5)
    except BadInputError as error:
        pytest.skip(error.message)

    assert len({user.name for user in people.users}) == 5
    assert {user.label for user in people.users} == {"real person"}
    assert all(min(user.y.sum(), (1 - user.y).sum()) >= data.MIN_BEATS for user in people.users)
    assert sum(len(user.y) for user in people.users) + len(people.unseen_y) == 1313
