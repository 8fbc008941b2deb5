"""Statistics against published examples, simulation and properties."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import norm

from compresslab.measure.predictions import Predictions
from compresslab.tables.comparisons import compare
from compresslab.tables.statistics import (
    Estimate,
    agreement_percent,
    difference,
    mcnemar_p,
    paired_difference,
    quotient,
    relative_l2_percent,
    seed_mean,
    smallest_detectable_points,
)

ANSWERS = hnp.arrays(np.int64, 12, elements=st.integers(0, 3))
VECTORS = hnp.arrays(np.float32, 6, elements=st.floats(-100, 100, width=32, allow_subnormal=False))


@st.composite
def discordant(draw):
    images = draw(st.integers(1, 2000))
    first = draw(st.integers(0, images))
    return first, draw(st.integers(0, images - first)), images


def test_mcnemar_of_the_airway_study():
    # Bentur et al. (2009), the example of Fagerland, Lydersen and Laake (2013): 1 and 7 discordant, exact p = 0.0703.
    assert mcnemar_p(1, 7) == pytest.approx(0.0703125)


def test_mcnemar_of_agrestis_approval_ratings():
    # Agresti, Categorical Data Analysis, table 10.1: 150 and 86 discordant, z0^2 = 17.36, p < 0.0001.
    assert mcnemar_p(86, 150) == pytest.approx(2 * norm.sf(math.sqrt(17.36)), rel=0.25)


@pytest.mark.parametrize(("only_first", "only_second"), [(0, 0), (3, 3), (1, 0), (5, 0)])
def test_mcnemar_of_few_images_shows_nothing(only_first, only_second):
    assert mcnemar_p(only_first, only_second) >= 0.05


def test_six_discordant_images_on_one_side_are_the_fewest_that_show():
    assert mcnemar_p(6, 0) == pytest.approx(2 / 2**6)


@given(st.integers(0, 500), st.integers(0, 500))
def test_mcnemar_is_symmetric(first, second):
    assert mcnemar_p(first, second) == pytest.approx(mcnemar_p(second, first))


@pytest.mark.parametrize(
    ("only_first", "only_second", "images", "low", "high"),
    [
        # The airway study again (Fagerland, Lydersen and Laake 2014, table: Tango's interval).
        (1, 7, 21, -0.517, -0.026),
        # Tango (1998), an example of 32 pairs; the same figures stand in the tests of R's ratesci.
        (9, 3, 32, -0.027, 0.390),
    ],
)
def test_paired_interval_is_the_published_one(only_first, only_second, images, low, high):
    estimate = paired_difference(only_first, only_second, images)
    assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=6e-4)


def test_interval_without_discordant_images_has_tangos_closed_form():
    square = norm.ppf(0.975) ** 2
    estimate = paired_difference(0, 0, 10_000)
    assert estimate.high == pytest.approx(square / (10_000 + square))
    assert estimate.low == pytest.approx(-estimate.high)


@given(discordant())
def test_paired_interval_is_ordered_inside_its_range_and_antisymmetric(counts):
    first, second, images = counts
    estimate, mirrored = paired_difference(first, second, images), paired_difference(second, first, images)
    assert -1 <= estimate.low <= estimate.value <= estimate.high <= 1
    assert (mirrored.low, mirrored.high) == pytest.approx((-estimate.high, -estimate.low), abs=1e-9)


def test_paired_interval_covers_the_truth_as_often_as_it_says():
    generator = np.random.default_rng(0)
    images, only_first, only_second = 500, 0.04, 0.02
    draws = generator.multinomial(images, [only_first, only_second, 1 - only_first - only_second], size=1500)
    intervals = (paired_difference(first, second, images) for first, second, _ in draws.tolist())
    covered = np.mean([interval.low <= only_first - only_second <= interval.high for interval in intervals])
    assert covered == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize("counts", [(-1, 0, 5), (3, 3, 5), (0, 0, 0)])
def test_impossible_counts_are_refused(counts):
    with pytest.raises(ValueError, match="cannot be among"):
        paired_difference(*counts)


@pytest.mark.parametrize(("discordance", "images"), [(0.02, 10_000), (0.1, 2_000), (0.3, 400)])
def test_the_smallest_detectable_drop_is_found_four_times_in_five(discordance, images):
    drop = smallest_detectable_points(discordance, images) / 100
    worse, better = (discordance + drop) / 2, (discordance - drop) / 2
    draws = np.random.default_rng(1).multinomial(images, [worse, better, 1 - discordance], size=4000)
    statistic = (draws[:, 0] - draws[:, 1]) / np.sqrt(draws[:, 0] + draws[:, 1])
    assert np.mean(statistic > norm.ppf(0.975)) == pytest.approx(0.8, abs=0.03)


def test_without_discordance_a_drop_needs_about_eight_images():
    assert smallest_detectable_points(0.0, 10_000) == pytest.approx(100 * 7.85 / 10_000, rel=0.01)


def test_three_images_detect_nothing():
    assert math.isnan(smallest_detectable_points(0.5, 3))


@given(st.floats(0, 1), st.integers(10, 100_000))
def test_more_images_and_less_discordance_detect_smaller_drops(discordance, images):
    drop = smallest_detectable_points(discordance, images)
    assert smallest_detectable_points(discordance, 2 * images) < drop
    assert smallest_detectable_points(discordance / 2, images) <= drop + 1e-9


@given(ANSWERS, ANSWERS)
def test_agreement_is_symmetric_and_total_with_itself(answers, others):
    assert agreement_percent(answers, others) == agreement_percent(others, answers)
    assert agreement_percent(answers, answers) == 100


@given(VECTORS, VECTORS, st.floats(0.5, 10))
def test_relative_l2_is_zero_only_for_equals_and_has_no_unit(values, reference, factor):
    error = relative_l2_percent(values, reference)
    assert (error == 0) == bool((values == reference).all())
    assume(np.linalg.norm(reference) > 1e-3)
    scaled = relative_l2_percent(values * np.float64(factor), reference * np.float64(factor))
    assert scaled == pytest.approx(error, rel=1e-6, abs=1e-9)


def test_relative_l2_by_hand():
    assert relative_l2_percent(np.array([3.0, 4.5]), np.array([3.0, 4.0])) == pytest.approx(10)


def test_seed_interval_by_hand():
    # t(0.975; 2) = 4.303; standard deviation 1, standard error 1 / sqrt 3.
    estimate = seed_mean([97.0, 98.0, 99.0])
    assert estimate.value == pytest.approx(98)
    assert estimate.high - estimate.value == pytest.approx(4.302653 / math.sqrt(3))


def test_one_seed_has_no_interval_and_equal_seeds_no_width():
    assert math.isnan(seed_mean([97.0]).low)
    assert seed_mean([0.1] * 3).low == seed_mean([0.1] * 3).high


def test_difference_adds_half_widths_in_squares():
    estimate = difference(Estimate(10, 7, 13), Estimate(5, 1, 9))
    assert (estimate.value, estimate.low, estimate.high) == (5, 0, 10)


@given(st.floats(0.1, 10), st.floats(0.1, 10), st.floats(1, 2), st.floats(1, 2))
def test_quotient_and_its_inverse_have_inverse_intervals(first, second, spread, other_spread):
    one = Estimate(first, first / spread, first * spread)
    two = Estimate(second, second / other_spread, second * other_spread)
    forward, backward = quotient(one, two), quotient(two, one)
    assert forward.value == pytest.approx(first / second)
    assert (forward.low, forward.high) == pytest.approx((1 / backward.high, 1 / backward.low))


def test_quotient_by_something_that_may_be_zero_is_open():
    estimate = quotient(Estimate(4), Estimate(2, -1, 5))
    assert (estimate.value, estimate.high) == (pytest.approx(2), math.inf)
    with pytest.raises(ValueError, match="positive"):
        quotient(Estimate(4), Estimate(0))


def one_hot(answers, labels, classes=2):
    return Predictions(np.eye(classes, dtype=np.float32)[answers], np.asarray(labels), np.arange(len(labels)))


def pair_of_predictions(only_variant, only_reference, both):
    labels = np.zeros(only_variant + only_reference + both, np.int64)
    variant, parent = labels.copy(), labels.copy()
    parent[:only_variant] = 1
    variant[only_variant : only_variant + only_reference] = 1
    return one_hot(variant, labels), one_hot(parent, labels)


@pytest.mark.parametrize(
    ("only_variant", "only_reference", "verdict"),
    [(40, 10, "better"), (10, 40, "worse"), (12, 10, "noise"), (5, 0, "noise")],
)
def test_verdicts_of_a_comparison(only_variant, only_reference, verdict):
    row = compare(*pair_of_predictions(only_variant, only_reference, both=950))
    assert row["accuracy_verdict"] == verdict
    assert (row["only_variant_correct"], row["only_reference_correct"]) == (only_variant, only_reference)
    images = only_variant + only_reference + 950
    assert row["images"] == images
    assert row["accuracy_difference_points"] == pytest.approx(100 * (only_variant - only_reference) / images)
    assert row["agreement_percent"] == pytest.approx(100 * 950 / images)


def test_a_variant_agrees_with_itself():
    variant, _ = pair_of_predictions(3, 2, 20)
    row = compare(variant, variant)
    assert (row["agreement_percent"], row["relative_l2_percent"], row["mcnemar_p"]) == (100, 0, 1)
    assert row["accuracy_verdict"] == "noise"


def test_confidence_is_that_in_the_answer_of_the_reference():
    """Two images, two classes; logits are log odds, so that probabilities are known."""
    labels, indices = np.array([0, 1]), np.arange(2)
    reference = Predictions(np.log([[0.9, 0.1], [0.2, 0.8]]).astype(np.float32), labels, indices)
    # Of the first image's answer 50 points less, so that the answer flips; of the second one's 10 points more.
    variant = Predictions(np.log([[0.4, 0.6], [0.1, 0.9]]).astype(np.float32), labels, indices)
    row = compare(variant, reference)
    assert row["confidence_shift_points"] == pytest.approx((-50 + 10) / 2, abs=1e-4)
    assert row["confidence_distance_points"] == pytest.approx((50 + 10) / 2, abs=1e-4)


@given(st.integers(0, 10**6))
def test_confidence_neither_feels_a_shift_of_all_logits_nor_moves_farther_than_its_distance(seed):
    random = np.random.default_rng(seed)
    logits, others = random.normal(0, 5, (2, 9, 4)).astype(np.float32)
    labels, indices = random.integers(0, 4, 9), np.arange(9)
    reference = Predictions(logits, labels, indices)
    raised = compare(Predictions(logits + np.float32(7), labels, indices), reference)
    assert raised["confidence_distance_points"] == pytest.approx(0, abs=1e-3)
    row = compare(Predictions(others, labels, indices), reference)
    assert abs(row["confidence_shift_points"]) <= row["confidence_distance_points"] + 1e-9


def test_predictions_of_other_images_are_not_compared():
    variant, parent = pair_of_predictions(3, 2, 20)
    shifted = Predictions(parent.logits, parent.labels, parent.indices + 1)
    with pytest.raises(ValueError, match="same test images"):
        compare(variant, shifted)
