"""SELU, GELU and Swish on int8 codes: a table of all 256 outputs, or a few straight lines.

The table is exact: ``LUT[q] = Q(f(S_in (q - Z_in)))``. The lines interpolate the same function between *knots*, which a
dynamic program places so that the summed squared error over the grid is the least possible (Bellman & Roth 1969).
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from compresslab.models.numpy.activations import activate
from compresslab.models.numpy.affine import QMAX, QMIN, Affine

CODES = np.arange(QMIN, QMAX + 1, dtype=np.int8)

REAL_KNOT_RANGES = {"selu": 8.0, "gelu": 8.0, "swish": 14.0}
"""How far from zero each curve bends: beyond, it is a straight line to within 0.0006 (Swish, to the right, 1e-6 x)."""


class Curve(NamedTuple):
    """A piecewise-linear curve on int8 codes, in integers.

    ``y = (slopes[s] * q + intercepts[s]) >> slope_shift``, saturated to int8, where s counts the ``breakpoints`` <= q.
    The intercepts contain the half that makes the shift round half up.
    """

    breakpoints: np.ndarray
    slopes: np.ndarray
    intercepts: np.ndarray
    slope_shift: np.ndarray

    def evaluate(self, codes: np.ndarray) -> np.ndarray:
        """Return the int8 outputs of int8 ``codes``; every intermediate is an integer (int32 at most)."""
        segment = np.searchsorted(self.breakpoints, codes, side="right")
        lines = self.slopes[segment].astype(np.int32) * codes.astype(np.int32) + self.intercepts[segment]
        values = lines >> self.slope_shift.astype(np.int32)
        return np.minimum(np.maximum(values, np.int32(QMIN)), np.int32(QMAX)).astype(np.int8)


def table(activation: str, entering: Affine, leaving: Affine) -> np.ndarray:
    """Return the 256 int8 outputs of ``activation`` for codes -128 ... 127, computed in float64 and rounded once."""
    return leaving.quantize(activate(_reals(entering), activation))


def curve(activation: str, entering: Affine, leaving: Affine, segments: int) -> Curve:
    """Return the integer curve of ``activation`` with that many ``segments`` between int8 codes.

    The slopes get as many fractional bits as int16 slopes and int32 sums allow.
    """
    outputs = activate(_reals(entering), activation) / float(leaving.scale) + float(leaving.zero_point)
    codes = CODES.astype(np.float64)
    knots = place_knots(codes, np.clip(outputs, QMIN, QMAX), segments)
    heights = np.clip(outputs, QMIN, QMAX)[knots]
    slopes = np.diff(heights) / np.diff(codes[knots])
    offsets = heights[:-1] - slopes * codes[knots[:-1]]
    shift = _slope_shift(slopes, offsets)
    unit = 2.0**shift
    return Curve(
        breakpoints=CODES[knots[1:-1]],
        slopes=np.rint(slopes * unit).astype(np.int16),
        intercepts=np.rint((offsets + 0.5) * unit).astype(np.int32),
        slope_shift=np.array(shift, np.int8),
    )


def approximate(values: np.ndarray, activation: str, segments: int) -> np.ndarray:
    """Return the float piecewise-linear approximation of ``activation``, float32: the reference's ``f_approx``.

    Its knots depend on the function and on ``segments`` alone, so nothing is stored with a network. Beyond the
    outermost knots the curve follows its tails: the identity (times SELU's scale) to the right, a constant to the
    left.
    """
    knots, heights = _real_knots(activation, segments)
    tail = np.maximum(values - knots[-1], 0) * np.float32(heights[-1] / knots[-1])
    return np.interp(values, knots, heights).astype(np.float32) + tail


def place_knots(grid: np.ndarray, outputs: np.ndarray, segments: int) -> np.ndarray:
    """Return the ``segments + 1`` indices into ``grid`` (first and last included) where straight lines join best.

    Minimizes the summed squared error of linear interpolation over the grid: ``best[s, j] = min_i best[s-1, i] +
    cost[i, j]``. Ties go to the earliest knot, so the result is deterministic. Raises ValueError for more segments
    than the grid has.
    """
    points = len(grid)
    if not 1 <= segments < points:
        raise ValueError(f"segments must be 1 to {points - 1}, got {segments}")
    cost = _interpolation_costs(grid, outputs)
    best = cost[0]
    origins = []
    for _ in range(segments - 1):
        totals = best[:, np.newaxis] + cost
        origin = totals.argmin(0)
        best = totals[origin, np.arange(points)]
        origins.append(origin)
    knots = [points - 1]
    for origin in reversed(origins):
        knots.append(int(origin[knots[-1]]))
    return np.array([0, *reversed(knots)])


def _interpolation_costs(grid: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """Return the squared error of the chord from point i to point j over the points between; infinite for j <= i."""
    points = len(grid)
    costs = np.full((points, points), np.inf)
    for first in range(points - 1):
        run, rise = grid[first:] - grid[first], outputs[first:] - outputs[first]
        slope = rise[1:] / run[1:]
        errors = (slope[:, np.newaxis] * run - rise) ** 2
        costs[first, first + 1 :] = np.tril(errors, 1).sum(1)
    return costs


def _slope_shift(slopes: np.ndarray, offsets: np.ndarray) -> int:
    """Return the largest shift (1 ... 14) that keeps slopes in int16 and every ``slope * q + intercept`` in int32."""
    steepest, highest = np.abs(slopes).max(), np.abs(offsets).max() + 0.5
    for shift in range(14, 0, -1):
        unit = 2**shift
        if steepest * unit < 2**15 - 1 and (128 * steepest + highest) * unit < 2**31 - 2**9:
            return shift
    raise ValueError(f"a slope of {steepest} between int8 codes is too steep for an int16")


@lru_cache
def _real_knots(activation: str, segments: int) -> tuple[np.ndarray, np.ndarray]:
    reach = REAL_KNOT_RANGES[activation]
    grid = np.linspace(-reach, reach, 257)
    heights = activate(grid, activation)
    knots = place_knots(grid, heights, segments)
    return grid[knots], heights[knots]


def _reals(affine: Affine) -> np.ndarray:
    return float(affine.scale) * (CODES.astype(np.float64) - float(affine.zero_point))
