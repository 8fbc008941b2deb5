"""Points with names: dots in a plane, which of them nothing beats, and where their names can stand."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes

from compresslab.report.figures.drawing import INK, MUTED

_LINE_POINTS, _CHARACTER_POINTS = 11.0, 4.6
"""Height of a name, and about the width of one of its characters."""
_LEADER_POINTS = 18.0
_NAMES: dict[str, Any] = {"va": "center", "fontsize": 7.6, "color": INK}
_LEADER: dict[str, Any] = {"arrowstyle": "-", "color": MUTED, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 4}


class Point(NamedTuple):
    """One or several variants of equal cost ``x``, for which less is better, and quality ``y``, with its range."""

    x: float
    y: float
    low: float
    high: float
    names: tuple[str, ...]


def pareto_front(points: list[Point]) -> list[Point]:
    """Return the points for which no other one is at most as costly and better, the cheapest first."""
    front: list[Point] = []
    for point in sorted(points, key=lambda point: (point.x, -point.y)):
        if not front or point.y > front[-1].y:
            front.append(point)
    return front


def label(axes: Axes, points: list[Point]) -> None:
    """Write the names in two columns between the dots, or, where these would meet, in one beside the panel.

    They are moved just enough not to overlap; a thin line leads back to each dot.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()
    to_points = 72 / figure.dpi
    places = {point: axes.transData.transform((point.x, point.y)) * to_points for point in points}
    middle = sum(axes.transData.transform([(size, 0) for size in axes.get_xlim()])[:, 0]) / 2 * to_points
    panel = axes.get_window_extent()
    bottom, top = panel.y0 * to_points, panel.y1 * to_points
    left = _upwards([point for point in points if places[point][0] <= middle], places)
    right = _upwards([point for point in points if places[point][0] > middle], places)
    from_left = max((places[point][0] for point in left), default=0.0) + _LEADER_POINTS
    from_right = min((places[point][0] for point in right), default=math.inf) - _LEADER_POINTS
    if left and right and from_left + _width(left) > from_right - _width(right):
        everyone = _upwards(points, places)
        for point, centre in _centres(everyone, places, top):
            place = (1.03, (centre - bottom) / (top - bottom))
            _write(axes, point, place, "axes fraction", is_right=False)
        return
    for side, edge, is_right in ((left, from_left, False), (right, from_right, True)):
        for point, centre in _centres(side, places, top):
            across, up = places[point]
            _write(axes, point, (edge - across, centre - up), "offset points", is_right)


def _upwards(points: list[Point], places: Mapping[Point, np.ndarray]) -> list[Point]:
    return sorted(points, key=lambda point: places[point][1])


def _width(points: list[Point]) -> float:
    """About how wide a column of their names is, in points."""
    return _CHARACTER_POINTS * max(len(name) for point in points for name in point.names)


def _centres(side: list[Point], places: Mapping[Point, np.ndarray], top: float) -> Iterator[tuple[Point, float]]:
    """Each point, from below to above, with the height of its names."""
    heights = [_LINE_POINTS * len(point.names) for point in side]
    yield from zip(side, spread([places[point][1] for point in side], heights, top), strict=True)


def _write(axes: Axes, point: Point, place: tuple[float, float], coordinates: str, is_right: bool) -> None:
    """Write the names of a point; they end at ``place`` where they are right ones, else they begin there."""
    # From the near edge of the text: a line from its middle would strike out the names.
    leader = {**_LEADER, "relpos": (1.0, 0.5) if is_right else (0.0, 0.5)}
    axes.annotate(
        "\n".join(point.names),
        (point.x, point.y),
        xytext=place,
        textcoords=coordinates,
        ha="right" if is_right else "left",
        arrowprops=leader,
        **_NAMES,
    )


def spread(centres: list[float], heights: list[float], top: float) -> list[float]:
    """Move blocks of these ``heights``, given from below to above, just enough apart; the highest ends at ``top``.

    When all of them do not fit below ``top``, the lowest ones leave at the bottom.
    """
    placed: list[float] = []
    floor = -math.inf
    for centre, height in zip(centres, heights, strict=True):
        placed.append(max(centre, floor + height / 2))
        floor = placed[-1] + height / 2
    ceiling = top
    for index in reversed(range(len(placed))):
        placed[index] = min(placed[index], ceiling - heights[index] / 2)
        ceiling = placed[index] - heights[index] / 2
    return placed
