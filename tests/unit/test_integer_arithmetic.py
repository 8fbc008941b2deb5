"""Fixed-point factors, proven floating-point rounding, tables and straight lines, against exact fractions."""

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from compresslab.compress import fixed_point
from compresslab.compress.activations import CODES, approximate, curve, place_knots, table
from compresslab.compress.affine import affine_parameters
from compresslab.engines.proven_rounding import prove, thresholds
from compresslab.models.numpy.activations import activate

FACTORS = st.floats(2.0**-40, 2.0**20)
ACCUMULATORS = st.integers(-(2**31), 2**31 - 1)


@given(FACTORS)
def test_a_factor_keeps_thirty_bits(factor):
    multiplier, shift = fixed_point.encode(np.array([factor]))
    error = abs(Fraction(int(multiplier[0]), 2 ** int(shift[0])) - Fraction(factor))
    assert error <= Fraction(factor) / 2**30 + Fraction(1, 2**63)


@given(FACTORS, ACCUMULATORS)
def test_multiplication_rounds_the_exact_product_half_up(factor, accumulator):
    multiplier, shift = fixed_point.encode(np.array([factor]))
    exact = Fraction(accumulator * int(multiplier[0]), 2 ** int(shift[0]))
    result = fixed_point.multiply(np.array([accumulator], np.int32), multiplier, shift)
    assert result.dtype == np.int64
    assert result[0] == floor(exact + Fraction(1, 2))


@pytest.mark.parametrize(("accumulator", "expected"), [(1, 1), (-1, 0), (3, 2), (-3, -1), (2, 1), (-2, -1), (0, 0)])
def test_halves_go_up(accumulator, expected):
    multiplier, shift = fixed_point.encode(np.array([0.5]))
    assert fixed_point.multiply(np.array([accumulator], np.int32), multiplier, shift)[0] == expected


def test_requantization_saturates_and_clamps():
    multiplier, shift = fixed_point.encode(np.array([1.0]))
    sums = np.array([-(2**31), -20, -10, 0, 300, 2**31 - 1], np.int32)
    codes = fixed_point.requantize(sums, multiplier, shift, np.int8(10), np.int8(-128))
    np.testing.assert_array_equal(codes, [-128, -10, 0, 10, 127, 127])
    clamped = fixed_point.requantize(sums, multiplier, shift, np.int8(10), np.int8(10))
    np.testing.assert_array_equal(clamped, [10, 10, 10, 10, 127, 127])


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf, 2.0**31])
def test_impossible_factors_are_refused(bad):
    with pytest.raises(ValueError, match="fixed-point factors must be"):
        fixed_point.encode(np.array([bad]))


@given(st.floats(2.0**-20, 4.0), st.booleans(), st.integers(-(2**22), 2**22))
def test_tie_free_factors_stay_away_from_halves(factor, larger, accumulator):
    changed = float(fixed_point.tie_free(np.array([factor]), larger)[0])
    assert (changed >= factor) if larger else (changed <= factor)
    assert abs(changed / factor - 1) < 0.004
    unit = 2 ** max(int(np.frexp(factor)[1]) + 9, 0)
    denominator = round(unit / changed)
    assert denominator % 2 == 1
    product = accumulator * Fraction(unit, denominator)
    assert abs(product - floor(product) - Fraction(1, 2)) >= Fraction(1, 2 * denominator)


