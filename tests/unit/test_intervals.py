"""Intervals hold what they promise: they contain the estimate, cover the truth, and see through drift."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compresslab.measure.intervals import (
    Interval,
    count_interval,
    index_interval,
    mean_interval,
    paired_ratio,
    round_interval,
    round_quantile_interval,
    speed_verdict,
)

FINITE = st.floats(-1e6, 1e6, allow_nan=False)
POSITIVE = st.floats(1e-3, 1e3, allow_nan=False)


@settings(max_examples=50, deadline=None)
@given(st.lists(FINITE, min_size=1, max_size=40))
def test_mean_interval_contains_the_mean(values: list[float]) -> None:
    interval = mean_interval(np.array(values), resamples=200)
    assert interval.low <= interval.estimate <= interval.high
    assert interval.estimate == pytest.approx(np.mean(values))
    assert min(values) - 1e-6 <= interval.low
    assert interval.high <= max(values) + 1e-6


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(POSITIVE, min_size=1, max_size=20), min_size=1, max_size=6))
def test_round_quantile_interval_stays_inside_the_samples(rounds: list[list[float]]) -> None:
    samples = np.concatenate([np.array(values) for values in rounds])
    indices = np.repeat(np.arange(len(rounds)), [len(values) for values in rounds])
    interval = round_quantile_interval(samples, indices, resamples=200)
    assert samples.min() <= interval.low <= interval.estimate <= interval.high <= samples.max()


def test_same_seed_same_interval() -> None:
    values = np.random.default_rng(1).normal(size=50)
    assert mean_interval(values) == mean_interval(values)
    assert mean_interval(values) != mean_interval(values, seed=1)


def test_mean_interval_covers_the_true_mean_about_95_times_in_100() -> None:
    generator = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        interval = mean_interval(generator.normal(3.0, 2.0, size=60), resamples=400)
        covered += interval.low <= 3.0 <= interval.high
    assert 0.91 <= covered / 400 <= 0.98


def test_interval_over_rounds_covers_the_true_median_although_rounds_differ() -> None:
    generator = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        levels = generator.normal(10.0, 1.0, size=(5, 1))
        samples = (levels + generator.normal(0, 0.2, size=(5, 40))).ravel()
        interval = round_quantile_interval(samples, np.repeat(np.arange(5), 40), resamples=400)
        covered += interval.low <= 10.0 <= interval.high
    assert 0.89 <= covered / 300 <= 0.98


def test_a_quantile_is_bootstrapped_as_if_its_samples_had_been_drawn() -> None:
    samples = np.random.default_rng(2).lognormal(size=101)
    interval = round_quantile_interval(samples, np.zeros(101, int), resamples=20_000)
    drawn = np.random.default_rng(3).choice(samples, size=(20_000, 101))
    expected = np.quantile(np.median(drawn, axis=1), [0.025, 0.975])
    assert [interval.low, interval.high] == pytest.approx(expected, rel=0.03)


def test_counts_and_items_give_the_same_interval() -> None:
    correct = np.repeat([1, 0], [180, 20])
    by_item = mean_interval(correct, resamples=8000)
    by_count = count_interval(np.array([180, 20]), lambda counts: counts[:, 0] / counts.sum(axis=1), resamples=8000)
    assert by_count.estimate == by_item.estimate == 0.9
    assert [by_count.low, by_count.high] == pytest.approx([by_item.low, by_item.high], abs=0.01)


def test_count_interval_keeps_the_shape_of_a_confusion_matrix() -> None:
    confusion = np.array([[40, 10], [5, 45]])
    interval = count_interval(confusion, lambda counts: np.trace(counts, axis1=1, axis2=2) / counts.sum(axis=(1, 2)))
    assert interval.estimate == pytest.approx(0.85)
    assert 0.75 < interval.low < 0.85 < interval.high < 0.93


def test_index_interval_resamples_several_columns_together() -> None:
    pairs = np.random.default_rng(4).normal(size=(80, 2))
    pairs[:, 1] += pairs[:, 0]
    interval = index_interval(80, lambda chosen: (pairs[chosen, 1] - pairs[chosen, 0]).mean(axis=1))
    assert interval.half_width < 0.35


@pytest.mark.parametrize("seed", range(5))
def test_the_ratio_stays_right_while_the_machine_slows_down(seed: int) -> None:
    generator = np.random.default_rng(seed)
    rounds = np.repeat(np.arange(5), 100)
    drift = np.linspace(1.0, 3.0, 5)[rounds]
    baseline = 2.0 * drift * generator.lognormal(0, 0.05, size=500)
    faster = 1.0 * drift * generator.lognormal(0, 0.05, size=500)
    ratio = paired_ratio(baseline, rounds, faster, rounds)
    assert ratio.estimate == pytest.approx(2.0, rel=0.02)
    assert 1.9 < ratio.low <= 2.0 <= ratio.high < 2.1
    assert speed_verdict(ratio) == "faster"


def test_equal_cells_are_noise_and_the_slower_one_is_slower() -> None:
    generator = np.random.default_rng(0)
    rounds = np.repeat(np.arange(5), 100)
    one, other = generator.lognormal(0, 0.1, size=(2, 500))
    assert speed_verdict(paired_ratio(one, rounds, other, rounds)) == "noise"
    assert speed_verdict(paired_ratio(one, rounds, 1.5 * other, rounds)) == "slower"


def test_differences_under_two_percent_are_noise_however_narrow_the_interval() -> None:
    assert speed_verdict(Interval(1.015, 1.014, 1.016)) == "noise"
    assert speed_verdict(Interval(0.985, 0.984, 0.986)) == "noise"
    assert speed_verdict(Interval(1.04, 1.03, 1.05)) == "faster"
    assert speed_verdict(Interval(1.04, 1.03, 1.05), margin=0.05) == "noise"


def test_only_shared_rounds_are_compared() -> None:
    baseline = np.array([2.0, 2.0, 50.0])
    ratio = paired_ratio(baseline, np.array([0, 1, 2]), np.array([1.0, 1.0]), np.array([0, 1]))
    assert ratio == Interval(2.0, 2.0, 2.0)


def test_cells_of_different_sessions_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="share no round"):
        paired_ratio(np.ones(3), np.zeros(3, int), np.ones(3), np.ones(3, int))


def test_round_interval_of_five_rounds_is_nearly_their_range() -> None:
    interval = round_interval(np.array([10.0, 11.0, 12.0, 13.0, 14.0]))
    assert (interval.estimate, interval.low, interval.high) == (12.0, 10.0, 14.0)


@pytest.mark.parametrize("empty", [lambda: mean_interval(np.array([])), lambda: round_interval(np.array([]))])
def test_nothing_has_no_interval(empty: Callable[[], Interval]) -> None:
    with pytest.raises(ValueError, match="no items"):
        empty()
