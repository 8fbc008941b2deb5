"""How far the logits of an integer network lie from those of the network that simulates it."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Difference:
    """Differences of logits in percent of the range of all logits, and how often both networks answer alike."""

    largest_percent: float
    mean_percent: float
    same_answers_percent: float
    """Of images, or of pixels where every pixel has an answer."""

    def __str__(self) -> str:
        """Say both in a line for a log."""
        return (
            f"logits differ by up to {self.largest_percent:.2f} % of their range, "
            f"{self.same_answers_percent:.2f} % of the answers are the same"
        )


def difference(expected: np.ndarray, found: np.ndarray) -> Difference:
    """Compare logits (N, classes) or (N, classes, H, W) over the same images.

    ValueError for shapes that differ, and for expected logits that are all one number.
    """
    if expected.shape != found.shape:
        raise ValueError(f"logits of shape {found.shape} cannot be compared with some of {expected.shape}")
    if (extent := float(np.ptp(expected))) == 0:
        raise ValueError("the logits are all the same number: such a network answers nothing")
    errors = 100 * np.abs(found.astype(np.float64) - expected) / extent
    same = (found.argmax(1) == expected.argmax(1)).mean()
    return Difference(float(errors.max()), float(errors.mean()), 100 * float(same))
