"""Seven colour patterns of 32 x 32 pixels, which a LeNet-5 learns in an epoch, for the tests of its frameworks."""

from collections.abc import Callable

import numpy as np

from compresslab.data.prepared import Split
from compresslab.data.preprocessing import Preprocessing
from compresslab.train.loop import TrainingData

SHAPE = (32, 32, 3)
CLASSES = ("background", "open", "short", "mousebite", "spur", "copper", "pin-hole")
PREPROCESSING = Preprocessing((0.45, 0.35, 0.25), (0.3, 0.25, 0.2))


def patterns(count: int, seed: int) -> Split:
    """Return noisy stripes of seven slopes and periods: uint8 (count, 32, 32, 3)."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, len(CLASSES), count)
    row, column = np.indices(SHAPE[:2])
    drawn = np.stack([(row * (k % 3 + 1) + column * (k // 3 + 1)) % (k + 2) / (k + 1) for k in range(len(CLASSES))])
    images = drawn[labels][..., None] * np.array([150, 100, 50]) + 40 + generator.normal(0, 30, (count, *SHAPE))
    return Split(images.clip(0, 255).astype(np.uint8), labels.astype(np.int64), np.arange(count, dtype=np.int64))


DATA = TrainingData(patterns(320, seed=1), patterns(96, seed=2), PREPROCESSING)


class Killed(BaseException):
    """Stands for the end of the process."""


def killed_after(epoch: int) -> Callable[[str], None]:
    """Return a log that ends the process once it reads that ``epoch`` is done; 0 for one that never does."""

    def log(line: str) -> None:
        if epoch and line.startswith(f"epoch {epoch}/"):
            raise Killed

    return log
