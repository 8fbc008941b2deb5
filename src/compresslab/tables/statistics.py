"""The statistics that the tables and verdicts rest on.

Two variants are always scored on the same test images, so every comparison is paired: what counts is the
discordant images, those that exactly one of the two classifies correctly.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.stats import binomtest, norm, t

CONFIDENCE = 0.95
SIGNIFICANCE = 1 - CONFIDENCE
POWER = 0.80


@dataclass(frozen=True)
class Estimate:
    """A measured value with its 95 % interval; the bounds are NaN where no interval can be given."""

    value: float
    low: float = math.nan
    high: float = math.nan

    @property
    def reach(self) -> tuple[float, float]:
        """The interval, or the value twice where there is none."""
        if math.isnan(self.low) or math.isnan(self.high):
            return self.value, self.value
        return self.low, self.high

    def scaled(self, factor: float) -> "Estimate":
        """The estimate in another unit; ``factor`` is positive."""
        return Estimate(self.value * factor, self.low * factor, self.high * factor)


def agreement_percent(answers: np.ndarray, others: np.ndarray) -> float:
    """Share of images, in percent, to which both variants give the same class; both int (N,), right or wrong."""
    if answers.shape != others.shape or answers.size == 0:
        raise ValueError(f"agreement needs the same images on both sides, found {answers.shape} and {others.shape}")
    return 100 * float(np.mean(answers == others))


def mcnemar_p(only_first: int, only_second: int) -> float:
    """Two-sided p of McNemar's exact test: the discordant images as fair coin flips; 1 when there are none."""
    discordant = only_first + only_second
    return float(binomtest(only_first, discordant, 0.5).pvalue) if discordant else 1.0


def paired_difference(only_first: int, only_second: int, images: int) -> Estimate:
    """Difference of two paired proportions, first minus second, as fractions, with Tango's score interval.

    Tango (1998), "Equivalence test and confidence interval for the difference in proportions for the paired-sample
    design", Statistics in Medicine 17: the interval holds every difference that a score test at 5 % does not
    reject. It keeps its coverage with few discordant images, where Wald's collapses to nothing.
    """
    if min(only_first, only_second) < 0 or only_first + only_second > images or images < 1:
        raise ValueError(f"{only_first} and {only_second} discordant images cannot be among {images}")
    value = (only_first - only_second) / images
    critical = float(norm.ppf(1 - SIGNIFICANCE / 2))

    def excess(sign: float) -> Callable[[float], float]:
        return lambda difference: _tango_score(only_first, only_second, images, difference) - sign * critical

    low = -1.0 if value == -1 else float(brentq(excess(+1), -1, value))
    high = 1.0 if value == 1 else float(brentq(excess(-1), value, 1))
    return Estimate(value, low, high)


def _tango_score(only_first: int, only_second: int, images: int, difference: float) -> float:
    """Score statistic of the hypothesis that the proportions differ by ``difference``; falls as it grows."""
    # The nuisance parameter, P(only second correct), at its maximum-likelihood value under the hypothesis.
    linear = (2 * images - only_first + only_second) * difference - only_first - only_second
    constant = -only_second * difference * (1 - difference)
    nuisance = (math.sqrt(max(linear**2 - 8 * images * constant, 0.0)) - linear) / (4 * images)
    surplus = only_first - only_second - images * difference
    variance = images * (2 * nuisance + difference * (1 - difference))
    if variance <= 0:
        return 0.0 if surplus == 0 else math.copysign(math.inf, surplus)
    return surplus / math.sqrt(variance)


