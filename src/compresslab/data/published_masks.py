"""How published images and label maps become images and masks of a dataset's own classes and size."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from compresslab.data.errors import DataError
from compresslab.data.masks import VOID

VOID_NAME = "void"


@dataclass(frozen=True)
class PublishedLabel:
    """A label of a published dataset: its number, or id, its name, and the class that it becomes, or ``void``."""

    id: int
    name: str
    becomes: str


def label_map(labels: Sequence[PublishedLabel]) -> dict[str, str]:
    """Return what the data card says of a mapping: name of the published label to name of the class, or ``void``."""
    return {label.name: label.becomes for label in labels}


def class_table(labels: Sequence[PublishedLabel], classes: Sequence[str]) -> dict[int, int]:
    """Return published id to class number or VOID. Raises ValueError for a label that becomes no class."""
    numbers = {name: number for number, name in enumerate(classes)} | {VOID_NAME: VOID}
    unknown = sorted({label.becomes for label in labels} - set(numbers))
    if unknown:
        raise ValueError(f"labels become {', '.join(unknown)}, but the classes are {', '.join(classes)}")
    return {label.id: numbers[label.becomes] for label in labels}


def to_classes(ids: np.ndarray, table: Mapping[int, int], path: Path) -> np.ndarray:
    """Turn published ids uint8 (H, W) into class numbers uint8 (H, W); ``table`` is that of ``class_table``.

    Raises DataError, naming ``path`` and the id, for an id that the table does not know.
    """
    numbers = np.full(256, VOID, np.uint8)
    known = np.zeros(256, bool)
    for published, number in table.items():
        numbers[published % 256] = number  # an id of -1 is stored as 255, if at all
        known[published % 256] = True
    unknown = np.flatnonzero(~known & (np.bincount(ids.reshape(-1), minlength=256) > 0))
    if unknown.size:
        raise DataError(
            f"{path}: holds the label id {unknown[0]}, but the published ids are "
            f"{', '.join(map(str, sorted(table)))}; fetch the dataset again"
        )
    return numbers[ids]


def resize_image(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize a colour image uint8 (H, W, 3) to uint8 (height, width, 3) with Pillow's Lanczos filter.

    Its window grows with the step, so that shrinking averages and nothing flickers. CamVid's frames shrink in one
    direction and grow in the other one, where a box filter would only repeat columns.
    """
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS))


def resize_mask(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize a mask uint8 (H, W) to uint8 (height, width): every pixel takes the label under its centre.

    Nothing is averaged, since a number between two classes is a third class.
    """
    rows, columns = (_centres(new, old) for new, old in zip((height, width), mask.shape, strict=True))
    return mask[rows[:, np.newaxis], columns]


def _centres(new: int, old: int) -> np.ndarray:
    """Return which of ``old`` pixels in a row holds the centre of each of ``new`` pixels over the same length."""
    return (2 * np.arange(new) + 1) * old // (2 * new)
