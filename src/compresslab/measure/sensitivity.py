"""How much a network's answers change when one of its layers is quantized alone."""

from collections.abc import Mapping, Sequence

import numpy as np

from compresslab.measure.predictions import Predictions


def change(reference: Predictions, quantized: Predictions) -> dict[str, float | int]:
    """Hold answers against those of the float network on the same images.

    Returns the columns of ``sensitivity.csv`` that need nothing else: images, norm of the logits' difference over the
    norm of the float logits in percent, share of equal answers in percent, increase of the mean cross-entropy in nats,
    and difference of the accuracy in points (negative: the quantized layer costs accuracy).
    """
    expected = reference.logits.astype(np.float64)
    difference = quantized.logits.astype(np.float64) - expected
    correct = quantized.correct.mean() - reference.correct.mean()
    return {
        "probe_images": len(reference.labels),
        "relative_l2_percent": 100 * float(np.linalg.norm(difference) / np.linalg.norm(expected)),
        "agreement_percent": 100 * float(np.mean(quantized.answers == reference.answers)),
        "loss_increase": _mean_loss(quantized) - _mean_loss(reference),
        "accuracy_difference_points": 100 * float(correct),
    }


def most_sensitive(rows: Sequence[Mapping[str, float]], count: int) -> list[int]:
    """Return the positions of the ``count`` rows with the largest relative L2, sorted; of equal ones the first."""
    ranked = sorted(range(len(rows)), key=lambda position: (-rows[position]["relative_l2_percent"], position))
    return sorted(ranked[:count])


def _mean_loss(predictions: Predictions) -> float:
    """Mean cross-entropy of the softmax over the logits, in nats."""
    logits = predictions.logits.astype(np.float64)
    shifted = logits - logits.max(axis=1, keepdims=True)
    of_labels = shifted[np.arange(len(logits)), predictions.labels]
    return float(np.mean(np.log(np.exp(shifted).sum(axis=1)) - of_labels))
