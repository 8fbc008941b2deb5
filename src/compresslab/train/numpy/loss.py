"""Softmax cross-entropy with label smoothing (Szegedy et al. 2016, in PyTorch's form)."""

from typing import NamedTuple

import numpy as np


class Loss(NamedTuple):
    """Of one batch: the mean loss, how many labels the largest logit names, and the gradient (classes, N)."""

    mean: float
    correct: int
    gradient: np.ndarray


def cross_entropy(logits: np.ndarray, labels: np.ndarray, smoothing: float) -> Loss:
    """Compare logits (classes, N) with int64 labels (N,); the gradient is that of the mean with respect to the logits.

    The wanted distribution is ``1 - smoothing`` on the label and ``smoothing`` spread evenly over all classes.
    """
    classes, images = logits.shape
    wanted = np.full_like(logits, smoothing / classes)
    wanted[labels, np.arange(images)] += 1 - smoothing
    shifted = logits - logits.max(0)
    exponentials = np.exp(shifted)
    sums = exponentials.sum(0)
    log_probabilities = shifted - np.log(sums)
    mean = -float((wanted * log_probabilities).sum()) / images
    gradient = (exponentials / sums - wanted) / images
    return Loss(mean, int((logits.argmax(0) == labels).sum()), gradient)
