"""A variant against its parent on the same test images."""

from typing import Any

import numpy as np

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


def compare(variant: Predictions, parent: Predictions) -> dict[str, Any]:
    """One row of ``comparisons.csv`` without its identity columns (lab, model, variant, parent, seed).

    Differences are variant minus parent, in points, with Tango's 95 % interval for paired proportions. The verdict
    is ``better`` or ``worse`` only when that interval excludes 0 and McNemar's exact p is below 0.05, else ``noise``.
    Predictions on other images are a ValueError.
    """
    _check_paired(variant, parent)
    images = len(variant.labels)
    only_variant = int(np.sum(variant.correct & ~parent.correct))
    only_parent = int(np.sum(parent.correct & ~variant.correct))
    difference = paired_difference(only_variant, only_parent, images).scaled(100)
    p = mcnemar_p(only_variant, only_parent)
    return {
        "images": images,
        "agreement_percent": agreement_percent(variant.answers, parent.answers),
        "only_parent_correct": only_parent,
        "only_variant_correct": only_variant,
        "mcnemar_p": p,
        "accuracy_difference_points": difference.value,
        "accuracy_difference_low_points": difference.low,
        "accuracy_difference_high_points": difference.high,
        "relative_l2_percent": relative_l2_percent(variant.logits, parent.logits),
        "smallest_detectable_points": smallest_detectable_points((only_variant + only_parent) / images, images),
        "accuracy_verdict": accuracy_verdict(difference, p),
    }


def accuracy_verdict(difference: Estimate, p: float) -> str:
    """``better``, ``worse`` or ``noise`` for a difference of accuracies and its McNemar p."""
    if p >= SIGNIFICANCE or difference.low <= 0 <= difference.high:
        return "noise"
    return "better" if difference.value > 0 else "worse"


def _check_paired(variant: Predictions, parent: Predictions) -> None:
    if not np.array_equal(variant.indices, parent.indices) or not np.array_equal(variant.labels, parent.labels):
        raise ValueError("a variant and its parent must be scored on the same test images; run predict again for both")
    if variant.logits.shape != parent.logits.shape:
        raise ValueError(
            f"the variant answers with {variant.logits.shape[1]} classes, its parent with {parent.logits.shape[1]}"
        )
