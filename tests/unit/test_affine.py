"""Scales, zero points and observed ranges."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compresslab.compress.affine import affine_parameters, observer, symmetric_scales

REALS = st.floats(-1e6, 1e6, allow_subnormal=False, width=32)


@given(REALS, REALS)
def test_the_formula_of_scale_and_zero_point(one, other):
    lowest, highest = sorted((one, other))
    affine = affine_parameters(lowest, highest)
    lowest, highest = min(lowest, 0), max(highest, 0)
    if np.float32((highest - lowest) / 255) == 0:
        assert affine.scale == 1
        return
    assert affine.scale == np.float32((highest - lowest) / 255)
    assert affine.zero_point == round(-128 - lowest / float(affine.scale))


@given(REALS, REALS, st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_values_inside_the_range_come_back_within_half_a_step(one, other, fractions):
    lowest, highest = sorted((one, other))
    affine = affine_parameters(lowest, highest)
    values = lowest + np.array(fractions) * (highest - lowest)
    step = float(affine.scale)
    # The zero point is rounded too, so the last half step at either end may be cut off.
    restored = affine.dequantize(affine.quantize(values))
    assert np.all(np.abs(restored - values) <= step * (1 + 1e-3) + 1e-30)


@given(REALS, REALS)
def test_zero_is_exact(one, other):
    affine = affine_parameters(*sorted((one, other)))
    assert affine.dequantize(affine.quantize(np.zeros(1)))[0] == 0


def test_a_range_of_zeros_and_a_range_without_zero():
    assert affine_parameters(0, 0).scale == 1
    positive = affine_parameters(5, 6)
    assert positive.zero_point == -128
    assert positive.scale == np.float32(6 / 255)


@pytest.mark.parametrize("bad", [(1, 0), (0, np.inf), (np.nan, 1)])
def test_impossible_ranges_are_refused(bad):
    with pytest.raises(ValueError, match="a range must be finite and ordered"):
        affine_parameters(*bad)


def test_weight_scales_by_channel_and_by_tensor():
    weight = np.array([[1.0, -4.0, 0.0], [-2.0, 3.0, 0.0]])
    np.testing.assert_allclose(symmetric_scales(weight, "channel"), [2 / 127, 4 / 127, 1 / 127])
    np.testing.assert_allclose(symmetric_scales(weight, "tensor"), [4 / 127])


def test_observers_take_batches_and_percentiles_cut_outliers():
    batches = [np.linspace(-1, 1, 9_999), np.array([-50.0, 100.0])]
    minmax, percentile = observer("minmax", 99.9), observer("percentile", 99.0)
    for batch in batches:
        minmax.observe(batch)
        percentile.observe(batch)
    assert minmax.affine().scale == np.float32(150 / 255)
    assert percentile.affine().scale == pytest.approx(2 * 0.98 / 255, rel=1e-3)


def test_unknown_ranges_and_bad_percentiles_are_named():
    with pytest.raises(ValueError, match="unknown ranges 'entropy'; known are minmax, percentile"):
        observer("entropy", 99)
    with pytest.raises(ValueError, match="percentile must be above 50"):
        observer("percentile", 50)
