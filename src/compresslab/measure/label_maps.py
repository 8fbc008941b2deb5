"""What a variant answers to the images of a segmentation, as it goes from `stages.segment` to the scores.

A class per pixel takes a byte; the logits behind it would take thirty, so no file holds them.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from compresslab.arrays import read_arrays, write_arrays
from compresslab.data.masks import VOID

_MEMBERS = ("answers", "labels", "indices")


@dataclass(frozen=True, eq=False)
class LabelMaps:
    """What a variant answers on the test split, pixel by pixel.

    ``answers`` uint8 (N, H, W), a class each; ``labels`` uint8 (N, H, W), a class or ``VOID``; ``indices`` int64 (N,):
    positions in the test split. A contradiction among them is a ValueError.
    """

    answers: np.ndarray
    labels: np.ndarray
    indices: np.ndarray

    def __post_init__(self) -> None:
        if self.answers.ndim != 3 or self.answers.size == 0:
            raise ValueError(f"answers must have the shape (images, height, width), found {self.answers.shape}")
        if self.labels.shape != self.answers.shape or self.indices.shape != self.answers.shape[:1]:
            raise ValueError(
                f"answers of shape {self.answers.shape} need labels of the same shape and an index per image, "
                f"found {self.labels.shape} and {self.indices.shape}"
            )
        for name, maps in (("answers", self.answers), ("labels", self.labels)):
            if maps.dtype != np.uint8:
                raise ValueError(f"{name} must be uint8, found {maps.dtype}")
        if (self.answers == VOID).any():
            raise ValueError(f"answers must be classes, found {VOID}, which marks a pixel without a label")


def read_label_maps(path: Path) -> LabelMaps:
    """Read an ``.npz`` of answers per pixel; a damaged or inconsistent file is a ValueError that names it."""
    arrays = read_arrays(path)
    missing = set(_MEMBERS) - arrays.keys()
    if missing:
        raise ValueError(f"{path} lacks {', '.join(sorted(missing))}: it holds no answers per pixel; run segment again")
    try:
        return LabelMaps(*(arrays[name] for name in _MEMBERS))
    except ValueError as error:
        raise ValueError(f"{path}: {error}; delete it and run segment again") from error


def write_label_maps(path: Path, maps: LabelMaps) -> None:
    """Write an ``.npz`` of answers per pixel; compressed, since neighbours mostly answer alike."""
    arrays = {"answers": maps.answers, "labels": maps.labels, "indices": maps.indices.astype(np.int64)}
    write_arrays(path, arrays, compress=True)
