"""A segmentation against a reference (its parent, or another variant that the lab names) on the same test images."""

from typing import Any

import numpy as np

from compresslab.data.masks import VOID
from compresslab.measure.intervals import Interval
from compresslab.measure.label_maps import LabelMaps
from compresslab.measure.segmentation import Confusions, mean_iou_difference, pixel_accuracy
from compresslab.tables.statistics import agreement_percent


def compare_maps(
    variant: LabelMaps, reference: LabelMaps, variant_counts: Confusions, reference_counts: Confusions
) -> dict[str, Any]:
    """One row of ``segmentation_comparisons.csv`` without its identity columns (lab, model, variant, reference, seed).

    Differences are variant minus reference, in points, with a paired bootstrap interval over images; the verdict is
    ``better`` or ``worse`` only when that excludes 0, else ``noise``. Agreement is over labelled pixels. Answers to
    other images are a ValueError.
    """
    same_images = np.array_equal(variant.indices, reference.indices)
    if not same_images or not np.array_equal(variant.labels, reference.labels):
        raise ValueError(
            "a variant and its reference must be scored on the same test images; run segment again for both"
        )
    labelled = variant.labels != VOID
    miou = mean_iou_difference(variant_counts, reference_counts)
    accuracy = pixel_accuracy(variant_counts.whole) - pixel_accuracy(reference_counts.whole)
    return {
        "images": variant_counts.images,
        "pixel_agreement_percent": agreement_percent(variant.answers[labelled], reference.answers[labelled]),
        "miou_difference_points": 100 * miou.estimate,
        "miou_difference_low_points": 100 * miou.low,
        "miou_difference_high_points": 100 * miou.high,
        "pixel_accuracy_difference_points": 100 * float(accuracy),
        "miou_verdict": miou_verdict(miou),
    }


def miou_verdict(difference: Interval) -> str:
    """``better``, ``worse`` or ``noise`` for a difference of mean IoU with its interval."""
    if difference.low <= 0 <= difference.high:
        return "noise"
    return "better" if difference.estimate > 0 else "worse"
