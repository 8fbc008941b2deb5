"""Size against accuracy, with the Pareto front: the variants that no other one beats in both."""

import math
from typing import NamedTuple

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


_LINE_POINTS = 11.0


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
    """Write the names in two columns, moved just enough not to overlap; a thin line leads back to each dot."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()
    to_points = 72 / figure.dpi
    places = {point: axes.transData.transform((point.size_kib, point.accuracy)) * to_points for point in points}
    middle = sum(axes.transData.transform([(size, 0) for size in axes.get_xlim()])[:, 0]) / 2 * to_points
    top = axes.get_window_extent().y1 * to_points
    for is_right in (False, True):
        side = sorted(
            (point for point in points if (places[point][0] > middle) == is_right), key=lambda point: places[point][1]
        )
        edge = (min if is_right else max)((places[point][0] for point in side), default=0.0)
        heights = [_LINE_POINTS * len(point.names) for point in side]
        centres = spread([places[point][1] for point in side], heights, top)
        for point, centre in zip(side, centres, strict=True):
            across, up = places[point]
            axes.annotate(
                "\n".join(point.names),
                (point.size_kib, point.accuracy),
                xytext=(edge - across + (-18 if is_right else 18), centre - up),
                textcoords="offset points",
                ha="right" if is_right else "left",
                va="center",
                fontsize=7.6,
                color=INK,
                arrowprops={
                    "arrowstyle": "-",
                    "color": MUTED,
                    "linewidth": 0.6,
                    "shrinkA": 0,
                    "shrinkB": 4,
                    # From the near edge of the text: a line from its middle would strike out the names.
                    "relpos": (1.0, 0.5) if is_right else (0.0, 0.5),
                },
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
