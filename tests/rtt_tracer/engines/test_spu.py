"""SPU runs, with real processes behind real walls, against the same computation in the clear."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from rtt_tracer.bundle import bundle_function
from rtt_tracer.engines.base import Role
from rtt_tracer.engines.spu import check_results
from tests.rtt_tracer.engines.driver import Run, bank_tables, last, operation

pytestmark = pytest.mark.spu

TRAINING = """
import jax.numpy as jnp
import numpy as np


class Training:
    def initial(self, shapes, parameters):
        width = sum(shape[1] for name, shape in shapes.items() if name.startswith("x"))
        return {"w": np.zeros(width + 1, np.float32), "step": np.zeros((), np.int32)}

    def stage(self, inputs, state, parameters):
        x = self._features(inputs)
        z = x @ state["w"]
        error = 0.5 + z * (0.15012 - 0.001593 * z * z) - inputs["y1"][:, 0]
        step = parameters["learning-rate"] / x.shape[0] * (x.T @ error)
        return {"w": state["w"] - step, "step": state["step"] + 1}

    def outputs(self, inputs, state, parameters):
        z = self._features(inputs) @ state["w"]
        return {"weights": state["w"], "positive": jnp.sum(z > 0), "steps": state["step"]}

    def _features(self, inputs):
        ones = jnp.ones((inputs["x0"].shape[0], 1), jnp.float32)
        return jnp.concatenate([inputs["x0"], inputs["x1"], ones], axis=1)
"""
FUNCTION = '''
"""A user's own file: nothing in it knows of MPC."""

import jax.numpy as jnp


def gap(x0, x1):
    """Return the difference of the columns' means, and the correlation of the first ones."""
    a, b = x0[:, 0] - jnp.mean(x0[:, 0]), x1[:, 0] - jnp.mean(x1[:, 0])
    spread = jnp.sqrt(jnp.mean(a * a) * jnp.mean(b * b))
    return jnp.mean(x0) - jnp.mean(x1), jnp.mean(a * b) / spread
'''
EPOCHS = 3


def training(
    folder: Path, code: str = TRAINING, *, bound: float = 1000.0, more: Sequence[str] = ()
) -> bytes:
    names = ["positive", "steps", *more]
    return operation(
        folder,
        Role.SPU_COMPUTE,
        code,
        "Training",
        stages="epochs",
        outputs=[{"name": "weights", "bound": bound}, *({"name": name} for name in names)],
    )


def in_the_clear(rate: float) -> np.ndarray:
    first, second = bank_tables()
    x = np.stack([first[n] for n in sorted(first)] + [second["b0"], second["b1"]], axis=1)
    x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    w = np.zeros(x.shape[1])
    for _ in range(EPOCHS):
        z = x @ w
        w -= rate / len(x) * (x.T @ (0.5 + z * (0.15012 - 0.001593 * z * z) - second["y"]))
    return w


@pytest.mark.parametrize("protocol", ["ABY3", "SECURENN", "CHEETAH", "SEMI2K"])
def test_training_on_shares_equals_training_in_the_clear(protocol: str, tmp_path: Path) -> None:
    """Every protocol gives the weights that the same steps give on open data.

    Acceptance: 66
    """
    # Prepare
    parameters = {"epochs": EPOCHS, "learning-rate": 1.0, "insecure-dealer": protocol == "SEMI2K"}
    with Run(tmp_path, training(tmp_path), protocol, parameters) as run:
        run.share(bank_tables())

        # Execute
        found = run.run(EPOCHS)

    # Assert
    expected = in_the_clear(1.0)
    assert np.abs(found["weights"] - expected).max() < 5e-3
    assert found["steps"] == EPOCHS
    assert 0 < found["positive"] < 400
    for folder, event in zip(run.results(), run.checkpoints[-1], strict=True):
        assert event.commitment is not None
        check_results(folder, event.commitment)
    for events in run.checkpoints:
        assert len({event.commitment for event in events}) == len(run.parties)
    assert all(end.metrics["bytes_sent"] > 1000 for end in run.ends)


@pytest.mark.parametrize("protocol", ["ABY3", "SECURENN", "CHEETAH"])
def test_a_users_own_function_runs_unchanged(protocol: str, tmp_path: Path) -> None:
    """A JAX file that knows nothing of MPC is an operation of one stage.

    Acceptance: 98
    """
    # Prepare
    path = tmp_path / "statistics_of_mine.py"
    path.write_text(FUNCTION)
    bundle = bundle_function(path, "gap")
    first, second = bank_tables()

    # Execute
    with Run(tmp_path, bundle, protocol, {"field": "FM128", "fraction-bits": 40}) as run:
        run.share([first, second])
        found = run.run(1)

    # Assert
    a, b = first["a0"], second["b0"]
    means = np.mean(list(first.values())) - np.mean([second["b0"], second["b1"]])
    assert abs(found["result0"] - means) < 1e-3
    assert abs(found["result1"] - np.corrcoef(a, b)[0, 1]) < 1e-4


def test_constants_that_fixed_point_cannot_hold_are_no_silent_error(tmp_path: Path) -> None:
    """The compiler folds 1/400 · 1/400 into a constant that 18 bits hold by half: refused."""
    # Prepare
    path = tmp_path / "statistics_of_mine.py"
    path.write_text(FUNCTION)
    with Run(tmp_path, bundle_function(path, "gap"), "ABY3") as run:
        run.rows, run.shapes = 400, [(1,), (1,)]

        # Execute
        end = last(run.begin(0))

    # Assert
    assert end.code == "OPERATION_UNFIT"
    assert "6.25e-06, which is 39% off" in str(end.message)
    assert "fraction-bits=40" in str(end.message)


def test_shares_are_fresh_and_hold_no_row(tmp_path: Path) -> None:
    """Two sharings of the same rows have nothing in common, and a row's bytes are in none.

    Acceptance: 66
    """
    # Prepare
    column = np.full(64, 1234.5, np.float32)
    with Run(tmp_path, training(tmp_path), "CHEETAH") as run:
        # Execute
        run.share([{"a0": column, "a1": column}])

    # Assert
    shares = [(run.work(rank) / "in/shares/x0").read_bytes() for rank in range(2)]
    words = [set(np.frombuffer(share[-1024:], "<u8").tolist()) for share in shares]
    encoded = int(1234.5 * 2**18)
    assert not words[0] & words[1]
    for share, found in zip(shares, words, strict=True):
        assert column[:1].tobytes() * 2 not in share
        assert encoded not in found
        assert len(found) == 128  # equal rows, yet all different
