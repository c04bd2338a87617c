"""Encoding: every owner's columns become small numbers, by public rules and own rows alone."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from rtt_tracer.operations.reading import bin_names, feature_names, number_names
from rtt_tracer.operations.secret_sharing.columns import Column, features
from rtt_tracer.operations.secret_sharing.encoding import CLIP, one_hot, order, signed_log, standard
from rtt_tracer.operations.secret_sharing.share import share
from tests.rtt_tracer.operations.parts import SCHEMA_A, SCHEMA_B, defaults, table, two_banks

NUMBERS = arrays.arrays(
    np.float64, st.integers(1, 60), elements=st.floats(-1e12, 1e12, allow_subnormal=False)
)


def parameters(**more: Any) -> dict[str, Any]:
    return defaults("secret_sharing") | {"label": "bad"} | more


@given(NUMBERS, st.booleans())
def test_a_number_is_finite_and_of_mean_0_and_deviation_1(values: np.ndarray, log: bool) -> None:
    found = standard(values, Column("n", log=log), "own")

    assert np.isfinite(found).all()
    assert abs(found.mean()) < 1e-3
    assert found.std() == pytest.approx(1, abs=1e-3) or found.std() == 0


@given(NUMBERS)
def test_signed_log_keeps_order_and_sign(values: np.ndarray) -> None:
    values = np.sort(values)

    assert (np.diff(signed_log(values)) >= 0).all()
    np.testing.assert_allclose(signed_log(-values), -signed_log(values))


@given(st.data())
def test_every_declared_category_has_one_place(data: st.DataObject) -> None:
    texts = st.lists(st.text(min_size=1, max_size=3), min_size=1, max_size=20, unique=True)
    numbers = st.lists(st.integers(-9, 99), min_size=1, max_size=20, unique=True)
    column = Column("c", tuple(data.draw(st.one_of(texts, numbers))))
    limit = data.draw(st.integers(2, 24))
    values = np.array(data.draw(st.lists(st.sampled_from(column.codes), min_size=1, max_size=50)))

    hot = one_hot(values, column, limit)

    assert hot.shape == (len(values), min(limit, len(column.categories)))
    assert (hot.sum(axis=1) == 1).all()
    kept = column.codes if len(column.codes) <= limit else column.codes[: limit - 1]
    for code, row in zip(values, hot, strict=True):
        place = kept.index(code) if code in kept else limit - 1
        assert row[place] == 1


COLUMN = st.one_of(
    st.builds(
        lambda low, width: {"type": "float", "minimum": low, "maximum": low + width},
        st.integers(-(10**6), 10**6),
        st.integers(0, 10**6),
    ),
    st.just({"type": "float"}),
    st.builds(
        lambda values: {"type": "category", "categories": values},
        st.lists(st.integers(-5, 50), min_size=1, max_size=12, unique=True),
    ),
    st.builds(
        lambda values: {"type": "category", "categories": values},
        st.lists(st.text(min_size=1, max_size=4), min_size=1, max_size=12, unique=True),
    ),
)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_names_match_the_columns_that_are_shared(data: st.DataObject) -> None:
    """Who knows schema and parameters knows what each number of a result stands for."""
    names = st.text(st.characters(exclude_characters=",", exclude_categories=["Cs"]), min_size=1)
    plain = data.draw(
        st.dictionaries(names.map(str.strip).filter(bool), COLUMN, min_size=1, max_size=6)
    )
    schema = {"key": "id", "columns": plain}
    rng, rows = np.random.default_rng(data.draw(st.integers(0, 9))), 12
    columns = {}
    for name, spec in plain.items():
        codes = Column("", tuple(spec.get("categories", ()))).codes
        low, high = spec.get("minimum", -1), spec.get("maximum", 1)
        columns[name] = rng.choice(codes, rows) if codes else rng.uniform(low, high, rows)
    given_ = defaults("secret_sharing") | {"max-categories": data.draw(st.integers(2, 8))}

    model = share(table(schema, columns), given_, 0)
    described = share(table(schema, columns), given_ | {"encoding": "statistics"}, 0)

    assert model["x"].shape == (rows, len(feature_names([schema], given_)))
    assert described["bins"].shape == (rows, len(bin_names([schema], given_)))
    width = described["x"].shape[1] if "x" in described else 0
    assert width == len(number_names([schema], given_))
    assert np.abs(model["x"]).max() <= CLIP
    for array in (*model.values(), *described.values()):
        assert np.isfinite(array).all()


def test_the_label_is_nobodys_feature_and_comes_from_one_party() -> None:
    """Also at a party that has a column of the same name."""
    a, b = two_banks(200)

    first, second = share(a, parameters(), 0), share(b, parameters(), 1)

    names = feature_names([SCHEMA_A, SCHEMA_B], parameters())
    assert not [name for name in names if name.startswith("bad")]
    assert set(first) == {"x", "y"} and set(second) == {"x"}
    assert set(share(b, parameters(**{"label-party": 1}), 1)) == {"x", "y"}


@given(st.integers(1, 500), st.integers(0, 2**31 - 1))
def test_all_parties_put_their_rows_in_the_same_order(rows: int, seed: int) -> None:
    """The order depends on what is public; nothing of a row moves it."""
    mine, theirs = order(rows, seed), order(rows, seed)

    assert (mine == theirs).all()
    assert (np.sort(mine) == np.arange(rows)).all()


def test_rows_stay_together() -> None:
    a, b = two_banks(300)

    x = share(a, parameters(columns="age"), 0)
    late = share(b, parameters(columns="late", **{"max-categories": 20}), 1)["x"]

    rows = order(300, 0)
    assert (x["y"][:, 0] == a["bad"][rows]).all()
    assert (late.argmax(axis=1) - 2 == b["late"][rows]).all()
    assert (
        np.argsort(x["x"][:, 0], kind="stable") == np.argsort(a["age"][rows], kind="stable")
    ).all()


def test_amounts_are_found_by_their_declared_range() -> None:
    by_name = {column.name: column for column in features(SCHEMA_A, parameters())}
    asked = {column.name: column for column in features(SCHEMA_A, parameters(amounts="age"))}

    assert by_name["amount"].log and not by_name["age"].log
    assert asked["age"].log and not asked["amount"].log


def test_public_scaling_needs_nothing_of_the_rows() -> None:
    a, _ = two_banks(300)
    half = {name: values if name == "__schema__" else values[:150] for name, values in a.items()}
    public = parameters(scaling="public", columns="age,amount", label="")

    whole, part = share(a, public, 0)["x"], share(half, public, 0)["x"]

    assert np.abs(whole).max() <= 1
    rows, first = order(300, 0), order(150, 0)
    assert (whole[np.argsort(rows)][:150] == part[np.argsort(first)]).all()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"label": "nothing"}, "no label column nothing"),
        ({"label": "age"}, "other values than 0 and 1"),
        ({"columns": "none, such"}, "none of the columns"),
        ({"scaling": "public", "columns": "income"}, "declares no minimum and maximum"),
    ],
)
def test_a_table_that_does_not_fit(more: dict[str, Any], message: str) -> None:
    a, b = two_banks(50)

    with pytest.raises(ValueError, match=message):
        share(
            {**a, **b, "__schema__": b["__schema__"]} if "scaling" in more else a,
            parameters(**more),
            0,
        )


def test_width_bins_follow_the_declared_range() -> None:
    a, _ = two_banks(400)
    chosen = parameters(encoding="statistics", binning="width", columns="age", bins=2, label="")

    bins = share(a, chosen, 0)["bins"]

    above = a["age"][order(400, 0)] >= 69  # the middle of 18 to 120
    assert (bins[:, 1] == above).all() and (bins.sum(axis=1) == 1).all()


def test_a_name_that_nobody_has_is_found_by_the_reader() -> None:
    with pytest.raises(ValueError, match="no party has a column salary"):
        feature_names([SCHEMA_A, SCHEMA_B], parameters(columns="age,salary,late"))
