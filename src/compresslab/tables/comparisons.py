"""A variant against a reference (its parent, or another variant that the lab names) on the same test images."""

from typing import Any

import numpy as np
from scipy.special import softmax

from compresslab.measure.predictions import Predictions
from compresslab.tables.statistics import (
    SIGNIFICANCE,
    Estimate,
    agreement_percent,
    mcnemar_p,
    paired_difference,
    relative_l2_percent,
    smallest_detectable_points,
)


def compare(variant: Predictions, reference: Predictions) -> dict[str, Any]:
    """One row of ``comparisons.csv`` without its identity columns (lab, model, variant, reference, seed).

    Differences are variant minus reference, in points, with Tango's 95 % interval for paired proportions. The verdict
    is ``better`` or ``worse`` only when that interval excludes 0 and McNemar's exact p is below 0.05, else ``noise``.
    The confidence is the probability of the reference's answer: its shift is the mean difference, its distance the mean
    of its size.
    Predictions on other images are a ValueError.
    """
    _check_paired(variant, reference)
    images = len(variant.labels)
    only_variant = int(np.sum(variant.correct & ~reference.correct))
    only_reference = int(np.sum(reference.correct & ~variant.correct))
    difference = paired_difference(only_variant, only_reference, images).scaled(100)
    p = mcnemar_p(only_variant, only_reference)
    shifts = _confidence_shifts(variant, reference)
    return {
        "images": images,
        "agreement_percent": agreement_percent(variant.answers, reference.answers),
        "only_reference_correct": only_reference,
        "only_variant_correct": only_variant,
        "mcnemar_p": p,
        "accuracy_difference_points": difference.value,
        "accuracy_difference_low_points": difference.low,
        "accuracy_difference_high_points": difference.high,
        "relative_l2_percent": relative_l2_percent(variant.logits, reference.logits),
        "confidence_shift_points": 100 * float(shifts.mean()),
        "confidence_distance_points": 100 * float(np.abs(shifts).mean()),
        "smallest_detectable_points": smallest_detectable_points((only_variant + only_reference) / images, images),
        "accuracy_verdict": accuracy_verdict(difference, p),
    }


def accuracy_verdict(difference: Estimate, p: float) -> str:
    """``better``, ``worse`` or ``noise`` for a difference of accuracies and its McNemar p."""
    if p >= SIGNIFICANCE or difference.low <= 0 <= difference.high:
        return "noise"
    return "better" if difference.value > 0 else "worse"


def _confidence_shifts(variant: Predictions, reference: Predictions) -> np.ndarray:
    """How much more probable the variant finds what the reference answers, image by image: (N,), from -1 to 1."""
    chosen = np.arange(len(reference.answers)), reference.answers
    return np.asarray(_probabilities(variant)[chosen] - _probabilities(reference)[chosen])


def _probabilities(predictions: Predictions) -> np.ndarray:
    return np.asarray(softmax(predictions.logits.astype(np.float64), axis=1))


def _check_paired(variant: Predictions, reference: Predictions) -> None:
    if not np.array_equal(variant.indices, reference.indices) or not np.array_equal(variant.labels, reference.labels):
        raise ValueError(
            "a variant and its reference must be scored on the same test images; run predict again for both"
        )
    if variant.logits.shape != reference.logits.shape:
        raise ValueError(
            f"the variant has {variant.logits.shape[1]} classes, its reference {reference.logits.shape[1]}"
        )
