"""What a segmentation costs for what it finds: cost against mean IoU with the Pareto front, and the figure of merit."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from compresslab.report.figures.drawing import ACCENT, CONTRAST, FAINT, MUTED, WIDTH_IN, Rows, variant_names
from compresslab.report.figures.material import Kind, Material
from compresslab.report.figures.points import Point, label, pareto_front
from compresslab.report.languages import Language

TABLES = ("figure_of_merit",)
KINDS: tuple[Kind, ...] = ()

_POLE = 65.0
"""Mean IoU in percent at and below which there is no figure of merit."""

_NEAR = 10
"""Points below the pole from which on it is shown."""

_SHADE = "#eef1f4"
_CURVES = 4
"""About how many curves of equal merit cross the panel."""


class Weighed(NamedTuple):
    """A variant: means over its seeds; NaN where any of them has no figure, and for an interval without an end."""

    name: str
    is_baseline: bool
    cost: float
    miou: float
    miou_low: float
    miou_high: float
    merit: float
    merit_low: float
    merit_high: float


def draw(material: Material, language: Language) -> Figure | None:
    """Above: the plane of cost and mean IoU, with curves of equal merit. Below: one row of merit per variant."""
    table = material.table("figure_of_merit")
    if table is None:
        return None
    variants = _weighed(table)
    plane_in = 3.5 + 0.08 * len(variants)
    if all(np.isnan(variant.merit) for variant in variants):
        figure = Figure(figsize=(WIDTH_IN, plane_in))
        _plane(figure.add_subplot(), variants, language)
        return figure
    rows = Rows([variant.name for variant in variants])
    heights = (plane_in, rows.height(0.6))
    figure = Figure(figsize=(WIDTH_IN, sum(heights)))
    plane, merits = figure.subplots(2, 1, height_ratios=heights)
    _rows(merits, variants, rows, language)
    _plane(plane, variants, language)
    return figure


def _weighed(table: pd.DataFrame) -> list[Weighed]:
    columns = ["cost_gflops2_mb2", "miou_percent", "miou_low_percent", "miou_high_percent", "merit_gflops2_mb2",
               "merit_low_gflops2_mb2", "merit_high_gflops2_mb2"]  # fmt: skip
    table = table.assign(name=variant_names(table), own=table["model"] + "/" + table["variant"])
    found = []
    for name, runs in table.groupby("name", sort=False):
        means = [float(runs[column].mean(skipna=False)) for column in columns]
        found.append(Weighed(str(name), bool((runs["own"] == runs["baseline"]).all()), *means))
    return found


def _plane(axes: Axes, variants: Sequence[Weighed], language: Language) -> None:
    points = _points(variants)
    front = pareto_front(points)
    axes.set_xscale("log")
    for point in points:
        baseline = any(variant.is_baseline and variant.name in point.names for variant in variants)
        axes.errorbar(
            point.x,
            point.y,
            yerr=[[point.y - point.low], [point.high - point.y]],
            fmt="s" if baseline else "o",
            markersize=6.5 if baseline else 5,
            color=CONTRAST if baseline else ACCENT,
            markerfacecolor=(CONTRAST if baseline else ACCENT) if point in front else "white",
            ecolor=MUTED,
            elinewidth=0.9,
        )
    axes.margins(0.14, 0.08)
    low, high = axes.get_ylim()
    # Far below the pole it is out of sight, and the data fill the panel.
    in_sight = high > _POLE - _NEAR
    if in_sight:
        low, high = min(low, _POLE - 2), max(high, _POLE + 2)
    axes.set_ylim(low, high)
    left, right = axes.get_xlim()
    axes.set_xlim(left, right)
    costs, mious = [point.x for point in front], [point.y for point in front]
    axes.step([*costs, right], [*mious, mious[-1]], where="post", color=FAINT, linewidth=1.6, zorder=0.8)
    axes.axhspan(low, _POLE if in_sight else high, color=_SHADE, zorder=0)
    axes.text(
        *(0.01, 0.015 if in_sight else 0.985), language("figure.merit.undefined"), transform=axes.transAxes,
        va="bottom" if in_sight else "top", fontsize=7.4, color=MUTED,
    )  # fmt: skip
    if in_sight:
        axes.axhline(_POLE, color=MUTED, linewidth=0.8, zorder=0.5)
        _curves(axes, language)
    label(axes, points)
    axes.grid(visible=True)
    _powers(axes)
    axes.set_xlabel(language("column.cost_gflops2_mb2"))
    axes.set_ylabel(language("column.miou_percent"))


def _points(variants: Sequence[Weighed]) -> list[Point]:
    """Variants of the same cost and mean IoU share a point: an export that changes nothing is no rival."""
    shared: dict[tuple[float, float, float, float], list[str]] = {}
    for variant in variants:
        place = (variant.cost, variant.miou, variant.miou_low, variant.miou_high)
        shared.setdefault(place, []).append(variant.name)
    return [Point(*place, names=tuple(names)) for place, names in shared.items()]


def _curves(axes: Axes, language: Language) -> None:
    """Curves on which cost / (mean IoU - 0.65) is the same: a power of ten, named where it leaves the panel."""
    (left, right), (_, high) = axes.get_xlim(), axes.get_ylim()
    top = (high - _POLE) / 100
    powers = np.arange(np.ceil(np.log10(left / top)), np.floor(np.log10(right / top)) + 1)
    for power in powers[:: max(1, round(len(powers) / _CURVES))]:
        merit = 10.0**power
        mious = np.linspace(_POLE, high, 200)[1:]
        axes.plot(merit * (mious - _POLE) / 100, mious, color=MUTED, linewidth=0.6, linestyle=(0, (4, 3)), zorder=0.6)
        axes.annotate(
            language("figure.merit.equal", merit=f"$10^{{{power:.0f}}}$"), (merit * top, high), xytext=(0, 2),
            textcoords="offset points", ha="center", va="bottom", fontsize=6.8, color=MUTED,
        )  # fmt: skip


def _rows(axes: Axes, variants: Sequence[Weighed], rows: Rows, language: Language) -> None:
    axes.set_xscale("log")
    for variant in variants:
        row = rows.at[variant.name]
        if np.isnan(variant.merit):
            axes.text(0.01, row, language("figure.merit.none"), transform=axes.get_yaxis_transform(), va="center",
                      fontsize=7.4, color=MUTED)  # fmt: skip
            continue
        high = variant.merit if np.isnan(variant.merit_high) else variant.merit_high
        axes.plot([variant.merit_low, high], [row, row], color=MUTED, linewidth=1.1)
        if np.isnan(variant.merit_high):
            axes.annotate("", (1, row), (variant.merit, row), xycoords=("axes fraction", "data"), textcoords="data",
                          arrowprops={"arrowstyle": "->", "color": MUTED, "shrinkA": 0, "shrinkB": 0})  # fmt: skip
        color = CONTRAST if variant.is_baseline else ACCENT
        axes.plot(variant.merit, row, "s" if variant.is_baseline else "o", color=color, markersize=5)
    axes.margins(x=0.1)
    rows.label(axes)
    axes.grid(axis="x", visible=True)
    _powers(axes)
    axes.set_xlabel(language("figure.merit.merit"))


def _powers(axes: Axes) -> None:
    axes.xaxis.set_major_locator(LogLocator(numticks=9))
