"""Classification scores of one variant, from its predictions alone.

A score never sees a model: ``stages.predict`` writes logits, labels and positions, and everything here reads
those. Scores follow scikit-learn's definitions; a class that is never predicted has precision 0, a class
without images has recall 0 (scikit-learn's ``zero_division=0``), and macro means run over all classes of the model.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import log_softmax
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from compresslab.measure.predictions import Predictions


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """95 % score interval of a proportion, as fractions (Wilson 1927)."""
    interval = binomtest(int(successes), int(trials)).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def score(predictions: Predictions) -> pd.DataFrame:
    """One row of ``scores.csv`` without its identity columns.

    Accuracy with its Wilson interval, macro precision, recall and F1 in percent, and the mean cross-entropy
    of the logits in nats.
    """
    hits = int(predictions.correct.sum())
    images = len(predictions.labels)
    low, high = wilson_interval(hits, images)
    precision, recall, f1, _ = _by_class(predictions)
    log_probabilities = log_softmax(predictions.logits.astype(np.float64), axis=1)
    return pd.DataFrame(
        {
            "images": [images],
            "accuracy_percent": 100 * hits / images,
            "accuracy_low_percent": 100 * low,
            "accuracy_high_percent": 100 * high,
            "macro_precision_percent": 100 * precision.mean(),
            "macro_recall_percent": 100 * recall.mean(),
            "macro_f1_percent": 100 * f1.mean(),
            "mean_loss": -log_probabilities[np.arange(images), predictions.labels].mean(),
        }
    )


def score_by_class(predictions: Predictions, classes: Sequence[str]) -> pd.DataFrame:
    """Rows of ``scores_by_class.csv`` without identity columns: one per class, in the order of ``classes``."""
    _check_names(predictions, classes)
    precision, recall, f1, images = _by_class(predictions)
    return pd.DataFrame(
        {
            "class": list(classes),
            "images": images,
            "precision_percent": 100 * precision,
            "recall_percent": 100 * recall,
            "f1_percent": 100 * f1,
        }
    )


def confusion(predictions: Predictions, classes: Sequence[str]) -> pd.DataFrame:
    """Rows of ``confusion.csv`` without identity columns: every pair (true, predicted), also those that never occur."""
    _check_names(predictions, classes)
    counts = confusion_matrix(predictions.labels, predictions.answers, labels=np.arange(len(classes)))
    return pd.DataFrame(
        {
            "true_class": np.repeat(np.asarray(classes, dtype=object), len(classes)),
            "predicted_class": np.tile(np.asarray(classes, dtype=object), len(classes)),
            "images": counts.ravel(),
        }
    )


def _by_class(predictions: Predictions) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    return precision_recall_fscore_support(
        predictions.labels, predictions.answers, labels=np.arange(predictions.logits.shape[1]), zero_division=0
    )


def _check_names(predictions: Predictions, classes: Sequence[str]) -> None:
    if len(classes) != predictions.logits.shape[1]:
        raise ValueError(f"{predictions.logits.shape[1]} logits per image but {len(classes)} class names")
