"""Classification crops of circuit boards: a square around every defect, and squares without one.

DeepPCB and the drawn boards pass through the same functions, so that their crops have the same format.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from compresslab.data.prepared import Samples
from compresslab.data.sampling import uniform

CLASSES = ("background", "open", "short", "mousebite", "spur", "copper", "pin-hole")
BACKGROUND = 0
SIZE = 32

CONTEXT = 1.1  # side of a crop / longer side of its box
LEAST_SIDE = 32  # pixels of the board
DEFECTS_PER_BACKGROUND = 6
MARGIN = 4  # pixels between a background crop and the nearest box
_TRIES = 64


@dataclass(frozen=True, eq=False)
class Board:
    """A board with its defects.

    ``images``: grey uint8 (H, W), the tested image first, then its template where it is wanted, all of one shape.
    ``boxes``: int64 (defects, 4), ``x1 y1 x2 y2`` in pixels, the last two outside the box. ``labels``: int64
    (defects,), positions in CLASSES.
    """

    name: str
    images: tuple[np.ndarray, ...]
    boxes: np.ndarray
    labels: np.ndarray


def grey_crops(boards: Iterable[Board]) -> Samples:
    """Cut the tested images: uint8 (N, 32, 32, 3), three equal channels."""
    return _cut(boards, lambda crops: np.repeat(crops[..., :1], 3, axis=-1))


def pair_crops(boards: Iterable[Board]) -> Samples:
    """Cut both images of every board: uint8 (N, 32, 32, 3), tested, template and their absolute difference."""
    return _cut(boards, _with_difference)


def crop_squares(boxes: np.ndarray, height: int, width: int) -> np.ndarray:
    """Place a square with context around each box (n, 4): int64 (n, 3), left, top and side in pixels.

    A square that would leave the board is shifted inside, so that nothing is padded; no side is longer than the board.
    """
    x1, y1, x2, y2 = boxes.T
    longer = np.maximum(x2 - x1, y2 - y1)
    side = np.minimum(np.maximum(np.floor(longer * CONTEXT + 0.5).astype(np.int64), LEAST_SIDE), min(height, width))
    left = np.clip((x1 + x2 - side) // 2, 0, width - side)
    top = np.clip((y1 + y2 - side) // 2, 0, height - side)
    return np.stack([left, top, side], axis=1)


def background_squares(board: Board) -> np.ndarray:
    """Draw squares that touch no box of the board: int64 (n, 3), left, top and side in pixels.

    One for every six defects, rounded, and at least one, as large as the squares of defects drawn at random. The
    draws depend on the board's name alone. A crowded board may have room for fewer.
    """
    height, width = board.images[0].shape
    count = max(1, int(len(board.boxes) / DEFECTS_PER_BACKGROUND + 0.5))
    draws = uniform(_seed(board.name), (count, _TRIES, 3))
    sides = crop_squares(board.boxes, height, width)[:, 2]
    side = sides[(draws[..., 0] * len(sides)).astype(np.int64)]
    left = (draws[..., 1] * (width - side + 1)).astype(np.int64)
    top = (draws[..., 2] * (height - side + 1)).astype(np.int64)
    squares = np.stack([left, top, side], axis=-1)
    free = ~_touches(squares, board.boxes)
    return squares[np.arange(count), free.argmax(axis=1)][free.any(axis=1)]


def _touches(squares: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Say whether a square (..., 3) comes nearer to a box (n, 4) than the margin: bool (...)."""
    left, top, side = (part[..., np.newaxis] for part in np.moveaxis(squares, -1, 0))
    x1, y1, x2, y2 = boxes.T
    across = (left < x2 + MARGIN) & (x1 - MARGIN < left + side)
    along = (top < y2 + MARGIN) & (y1 - MARGIN < top + side)
    return np.asarray((across & along).any(axis=-1))


def _cut(boards: Iterable[Board], channels: Callable[[np.ndarray], np.ndarray]) -> Samples:
    crops, labels, origins = [], [], []
    for board in boards:
        height, width = board.images[0].shape
        background = background_squares(board)
        squares = np.concatenate([crop_squares(board.boxes, height, width), background])
        crops.append(channels(np.stack([_resized(image, squares) for image in board.images], axis=-1)))
        labels.append(np.concatenate([board.labels, np.full(len(background), BACKGROUND, np.int64)]))
        origins += [f"{board.name}:{number}" for number in range(len(board.boxes))]
        origins += [f"{board.name}:bg{number}" for number in range(len(background))]
    return Samples(np.concatenate(crops), np.concatenate(labels), np.array(origins))


def _resized(image: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """Scale squares (n, 3) of a grey image to crops, smoothly: uint8 (n, 32, 32)."""
    picture = Image.fromarray(image)
    return np.stack(
        [
            np.asarray(picture.resize((SIZE, SIZE), Image.Resampling.LANCZOS, (left, top, left + side, top + side)))
            for left, top, side in squares.tolist()
        ]
    )


def _with_difference(crops: np.ndarray) -> np.ndarray:
    tested, template = crops[..., 0], crops[..., 1]
    return np.stack([tested, template, np.maximum(tested, template) - np.minimum(tested, template)], axis=-1)


def _seed(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
