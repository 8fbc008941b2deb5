"""A canvas for drawn streets: a picture and its mask, painted together, part over part, from the back to the front.

Places on it are in heights of the picture: y goes from 0 at the top to 1 at the bottom, x from 0 to width / height. So
the same scene can be drawn at any size. A pixel's label is that of the last part that covers its centre, and its colour
is mixed by how much of it is covered, so the mask is exact and the picture has soft edges.

Only +, -, *, / and the square root are used, each rounded exactly by IEEE 754, so that the same scene gives the same
bits on every platform.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from compresslab.data.masks import VOID
from compresslab.data.street_classes import CLASSES

Point = tuple[float, float]
Colour = tuple[float, float, float]
Texture = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Brightness, 1 unless changed, of the pixels at x (1, w) and y (h, 1): (h, w)."""

_LABELS = {name: number for number, name in enumerate(CLASSES)} | {"void": VOID}
_Window = tuple[slice, slice]
_ZERO, _ONE = np.float32(0), np.float32(1)
_THINNEST = 0.55  # pixels to each side of a line: thinner ones would fall between the pixels' centres


@dataclass(frozen=True)
class Camera:
    """A pinhole above the ground that looks along the street; lengths in metres.

    ``horizon`` and ``vanishing``: where the street ends on the canvas, y and x. ``focal``: focal length in heights of
    the picture. ``above``: of the ground.
    """

    horizon: float
    vanishing: float
    focal: float
    above: float

    def place(self, right: float, up: float, away: float) -> Point:
        """Return where a point is seen that is so far to the right of the camera, above the ground and away."""
        return self.vanishing + self.focal * right / away, self.horizon + self.focal * (self.above - up) / away

    def length(self, metres: float, away: float) -> float:
        """Return how long a length across the line of sight is seen."""
        return self.focal * metres / away


class Canvas:
    """A picture float32 (H, W, 3) of full scale 1, and a mask uint8 (H, W), all void and black at first."""

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width
        self.picture = np.zeros((height, width, 3), np.float32)
        self.mask = np.full((height, width), VOID, np.uint8)
        self.x = ((np.arange(width, dtype=np.float32) + 0.5) / height)[np.newaxis]
        self.y = ((np.arange(height, dtype=np.float32) + 0.5) / height)[:, np.newaxis]

    @staticmethod
    def number(label: str) -> int:
        """Return the number of a class by its name, or VOID for ``void``."""
        return _LABELS[label]

    def disc(self, centre: Point, radius: float, colour: Colour, label: str) -> None:
        """Paint a disc."""
        radius = max(radius, _THINNEST / self.height)
        window = self._window((centre,), radius)
        if window is not None:
            self._paint(window, self._to_point(window, centre) - np.float32(radius), colour, label)

    def bar(self, start: Point, end: Point, radius: float, colour: Colour, label: str) -> None:
        """Paint a thick line with round ends."""
        radius = max(radius, _THINNEST / self.height)
        window = self._window((start, end), radius)
        if window is not None:
            self._paint(window, self._to_line(window, start, end) - np.float32(radius), colour, label)

    def ring(self, centre: Point, radius: float, thickness: float, colour: Colour, label: str) -> None:
        """Paint a circle's line."""
        half = max(thickness / 2, _THINNEST / self.height)
        window = self._window((centre,), radius + half)
        if window is not None:
            beside = np.abs(self._to_point(window, centre) - np.float32(radius))
            self._paint(window, beside - np.float32(half), colour, label)

    def box(self, left: float, top: float, right: float, bottom: float, colour: Colour, label: str) -> None:
        """Paint an upright rectangle."""
        self.plate(((left, top), (right, top), (right, bottom), (left, bottom)), colour, label)

    def plate(self, corners: Sequence[Point], colour: Colour, label: str, texture: Texture | None = None) -> None:
        """Paint a convex polygon, its corners given in either direction."""
        window = self._window(corners, 0)
        if window is None:
            return
        rows, columns = window
        x, y = self.x[:, columns], self.y[rows]
        turn = _doubled_area(corners)
        if turn == 0:
            return
        farthest = np.full((y.shape[0], x.shape[1]), -np.inf, np.float32)
        for (x0, y0), (x1, y1) in zip(corners, (*corners[1:], corners[0]), strict=True):
            dx, dy = (x1 - x0, y1 - y0) if turn > 0 else (x0 - x1, y0 - y1)
            length = math.sqrt(dx * dx + dy * dy)
            if length > 0:
                outside = (x - np.float32(x0)) * np.float32(dy / length) - (y - np.float32(y0)) * np.float32(
                    dx / length
                )
                np.maximum(farthest, outside, out=farthest)
        self._paint(window, farthest, colour, label, texture)

    def darken(self, corner: Point, opposite: Point, brightness: float) -> None:
        """Put an upright rectangle into the shade; labels stay."""
        window = self._window((corner, opposite), 0)
        if window is not None:
            self.picture[window] *= np.float32(brightness)

    def _to_point(self, window: _Window, point: Point) -> np.ndarray:
        """Distance of every pixel's centre to a point: (h, w)."""
        x, y = self.x[:, window[1]] - np.float32(point[0]), self.y[window[0]] - np.float32(point[1])
        return np.sqrt(x * x + y * y)

    def _to_line(self, window: _Window, start: Point, end: Point) -> np.ndarray:
        """Distance of every pixel's centre to a line: (h, w)."""
        x, y = self.x[:, window[1]] - np.float32(start[0]), self.y[window[0]] - np.float32(start[1])
        dx, dy = end[0] - start[0], end[1] - start[1]
        square = dx * dx + dy * dy + 1e-12
        along = x * np.float32(dx / square) + y * np.float32(dy / square)
        np.minimum(np.maximum(along, _ZERO, out=along), _ONE, out=along)
        across, down = x - along * np.float32(dx), y - along * np.float32(dy)
        across *= across
        down *= down
        across += down
        return np.sqrt(across, out=across)

    def _window(self, points: Sequence[Point], margin: float) -> _Window | None:
        """Return the rows and columns that a part can touch, or None when it is out of sight."""
        scale, reach = self.height, margin * self.height + 1
        columns, rows = (
            slice(
                int(max(min(axis) * scale - reach, 0)),
                int(max(min(max(axis) * scale + reach + 1, end), 0)),
            )
            for axis, end in zip(zip(*points, strict=True), (self.width, self.height), strict=True)
        )
        seen = rows.start < rows.stop and columns.start < columns.stop
        return (rows, columns) if seen else None

    def _paint(
        self,
        window: _Window,
        outside: np.ndarray,
        colour: Colour,
        label: str,
        texture: Texture | None = None,
    ) -> None:
        """Mix a colour in where ``outside``, the distance to the edge in heights of the picture, is negative."""
        cover = np.float32(0.5) - outside * np.float32(self.height)
        cover = np.minimum(np.maximum(cover, _ZERO, out=cover), _ONE, out=cover)[..., np.newaxis]
        paint = np.array(colour, np.float32)
        if texture is not None:
            paint = paint * texture(self.x[:, window[1]], self.y[window[0]])[..., np.newaxis]
        part = self.picture[window]
        change = paint - part
        change *= cover
        part += change
        self.mask[window][outside < 0] = self.number(label)


def _doubled_area(corners: Sequence[Point]) -> float:
    """Twice the area of a polygon, positive when its corners go round clockwise as they are seen."""
    return sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(corners, (*corners[1:], corners[0]), strict=True))
