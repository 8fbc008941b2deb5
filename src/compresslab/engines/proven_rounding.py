"""Requantization in floating point, proven to give the integers' own bits.

Fixed-point requantization is a monotone step function of the accumulator with at most 255 steps per channel. A
floating-point product, rounded, is monotone too. Two monotone step functions that agree on both sides of every step
agree everywhere: a few hundred evaluations prove a channel, for every accumulator that its weights can produce.

Two forms are sought, both a single multiplication:

*nearest*: ``rint(n * factor)``, the code relative to its zero point; *index*: ``trunc((n + start) * factor)``, the
code relative to the lowest one, for a table. ``start`` is a constant that the bias takes in; it is a multiple of a
power of two so small that sums stay exact.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

EXACT_BITS: dict[np.dtype, int] = {np.dtype(np.float32): 24, np.dtype(np.float64): 53}
"""A floating-point type adds integers below ``2**bits`` exactly, in any order."""


class Rounding(NamedTuple):
    """A proven form of a layer's requantization: the type, and per multiplier the factor and what the bias takes in."""

    dtype: np.dtype
    factors: np.ndarray
    starts: np.ndarray


def prove(multiplier: np.ndarray, shift: np.ndarray, codes: range, bound: int, as_index: bool) -> Rounding | None:
    """Return the narrowest proven form of ``floor(n * multiplier / 2**shift + 1/2)``, or None where there is none.

    ``codes`` are the values from the lowest to the highest that are told apart (what is beyond saturates), ``bound``
    is the largest ``|n|``. ``as_index`` chooses the form *index* over *nearest*.
    """
    form = _index if as_index else _nearest
    for dtype, bits in EXACT_BITS.items():
        if bound >= 2**bits:
            continue
        found = [
            form(mantissa, exponent, codes, bound, dtype)
            for mantissa, exponent in zip(multiplier.tolist(), shift.tolist(), strict=True)
        ]
        proven = [pair for pair in found if pair is not None]
        if len(proven) == len(found):
            return Rounding(dtype, *(np.array(column, dtype) for column in zip(*proven, strict=True)))
    return None


def thresholds(multiplier: int, shift: int, codes: range) -> list[int]:
    """Return, for every code k, the smallest integer n with ``floor(n * multiplier / 2**shift + 1/2) >= k``.

    In Python's integers: ``n >= (k 2**shift - 2**(shift - 1)) / multiplier``, rounded up. The multiplier is positive.
    """
    half = 1 << (shift - 1)
    return [-((half - (code << shift)) // multiplier) for code in codes]


def _nearest(multiplier: int, shift: int, codes: range, bound: int, dtype: np.dtype) -> tuple[float, float] | None:
    factor = dtype.type(multiplier / 2**shift)
    proven = _agrees(multiplier, shift, codes, bound, lambda sums: np.rint(sums.astype(dtype) * factor))
    return (float(factor), 0.0) if proven else None


def _index(multiplier: int, shift: int, codes: range, bound: int, dtype: np.dtype) -> tuple[float, float] | None:
    if not multiplier:
        return None
    real = multiplier / 2**shift
    factor = dtype.type(real)
    ideal = (0.5 - codes[0]) / real
    largest = bound + abs(ideal) + 1
    if not largest * real < 2**30 or largest >= 2 ** EXACT_BITS[dtype]:
        return None
    unit = 2.0 ** (np.frexp(largest)[1] - EXACT_BITS[dtype])
    start = round(ideal / min(unit, 1.0)) * min(unit, 1.0)

    def code(sums: np.ndarray) -> np.ndarray:
        return np.floor((sums + start).astype(dtype) * factor) + codes[0]

    return (float(factor), start) if _agrees(multiplier, shift, codes, bound, code) else None


def _agrees(
    multiplier: int, shift: int, codes: range, bound: int, evaluate: Callable[[np.ndarray], np.ndarray]
) -> bool:
    """Whether ``evaluate``, monotone, passes each code exactly where the fixed-point product does, within ``bound``."""
    if not multiplier:
        return bool(evaluate(np.zeros(1, np.int64))[0] == 0)
    above = codes[1:]
    steps = [min(max(step, -bound - 1), bound + 1) for step in thresholds(multiplier, shift, above)]
    at, values = np.array(steps, np.int64), np.array(above)
    reached, passed = at <= bound, at - 1 >= -bound
    return bool(
        np.all(evaluate(np.maximum(at[reached], -bound)) >= values[reached])
        and np.all(evaluate(at[passed] - 1) < values[passed])
    )
