"""What a variant answers on the test split, as it goes from `stages.predict` to the scores.

Apart from the scores, so that editing a metric never asks a model again.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from compresslab.arrays import read_arrays, write_arrays


@dataclass(frozen=True)
class Predictions:
    """What a variant answers on the test split.

    ``logits`` float32 (N, classes), ``labels`` int64 (N,), ``indices`` int64 (N,): positions in the test split.
    A contradiction among them is a ValueError.
    """

    logits: np.ndarray
    labels: np.ndarray
    indices: np.ndarray

    def __post_init__(self) -> None:
        if self.logits.ndim != 2 or len(self.logits) == 0:
            raise ValueError(f"logits must have the shape (images, classes), found {self.logits.shape}")
        images, classes = self.logits.shape
        if self.labels.shape != (images,) or self.indices.shape != (images,):
            raise ValueError(
                f"{images} logits need as many labels and indices, found {self.labels.shape} and {self.indices.shape}"
            )
        if not np.isfinite(self.logits).all():
            raise ValueError("logits contain values that are not finite")
        if self.labels.min() < 0 or self.labels.max() >= classes:
            raise ValueError(f"labels must lie between 0 and {classes - 1}")

    @property
    def answers(self) -> np.ndarray:
        """The predicted class of every image, int64 (N,); the first of equal logits wins."""
        return self.logits.argmax(axis=1)

    @property
    def correct(self) -> np.ndarray:
        """Whether each image is classified correctly, bool (N,)."""
        return self.answers == self.labels


def read_predictions(path: Path) -> Predictions:
    """Read a predictions ``.npz``; a damaged or inconsistent file is a ValueError that names it."""
    arrays = read_arrays(path)
    missing = {"logits", "labels", "indices"} - arrays.keys()
    if missing:
        raise ValueError(f"{path} lacks {', '.join(sorted(missing))}: it is not a predictions file; run predict again")
    try:
        return Predictions(arrays["logits"], arrays["labels"], arrays["indices"])
    except ValueError as error:
        raise ValueError(f"{path}: {error}; delete it and run predict again") from error


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write a predictions ``.npz`` in the dtypes that its readers rely on."""
    write_arrays(
        path,
        {
            "logits": predictions.logits.astype(np.float32),
            "labels": predictions.labels.astype(np.int64),
            "indices": predictions.indices.astype(np.int64),
        },
    )
