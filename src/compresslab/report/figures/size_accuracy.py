"""Size against accuracy, with the Pareto front: the variants that no other one beats in both."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from compresslab.report.figures.drawing import ACCENT, FAINT, MUTED, WIDTH_IN, variant_names
from compresslab.report.figures.material import Kind, Material
from compresslab.report.figures.points import Point, label, pareto_front
from compresslab.report.languages import Language
from compresslab.report.numbers import KIBIBYTE, significant

TABLES = ("scores", "costs")
KINDS: tuple[Kind, ...] = ()


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
        [point.x for point in front],
        [point.y for point in front],
        where="post",
        color=FAINT,
        linewidth=1.6,
    )
    for point in points:
        best = point in front
        axes.vlines(point.x, point.low, point.high, color=MUTED, linewidth=1)
        axes.plot(
            point.x,
            point.y,
            "o",
            markersize=5.5,
            color=ACCENT,
            markerfacecolor=ACCENT if best else "white",
        )
    axes.set_xscale("log")
    axes.margins(0.3, 0.16)
    label(axes, points)
    axes.grid(visible=True)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: significant(value, 1)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(language("column.stored_bytes"))
    axes.set_ylabel(language("column.accuracy_percent"))
    return figure


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
