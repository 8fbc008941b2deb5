"""Four textures, a data set that convolutions learn in a moment, and the network that the lab trains on digits."""

import numpy as np
from torch import nn

from compresslab.data.prepared import Split
from compresslab.data.preprocessing import Preprocessing
from compresslab.models.torch.artifact import build

CLASSES = ("rows", "columns", "checks", "plain")
SHAPE = (8, 8, 1)
PREPROCESSING = Preprocessing((0.45,), (0.3,))


def textures(count: int, seed: int) -> Split:
    """Return noisy rows, columns, checks and plain areas: uint8 (count, 8, 8, 1)."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, len(CLASSES), count)
    row, column = np.indices(SHAPE[:2]) % 2
    patterns = np.stack([row, column, row ^ column, np.full(SHAPE[:2], 0.5)])
    noisy = patterns[labels] * 160 + 40 + generator.normal(0, 20, (count, *SHAPE[:2]))
    images = noisy.clip(0, 255).astype(np.uint8)[..., None]
    return Split(images, labels.astype(np.int64), np.arange(count, dtype=np.int64))


def gapcnn() -> nn.Module:
    """Return the lab's network for textures, with whatever weights."""
    return build("gapcnn", SHAPE, len(CLASSES))