@settings(max_examples=200)
@given(
    st.floats(2.0**-14, 2.0),
    st.booleans(),
    st.integers(-128, 127),
    st.integers(1000, 2**24 - 1),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_what_is_proven_is_true(factor, tie_free, zero_point, bound, as_index, seed):
    """Evaluate the proven form, as the engine does, on random sums and around every step; compare with the integers."""
    factors = np.array([factor])
    multiplier, shift = fixed_point.encode(fixed_point.tie_free(factors, larger=True) if tie_free else factors)
    codes = range(-128 - zero_point, 128 - zero_point)
    rounding = prove(multiplier, shift, codes, bound, as_index)
    assume(rounding is not None)
    generator = np.random.default_rng(seed)
    steps = np.array(thresholds(int(multiplier[0]), int(shift[0]), codes))
    sums = np.concatenate([steps - 1, steps, generator.integers(-bound, bound, 3000), [-bound, bound]])
    sums = sums[np.abs(sums) <= bound]
    expected = np.clip(fixed_point.multiply(sums, multiplier, shift), codes[0], codes[-1])
    carried = (sums + rounding.starts[0].astype(np.float64)).astype(rounding.dtype)
    np.testing.assert_array_equal(carried, sums + rounding.starts[0].astype(np.float64))  # Nothing was rounded.
    scaled = carried * rounding.factors[0]
    found = np.trunc(scaled) + codes[0] if as_index else np.rint(scaled)
    np.testing.assert_array_equal(np.clip(found, codes[0], codes[-1]), expected)


@pytest.mark.parametrize("as_index", [True, False])
def test_ordinary_layers_are_proven_in_single_precision(as_index):
    generator = np.random.default_rng(0)
    bound = 1_400_000
    factors = fixed_point.tie_free(generator.uniform(0.5, 2, 500) * 2.0**-9, larger=True)
    rounding = prove(*fixed_point.encode(factors), range(-100, 156), bound, as_index)
    assert rounding is not None
    assert rounding.dtype == np.float32


def test_a_rounding_that_single_precision_misses_is_not_proven():
    """An exact tie rounds up in the integers and to even in floating point: halves at odd codes must be noticed."""
    multiplier, shift = fixed_point.encode(np.array([0.5]))
    assert prove(multiplier, shift, range(-128, 128), 1000, as_index=False) is None


def test_sums_beyond_single_precision_are_carried_in_double():
    factors = fixed_point.tie_free(np.array([2.0**-14]), larger=True)
    rounding = prove(*fixed_point.encode(factors), range(-128, 128), 2**25, as_index=False)
    assert rounding is not None
    assert rounding.dtype == np.float64


@pytest.mark.parametrize("activation", ["selu", "gelu", "swish"])
def test_the_table_is_the_rounded_function(activation):
    entering, leaving = affine_parameters(-6, 4), affine_parameters(-1.8, 4.3)
    reals = entering.dequantize(CODES).astype(np.float64)
    np.testing.assert_array_equal(table(activation, entering, leaving), leaving.quantize(activate(reals, activation)))


@pytest.mark.parametrize("activation", ["selu", "gelu", "swish"])
@pytest.mark.parametrize(("segments", "tolerance"), [(4, 12), (8, 4), (16, 2), (64, 1)])
def test_straight_lines_approach_the_table(activation, segments, tolerance):
    entering, leaving = affine_parameters(-6, 4), affine_parameters(-1.8, 4.3)
    lines = curve(activation, entering, leaving, segments)
    outputs = lines.evaluate(CODES)
    exact = table(activation, entering, leaving).astype(int)
    assert len(lines.slopes) == segments
    assert len(lines.breakpoints) == segments - 1
    assert np.abs(outputs.astype(int) - exact).max() <= tolerance
    assert [array.dtype for array in lines] == [np.int8, np.int16, np.int32, np.int8]


@given(st.floats(0.1, 50), st.floats(0.1, 50), st.sampled_from(["selu", "gelu", "swish"]), st.integers(2, 40))
@settings(max_examples=30, deadline=None)
def test_straight_lines_fit_their_integers_at_any_scale(below, above, activation, segments):
    entering = affine_parameters(-below, above)
    outputs = activate(entering.dequantize(CODES), activation)
    leaving = affine_parameters(float(outputs.min()), float(outputs.max()))
    lines = curve(activation, entering, leaving, segments)
    segment = [sum(start <= code for start in lines.breakpoints.tolist()) for code in CODES.tolist()]
    expected = [
        min(max((int(lines.slopes[s]) * code + int(lines.intercepts[s])) >> int(lines.slope_shift), -128), 127)
        for s, code in zip(segment, CODES.tolist(), strict=True)
    ]
    np.testing.assert_array_equal(lines.evaluate(CODES), expected)


def test_knots_are_the_best_of_all():
    """Two segments on eight points: the dynamic program against trying every knot."""
    grid, outputs = np.arange(8.0), np.array([0, 0, 0, 1, 3, 6, 6, 7.0])

    def error(knots):
        return ((np.interp(grid, grid[knots], outputs[knots]) - outputs) ** 2).sum()

    best = min(([0, middle, 7] for middle in range(1, 7)), key=error)
    np.testing.assert_array_equal(place_knots(grid, outputs, 2), best)
    with pytest.raises(ValueError, match="segments must be 1 to 7, got 8"):
        place_knots(grid, outputs, 8)


@pytest.mark.parametrize("activation", ["selu", "gelu", "swish"])
def test_the_real_approximation_is_close_and_follows_the_tails(activation):
    values = np.linspace(-30, 30, 4001).astype(np.float32)
    error = np.abs(approximate(values, activation, 16) - activate(values.astype(np.float64), activation))
    assert error.max() < 0.03
    assert np.abs(approximate(values, activation, 64) - activate(values.astype(np.float64), activation)).max() < 0.003
