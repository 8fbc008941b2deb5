"""Choosing scales and zero points: affine int8 for activations, symmetric int8 for weights, and the observed ranges."""

from typing import Protocol

import numpy as np

from compresslab.models.numpy.affine import QMAX, QMIN, Affine


def affine_parameters(lowest: float, highest: float) -> Affine:
    """Return S = (r_max - r_min)/(q_max - q_min) and Z = q_min - r_min/S, rounded and clamped, for int8 codes.

    The range is first widened to contain zero, so that zero (padding, ReLU's corner) has an exact code and the clamping
    of Z never bites (Jacob et al. 2018, section 2.1). A range that is only zero gets the scale 1.
    """
    if not (np.isfinite(lowest) and np.isfinite(highest)) or lowest > highest:
        raise ValueError(f"a range must be finite and ordered, got [{lowest}, {highest}]")
    lowest, highest = min(float(lowest), 0.0), max(float(highest), 0.0)
    scale = np.float32((highest - lowest) / (QMAX - QMIN))
    if scale == 0:
        return Affine(np.array(1, np.float32), np.array(0, np.int8))
    zero_point = np.clip(np.rint(QMIN - lowest / float(scale)), QMIN, QMAX)
    return Affine(np.array(scale), np.array(zero_point, np.int8))


def symmetric_scales(weight: np.ndarray, granularity: str) -> np.ndarray:
    """Return float64 scales ``max|w| / 127`` of a weight (..., out): (out,) per ``channel``, (1,) per ``tensor``.

    Codes are -127 ... 127 with zero point 0. Weights that are all zero get the scale 1/127.
    """
    sizes = np.abs(weight, dtype=np.float64).reshape(-1, weight.shape[-1])
    largest = sizes.max(0) if granularity == "channel" else sizes.max(keepdims=True).reshape(1)
    return np.where(largest > 0, largest, 1.0) / QMAX


class Observer(Protocol):
    """Sees the values of one tensor, batch by batch, and says what range its codes should cover."""

    def observe(self, values: np.ndarray) -> None:
        """Take in one batch of values."""

    def affine(self) -> Affine:
        """Return the affine parameters of the range seen so far."""


class MinMax:
    """The smallest and the largest value seen."""

    def __init__(self) -> None:
        self._lowest, self._highest = np.inf, -np.inf

    def observe(self, values: np.ndarray) -> None:
        """Take in one batch of values."""
        self._lowest = min(self._lowest, float(values.min()))
        self._highest = max(self._highest, float(values.max()))

    def affine(self) -> Affine:
        """Return the affine parameters of [smallest, largest]."""
        return affine_parameters(self._lowest, self._highest)


class Percentile:
    """The range between the percentiles ``100 - percentile`` and ``percentile`` of all values: cuts rare outliers."""

    def __init__(self, percentile: float) -> None:
        if not 50 < percentile <= 100:
            raise ValueError(f"percentile must be above 50 and at most 100, got {percentile}")
        self._percentile = percentile
        self._batches: list[np.ndarray] = []

    def observe(self, values: np.ndarray) -> None:
        """Take in one batch of values (kept: the percentiles are exact)."""
        self._batches.append(values.ravel())

    def affine(self) -> Affine:
        """Return the affine parameters of the two percentiles."""
        values = np.concatenate(self._batches)
        lowest, highest = np.percentile(values, (100 - self._percentile, self._percentile))
        return affine_parameters(float(lowest), float(highest))


def observer(ranges: str, percentile: float) -> Observer:
    """Return a fresh observer: ``minmax``, or ``percentile`` with its level."""
    match ranges:
        case "minmax":
            return MinMax()
        case "percentile":
            return Percentile(percentile)
    raise ValueError(f"unknown ranges {ranges!r}; known are minmax, percentile")