def smallest_detectable_points(discordance: float, images: int) -> float:
    """The smallest difference of accuracies, in points, that McNemar's test at 5 % finds with a power of 80 %.

    ``discordance`` is the share of images that exactly one of the two classifies correctly. The difference d solves
    sqrt(n) d = z(1 - alpha/2) sqrt(psi) + z(power) sqrt(psi - d^2) (Connor 1987, Biometrics 43), where psi is the
    discordance, or d itself once the difference needs more discordant images than were seen. NaN when there are
    so few images that even a total difference would escape.
    """
    if not 0 <= discordance <= 1 or images < 1:
        raise ValueError(f"a discordance of {discordance} among {images} images is impossible")
    critical, power = float(norm.ppf(1 - SIGNIFICANCE / 2)), float(norm.ppf(POWER))

    def surplus(difference: float) -> float:
        psi = max(discordance, difference)
        noise = critical * math.sqrt(psi) + power * math.sqrt(max(psi - difference**2, 0.0))
        return math.sqrt(images) * difference - noise

    # Just above zero the surplus is negative; at exactly zero it would be a false root without discordance.
    start = 1e-9 / images
    return 100 * float(brentq(surplus, start, 1.0)) if surplus(1.0) > 0 else math.nan


def relative_l2_percent(values: np.ndarray, reference: np.ndarray) -> float:
    """Norm of the difference over the norm of the reference, both arrays taken as one long vector, in percent."""
    if values.shape != reference.shape:
        raise ValueError(f"arrays of shapes {values.shape} and {reference.shape} cannot be compared")
    expected = reference.astype(np.float64)
    error = float(np.linalg.norm(values.astype(np.float64) - expected))
    if error == 0:
        return 0.0
    signal = float(np.linalg.norm(expected))
    return 100 * error / signal if signal else math.inf


def seed_mean(values: Sequence[float]) -> Estimate:
    """Mean over seeds with Student's t interval; one seed has no interval."""
    sample = np.asarray(values, dtype=np.float64)
    if sample.size == 0:
        raise ValueError("a mean over seeds needs at least one seed")
    mean = float(sample.mean())
    if sample.size == 1:
        return Estimate(mean)
    # Equal values have no spread, but their floating-point deviation need not be zero.
    spread = 0.0 if np.ptp(sample) == 0 else float(sample.std(ddof=1))
    half = float(t.ppf(1 - SIGNIFICANCE / 2, sample.size - 1)) * spread / math.sqrt(sample.size)
    return Estimate(mean, mean - half, mean + half)


def difference(first: Estimate, second: Estimate) -> Estimate:
    """First minus second of two independent estimates, by the method of variance estimates recovery.

    Zou and Donner (2008), Statistics in Medicine 27: the two one-sided half-widths add in squares, so that intervals
    that are not symmetric stay so. For estimates that share their test images it is conservative.
    """
    value = first.value - second.value
    (first_low, first_high), (second_low, second_high) = first.reach, second.reach
    below = math.hypot(first.value - first_low, second_high - second.value)
    above = math.hypot(first_high - first.value, second.value - second_low)
    return Estimate(value, value - below, value + above)


def unpaired_difference_points(first_percent: float, second_percent: float, images: int) -> Estimate:
    """First minus second of two accuracies of which only the percentages are known, each over ``images`` images.

    Newcombe's interval (1998, Statistics in Medicine 17, method 10): the ``difference`` of two Wilson intervals. In
    points. What two single runs show is what this interval leaves no doubt of.
    """

    def accuracy(percent: float) -> Estimate:
        interval = binomtest(round(images * percent / 100), images).proportion_ci(CONFIDENCE, method="wilson")
        return Estimate(percent, 100 * float(interval.low), 100 * float(interval.high))

    return difference(accuracy(first_percent), accuracy(second_percent))


def quotient(numerator: Estimate, denominator: Estimate) -> Estimate:
    """Quotient of two independent positive estimates: their ``difference`` on the logarithmic scale.

    An interval that reaches zero leaves that side open. Values that are not positive are a ValueError.
    """
    if min(numerator.value, denominator.value) <= 0:
        raise ValueError(f"the quotient of {numerator.value:g} and {denominator.value:g} needs positive values")
    logarithm = difference(_logarithm(numerator), _logarithm(denominator))
    return Estimate(*(math.exp(value) for value in (logarithm.value, logarithm.low, logarithm.high)))


def _logarithm(estimate: Estimate) -> Estimate:
    return Estimate(*(math.log(value) if value > 0 else -math.inf for value in (estimate.value, *estimate.reach)))
