"""Read pairs of a photograph and its label map, both PNG files, and bring them to one size."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from compresslab.data.errors import DataError
from compresslab.data.prepared import Samples
from compresslab.data.progress import progress_bar
from compresslab.data.published_masks import resize_image, resize_mask, to_classes

_AGAIN = "fetch the dataset again"


@dataclass(frozen=True)
class Frame:
    """A photograph and its label map; ``name`` is short, ASCII, and tells it from all others."""

    name: str
    image: Path
    labels: Path


@dataclass(frozen=True)
class Shape:
    """Height and width in pixels: as they are published, and as they are wanted."""

    published: tuple[int, int]
    wanted: tuple[int, int]


def read_frames(frames: Sequence[Frame], shape: Shape, table: Mapping[int, int], description: str) -> Samples:
    """Read and resize frames, and turn their published ids into classes; ``table`` is id to class number.

    Gives uint8 images (N, height, width, 3), uint8 masks (N, height, width) and the frames' names. Only one frame at a
    time is held in its published size. Raises DataError, naming the file, for one that is missing, damaged, of another
    size, or has an unknown id.
    """
    height, width = shape.wanted
    images = np.empty((len(frames), height, width, 3), np.uint8)
    masks = np.empty((len(frames), height, width), np.uint8)
    with progress_bar(description, len(frames), "frame") as bar:
        for number, frame in enumerate(frames):
            images[number] = resize_image(_decoded(frame.image, shape, _colours), height, width)
            ids = _decoded(frame.labels, shape, _ids)
            masks[number] = resize_mask(to_classes(ids, table, frame.labels), height, width)
            bar.update()
    return Samples(images, masks, np.array([frame.name for frame in frames]))


def _colours(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB"))


def _ids(image: Image.Image) -> np.ndarray:
    # A palette only says in which colours the ids are shown.
    if image.mode not in ("L", "P"):
        raise _OtherKindError
    return np.asarray(image)


class _OtherKindError(Exception):
    """An image whose pixels are no ids."""


def _decoded(path: Path, shape: Shape, pixels: Callable[[Image.Image], np.ndarray]) -> np.ndarray:
    """Decode a PNG file to an array whose first axes are the published height and width."""
    try:
        with Image.open(path, formats=["PNG"]) as image:
            if (image.height, image.width) != shape.published:
                height, width = shape.published
                raise DataError(
                    f"{path}: is {image.width} × {image.height} pixels, not the published {width} × {height}; {_AGAIN}"
                )
            return pixels(image)
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such image; {_AGAIN}") from error
    except _OtherKindError as error:
        raise DataError(f"{path}: is a picture, not a label map of one id per pixel; {_AGAIN}") from error
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: is truncated, damaged or not a PNG image; {_AGAIN}") from error
