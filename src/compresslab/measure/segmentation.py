"""Scores of a segmentation, from the confusion of every image alone.

Each number is of one confusion matrix over the whole split, as scikit-learn counts it, with void pixels left out. What
could have come out otherwise is which images were drawn, not which pixels: so images are resampled, and the two sides
of a comparison by the same draws. Classes that occur neither in labels nor in answers are left out of a mean IoU.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from compresslab.data.confusion import confusion_matrix, intersection_over_union, mean_intersection_over_union
from compresslab.measure.intervals import RESAMPLES, Interval, percentile_interval
from compresslab.measure.label_maps import LabelMaps

_SEED = 0


@dataclass(frozen=True, eq=False)
class Confusions:
    """How a variant's answers meet the labels: ``by_image`` int64 (N, C, C), pixels by label (rows) and answer.

    Images whose pixels are all void are counted in ``images`` only: they say nothing, drawn or not. Without a labelled
    pixel in any image there is nothing to score, which is a ValueError.
    """

    by_image: np.ndarray

    def __post_init__(self) -> None:
        if not self.by_image.any():
            raise ValueError("no pixel of the test split is labelled, so nothing can be scored")

    @property
    def images(self) -> int:
        """Number of images."""
        return len(self.by_image)

    @cached_property
    def whole(self) -> np.ndarray:
        """Pixels of the whole split by label and answer: int64 (C, C)."""
        return np.asarray(self.by_image.sum(axis=0))

    @cached_property
    def resampled(self) -> np.ndarray:
        """The same of splits drawn anew from the images: float64 whole numbers (B, C, C).

        The draws depend on the number of labelled images alone, so they are the same for all variants of a lab.
        """
        labelled = self.by_image[self.by_image.any(axis=(1, 2))]
        count, classes = labelled.shape[:2]
        draws = np.random.default_rng(_SEED).multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
        # A product of float64 is exact up to 2**53 pixels, and many times faster than one of integers.
        flat = draws.astype(np.float64) @ labelled.reshape(count, -1).astype(np.float64)
        return np.asarray(flat.reshape(RESAMPLES, classes, classes))


def confusions(maps: LabelMaps, classes: int) -> Confusions:
    """Count every image's pixels; a label or an answer that is none of the ``classes`` is a ValueError."""
    pairs = zip(maps.labels, maps.answers, strict=True)
    return Confusions(np.stack([confusion_matrix(labels, answers, classes) for labels, answers in pairs]))


def mean_iou(counted: Confusions) -> Interval:
    """Mean IoU as a fraction, with its bootstrap interval over images."""
    estimate = float(mean_intersection_over_union(counted.whole))
    return percentile_interval(estimate, mean_intersection_over_union(counted.resampled))


def mean_iou_difference(variant: Confusions, reference: Confusions) -> Interval:
    """Mean IoU of the variant minus that of the reference, as a fraction, both resampled by the same draws.

    Confusions of other images are a ValueError.
    """
    check_paired(variant, reference)
    estimate, replicates = (
        mean_intersection_over_union(getattr(variant, side)) - mean_intersection_over_union(getattr(reference, side))
        for side in ("whole", "resampled")
    )
    return percentile_interval(float(estimate), replicates)


def check_paired(variant: Confusions, reference: Confusions) -> None:
    """Raise ValueError when two confusions are not of the same labels, image by image."""
    if not np.array_equal(variant.by_image.sum(axis=2), reference.by_image.sum(axis=2)):
        raise ValueError("two variants must be scored on the same test images; run segment again for both")


def pixel_accuracy(confusion: np.ndarray) -> np.ndarray:
    """Share of labelled pixels that are answered rightly, float64 (...) of counts (..., C, C)."""
    return np.asarray(np.trace(confusion, axis1=-2, axis2=-1) / confusion.sum(axis=(-2, -1)))


def score(counted: Confusions) -> pd.DataFrame:
    """One row of ``segmentation.csv`` without its identity columns.

    The mean class accuracy is the mean recall of the classes that occur among the labels.
    """
    miou = mean_iou(counted)
    accuracy = percentile_interval(float(pixel_accuracy(counted.whole)), pixel_accuracy(counted.resampled))
    labelled = counted.whole.sum(axis=1)
    recall = np.diag(counted.whole)[labelled > 0] / labelled[labelled > 0]
    return pd.DataFrame(
        {
            "images": [counted.images],
            "pixels": int(labelled.sum()),
            "miou_percent": 100 * miou.estimate,
            "miou_low_percent": 100 * miou.low,
            "miou_high_percent": 100 * miou.high,
            "pixel_accuracy_percent": 100 * accuracy.estimate,
            "pixel_accuracy_low_percent": 100 * accuracy.low,
            "pixel_accuracy_high_percent": 100 * accuracy.high,
            "mean_class_accuracy_percent": 100 * recall.mean(),
        }
    )


def score_by_class(counted: Confusions, classes: Sequence[str]) -> pd.DataFrame:
    """Rows of ``segmentation_by_class.csv`` without identity columns: one per class, in the order of ``classes``.

    ``pixels`` are those of the label. A class that does not occur has no IoU (NaN), and a precision or a recall of
    nothing is 0, as in ``scores_by_class.csv``.
    """
    _check_names(counted, classes)
    hits, labelled, answered = np.diag(counted.whole), counted.whole.sum(axis=1), counted.whole.sum(axis=0)
    intervals = [_iou_of_class(counted, number) for number in range(len(classes))]
    return pd.DataFrame(
        {
            "class": list(classes),
            "pixels": labelled,
            "iou_percent": [100 * interval.estimate for interval in intervals],
            "iou_low_percent": [100 * interval.low for interval in intervals],
            "iou_high_percent": [100 * interval.high for interval in intervals],
            "precision_percent": 100 * hits / np.maximum(answered, 1),
            "recall_percent": 100 * hits / np.maximum(labelled, 1),
        }
    )


def confusion(counted: Confusions, classes: Sequence[str]) -> pd.DataFrame:
    """Rows of ``segmentation_confusion.csv`` without identity columns: every pair (true, predicted)."""
    _check_names(counted, classes)
    return pd.DataFrame(
        {
            "true_class": np.repeat(np.asarray(classes, dtype=object), len(classes)),
            "predicted_class": np.tile(np.asarray(classes, dtype=object), len(classes)),
            "pixels": counted.whole.ravel(),
        }
    )


def _iou_of_class(counted: Confusions, number: int) -> Interval:
    """The IoU of one class with its interval, over the draws in which the class occurs; NaN where it never does."""
    estimate = intersection_over_union(counted.whole)[number]
    replicates = intersection_over_union(counted.resampled)[:, number]
    known = replicates[~np.isnan(replicates)]
    return percentile_interval(estimate, known) if known.size else Interval(np.nan, np.nan, np.nan)


def _check_names(counted: Confusions, classes: Sequence[str]) -> None:
    if len(classes) != counted.by_image.shape[1]:
        raise ValueError(f"{counted.by_image.shape[1]} classes were counted, but {len(classes)} have names")
