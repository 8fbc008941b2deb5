"""Other views of the training images, a new one of each in every epoch; the same ones in every framework.

They are drawn and made in NumPy on the uint8 images, so frameworks that are compared see the same pixels. Images that
drew the same view are made together, since a Python call for each image would cost more than the training step.
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np

SYMMETRIES = 8
"""Of a square: four quarter turns, each plain or mirrored."""

FARTHEST = 4
"""Pixels by which ``crops`` shifts an image at most, in both directions."""


def symmetries(images: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """Return ``images`` (N,H,W,C), each turned by quarter turns and mirrored at random, by seed and epoch.

    Raises ValueError for images that are not square.
    """
    _, height, width, _ = images.shape
    if height != width:
        raise ValueError(f"augmentation 'symmetries' needs square images, not {height} x {width}; set it to none")
    views = np.empty_like(images)
    for symmetry, chosen in _drawn(len(images), SYMMETRIES, seed, epoch):
        turned = np.rot90(images[chosen], symmetry % 4, axes=(1, 2))
        views[chosen] = turned[:, :, ::-1] if symmetry >= SYMMETRIES // 2 else turned
    return views


def crops(images: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """Return ``images`` (N,H,W,C), each mirrored left to right and shifted at random, by seed and epoch.

    A shift is a crop, as large as the image, of the image with ``FARTHEST`` pixels of its reflection on every side.
    """
    _, height, width, _ = images.shape
    shifts = 2 * FARTHEST + 1
    border = [(0, 0), (FARTHEST, FARTHEST), (FARTHEST, FARTHEST), (0, 0)]
    views = np.empty_like(images)
    for view, chosen in _drawn(len(images), 2 * shifts * shifts, seed, epoch):
        mirrored, shift = divmod(view, shifts * shifts)
        down, right = divmod(shift, shifts)
        crop = np.pad(images[chosen], border, mode="reflect")[:, down : down + height, right : right + width]
        views[chosen] = crop[:, :, ::-1] if mirrored else crop
    return views


VIEWS: Mapping[str, Callable[[np.ndarray, int, int], np.ndarray]] = {"symmetries": symmetries, "crops": crops}
"""By the name of an augmentation, what makes its views of (images, seed, epoch)."""


def _drawn(count: int, kinds: int, seed: int, epoch: int) -> Iterator[tuple[int, np.ndarray]]:
    """Draw one of ``kinds`` of views for each of ``count`` images; yield each kind and the positions that drew it."""
    # The third number keeps the draw apart from that of the epoch's order.
    drawn = np.random.default_rng([seed, epoch, 1]).integers(0, kinds, count)
    for kind in range(kinds):
        yield kind, np.flatnonzero(drawn == kind)
