"""Checks that the constants of compiled code survive fixed point.

``jnp.mean`` multiplies by 1/rows, and the compiler folds two constants into one: with 18 bits
behind the binary point 1/30,000 is 8 % off and 1/240² is 12 % off. SPU computes on without a
word, so such code is refused.
"""

import math
import re

COARSE = 0.05
"""Relative error of a constant from which on code is refused."""

_CONSTANT = re.compile(r"pphlo\.constant dense<([^>\[\"]+)> : tensor<(?:\d+x)*f\d\d>")


def lost(code: str, bits: int) -> tuple[float, float] | None:
    """Return the constant that loses the most, with its relative error; None when all hold.

    Parameters
    ----------
    code : str
        As SPU's compiler gives it. Tables of constants are not looked at, single ones are.
    bits : int
        Bits behind the binary point; what is beyond them is cut off.
    """
    found = {float(text) for text in _CONSTANT.findall(code)}
    errors = {value: _error(value, bits) for value in found if value and math.isfinite(value)}
    worst = max(errors, key=errors.__getitem__, default=0.0)
    return (worst, errors[worst]) if errors.get(worst, 0.0) > COARSE else None


def _error(value: float, bits: int) -> float:
    scaled = abs(value) * 2.0**bits
    return 1 - math.floor(scaled) / scaled
