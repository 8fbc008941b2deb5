"""Other views of the training images, a new one of each in every epoch; the same ones in every framework.

They are drawn and made in NumPy on the uint8 images, so frameworks that are compared see the same pixels.
"""

import numpy as np

SYMMETRIES = 8
"""Of a square: four quarter turns, each plain or mirrored."""


def augmented(images: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """Return ``images`` (N,H,W,C), each turned by quarter turns and mirrored at random, by seed and epoch.

    Raises ValueError for images that are not square.
    """
    count, height, width, _ = images.shape
    if height != width:
        raise ValueError(f"augmentation 'symmetries' needs square images, not {height} x {width}; set it to none")
    # The third number keeps the draw apart from that of the epoch's order.
    chosen = np.random.default_rng([seed, epoch, 1]).integers(0, SYMMETRIES, count)
    views = np.empty_like(images)
    for symmetry in range(SYMMETRIES):
        turned = np.rot90(images[chosen == symmetry], symmetry % 4, axes=(1, 2))
        views[chosen == symmetry] = turned[:, :, ::-1] if symmetry >= SYMMETRIES // 2 else turned
    return views
