"""How labels and answers per pixel meet: one confusion matrix, and intersection over union from it.

It lies below training and scoring, so that a network is validated by the number that it is scored by.
"""

import numpy as np

from compresslab.data.masks import VOID


def confusion_matrix(labels: np.ndarray, answers: np.ndarray, classes: int) -> np.ndarray:
    """Count pixels by label (rows) and answer (columns): int64 (classes, classes).

    ``labels`` and ``answers`` are integers of one shape, whatever it is; pixels whose label is ``VOID`` are left out.
    Raises ValueError for shapes that differ, and for a label or an answer that is no class.
    """
    if labels.shape != answers.shape:
        raise ValueError(f"labels {labels.shape} and answers {answers.shape} differ in shape")
    counted = labels != VOID
    rows, columns = labels[counted].astype(np.int64), answers[counted].astype(np.int64)
    for kind, values in (("label", rows), ("answer", columns)):
        wrong = values[(values < 0) | (values >= classes)]
        if len(wrong):
            raise ValueError(f"{kind} {wrong[0]} is none of the {classes} classes, 0 to {classes - 1}")
    return np.bincount(rows * classes + columns, minlength=classes**2).reshape(classes, classes)


def intersection_over_union(confusion: np.ndarray) -> np.ndarray:
    """Return every class's intersection over union, float64 (..., C) from 0 to 1, of counts (..., C, C).

    NaN for a class that is neither among the labels nor among the answers: nothing was asked of it.
    """
    hits = np.diagonal(confusion, axis1=-2, axis2=-1).astype(np.float64)
    union = confusion.sum(-1) + confusion.sum(-2) - hits
    return np.divide(hits, union, out=np.full(hits.shape, np.nan), where=union > 0)


def mean_intersection_over_union(confusion: np.ndarray) -> np.ndarray:
    """Return the mean over the classes that occur, float64 (...) from 0 to 1; NaN where no pixel is counted.

    Classes that are neither among the labels nor among the answers are left out. Else a split without a class would
    change the number by how an undefined share is filled in.
    """
    shares = intersection_over_union(confusion)
    known = ~np.isnan(shares)
    return np.divide(
        np.where(known, shares, 0).sum(-1), known.sum(-1), out=np.full(shares.shape[:-1], np.nan), where=known.any(-1)
    )
