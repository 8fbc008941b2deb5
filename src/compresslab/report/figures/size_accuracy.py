"""Size against accuracy, with the Pareto front: the variants that no other one beats in both."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from compresslab.report.figures.drawing import ACCENT, FAINT, INK, MUTED, WIDTH_IN, variant_names
from compresslab.report.figures.material import Kind, Material
from compresslab.report.languages import Language
from compresslab.report.numbers import KIBIBYTE, significant

TABLES = ("scores", "costs")
KINDS: tuple[Kind, ...] = ()


_LINE_POINTS, _CHARACTER_POINTS = 11.0, 4.6
"""Height of a name, and about the width of one of its characters."""
_LEADER_POINTS = 18.0
_NAMES: dict[str, Any] = {"va": "center", "fontsize": 7.6, "color": INK}
_LEADER: dict[str, Any] = {"arrowstyle": "-", "color": MUTED, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 4}


class Point(NamedTuple):
    """One or several variants of equal size and accuracy."""

    size_kib: float
    accuracy: float
    low: float
    high: float
    names: tuple[str, ...]


def draw(material: Material, language: Language) -> Figure | None:
    """One dot per variant; the bar is the range over seeds, the staircase the Pareto front."""
    scores, costs = material.table("scores"), material.table("costs")
    if scores is None or costs is None:
        return None
    points = _points(scores, costs)
    figure = Figure(figsize=(WIDTH_IN, max(3.5, 1.2 + 0.2 * sum(len(point.names) for point in points))))
    axes = figure.add_subplot()
    front = pareto_front(points)
    axes.step(
        [point.size_kib for point in front],
        [point.accuracy for point in front],
        where="post",
        color=FAINT,
        linewidth=1.6,
    )
    for point in points:
        best = point in front
        axes.vlines(point.size_kib, point.low, point.high, color=MUTED, linewidth=1)
        axes.plot(
            point.size_kib,
            point.accuracy,
            "o",
            markersize=5.5,
            color=ACCENT,
            markerfacecolor=ACCENT if best else "white",
        )
    axes.set_xscale("log")
    axes.margins(0.3, 0.16)
    _label(axes, points)
    axes.grid(visible=True)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: significant(value, 1)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(language("column.stored_bytes"))
    axes.set_ylabel(language("column.accuracy_percent"))
    return figure


def pareto_front(points: list[Point]) -> list[Point]:
    """Return the points for which no other one is at least as small and more accurate, the smallest first."""
    front: list[Point] = []
    for point in sorted(points, key=lambda point: (point.size_kib, -point.accuracy)):
        if not front or point.accuracy > front[-1].accuracy:
            front.append(point)
    return front


def _points(scores: pd.DataFrame, costs: pd.DataFrame) -> list[Point]:
    """Variants with the same size and scores share a point: an export that changes nothing is no rival."""
    scores = scores.assign(name=variant_names(scores))
    rows = scores.groupby(["model", "variant", "name"], sort=False)["accuracy_percent"].agg(["mean", "min", "max"])
    merged = rows.reset_index().merge(costs[["model", "variant", "stored_bytes"]], on=["model", "variant"])
    shared: dict[tuple[float, float, float, float], list[str]] = {}
    for row in merged.to_dict("records"):
        place = (row["stored_bytes"] / KIBIBYTE, row["mean"], row["min"], row["max"])
        shared.setdefault(place, []).append(row["name"])
    return [Point(*place, names=tuple(names)) for place, names in shared.items()]


def _label(axes: Axes, points: list[Point]) -> None:
    """Write the names in two columns between the dots, or, where these would meet, in one beside the panel.

    They are moved just enough not to overlap; a thin line leads back to each dot.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()
    to_points = 72 / figure.dpi
    places = {point: axes.transData.transform((point.size_kib, point.accuracy)) * to_points for point in points}
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
        (point.size_kib, point.accuracy),
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
