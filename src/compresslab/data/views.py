"""What an augmentation makes of a few training images, as it goes from ``stages.views`` to a figure."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from compresslab.arrays import read_arrays, write_arrays


@dataclass(frozen=True, eq=False)
class Views:
    """Images, other views of them, and how the first view of the first image was made.

    ``images`` uint8 (N, H, W, C), ``labels`` int64 (N,), ``views`` uint8 (V, N, H, W, C). ``displacement_px`` float32
    (2, H, W): how far down and to the right of itself each pixel of that view shows the image. A contradiction among
    them is a ValueError.
    """

    images: np.ndarray
    labels: np.ndarray
    views: np.ndarray
    displacement_px: np.ndarray

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or len(self.images) == 0:
            raise ValueError(f"images must have the shape (N, H, W, C), found {self.images.shape}")
        if self.labels.shape != self.images.shape[:1]:
            raise ValueError(f"{len(self.images)} images need as many labels, found {self.labels.shape}")
        if self.views.ndim != 5 or self.views.shape[1:] != self.images.shape or len(self.views) == 0:
            raise ValueError(f"views of images {self.images.shape} cannot have the shape {self.views.shape}")
        if self.displacement_px.shape != (2, *self.images.shape[1:3]):
            raise ValueError(f"a displacement of images {self.images.shape} cannot be {self.displacement_px.shape}")


def write_views(path: Path, views: Views) -> None:
    """Write an ``.npz`` with these four arrays."""
    write_arrays(path, vars(views))


def read_views(path: Path) -> Views:
    """Read what :func:`write_views` wrote; any other file is a ValueError that names it."""
    arrays = read_arrays(path)
    missing = {"images", "labels", "views", "displacement_px"} - arrays.keys()
    if missing:
        raise ValueError(f"{path} lacks {', '.join(sorted(missing))}: it holds no views; run views again")
    try:
        return Views(arrays["images"], arrays["labels"], arrays["views"], arrays["displacement_px"])
    except ValueError as error:
        raise ValueError(f"{path}: {error}; delete it and run views again") from error
