"""What depthwise separable convolutions promise by their products, and what the clock says."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from compresslab.report.figures.drawing import DASHES, INK, MARKERS, MUTED, SERIES, WIDTH_IN
from compresslab.report.figures.material import Kind, Material
from compresslab.report.languages import Language
from compresslab.report.numbers import significant

TABLES = ("convolutions",)
KINDS: tuple[Kind, ...] = ()

_SPEEDUPS_IN, _SHARES_IN = 2.5, 2.75
_SLOWER = "#e6eaee"
_MARGIN = 1.25
"""Factor by which the scales reach beyond the outermost values."""


def draw(material: Material, language: Language) -> Figure | None:
    """Above: speed-up over the promised one, a panel per size of map. Below: the share kept, a panel per kernel.

    Those of the first host and engine.
    """
    cells = _cells(material)
    if cells is None:
        return None
    figure = Figure(figsize=(WIDTH_IN, _SPEEDUPS_IN + _SHARES_IN), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(_SPEEDUPS_IN, _SHARES_IN), squeeze=False)[:, 0]
    _speedups(above, cells, language)
    _shares(below, cells, language)
    return figure


def _cells(material: Material) -> pd.DataFrame | None:
    """The cells with their speed-ups, promised and measured, and the share of the promise that is kept."""
    table = material.table("convolutions")
    if table is None:
        return None
    cells = table[(table["host"] == table["host"].iloc[0]) & (table["engine"] == table["engine"].iloc[0])]
    time = "separable_to_regular_time_ratio"
    promised, speedup = 1 / cells["separable_to_regular_macs_ratio"], 1 / cells[time]
    channels = zip(cells["input_channels"], cells["output_channels"], strict=True)
    return cells.assign(
        promised=promised,
        speedup=speedup,
        speedup_low=1 / cells[f"{time}_high"],
        speedup_high=1 / cells[f"{time}_low"],
        share_percent=100 * speedup / promised,
        channels=[f"{inputs} → {outputs}" for inputs, outputs in channels],
    )


def _speedups(part: SubFigure, cells: pd.DataFrame, language: Language) -> None:
    sizes = sorted(cells["map_size"].unique())
    panels = part.subplots(1, len(sizes), sharex=True, sharey=True, squeeze=False)[0]
    _scales(panels[0], cells)
    for axes, size in zip(panels, sizes, strict=True):
        _promise(axes, language)
        for place, (kernel, points) in enumerate(cells[cells["map_size"] == size].groupby("kernel")):
            _points(axes, points, place, language("figure.convolutions.kernel", side=kernel))
        axes.set_title(language("figure.convolutions.map", side=size))
    panels[0].set_ylabel(language("figure.convolutions.measured"))
    part.supxlabel(language("figure.convolutions.promised"), fontsize=9)
    handles = panels[0].get_legend_handles_labels()
    part.legend(*handles, loc="outside upper center", ncols=5, handlelength=1.8, columnspacing=1.3)


def _scales(axes: Axes, cells: pd.DataFrame) -> None:
    """Scale both axes, which all panels share, by what is drawn: the line of the promise and every interval."""
    lowest, highest = cells["promised"].min() / _MARGIN, cells["promised"].max() * _MARGIN
    axes.set(xscale="log", yscale="log", xlim=(lowest, highest))
    axes.set_ylim(min(0.8, cells["speedup_low"].min() / _MARGIN), max(highest, cells["speedup_high"].max() * _MARGIN))
    for axis in (axes.xaxis, axes.yaxis):
        _plain(axis)


def _plain(axis: Axis) -> None:
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: significant(value, 1)))
    axis.set_minor_formatter(NullFormatter())


def _promise(axes: Axes, language: Language) -> None:
    """Draw the line on which the time is what the products promise, and shade where the separable form is slower."""
    kept, slower = language("figure.convolutions.kept"), language("figure.convolutions.slower")
    axes.axline((1, 1), (10, 10), color=MUTED, linewidth=1.1, linestyle=DASHES[1], zorder=1, label=kept)
    axes.axhspan(axes.get_ylim()[0], 1, color=_SLOWER, zorder=0, label=slower)
    axes.axhline(1, color=INK, linewidth=0.8, zorder=1)
    axes.grid(visible=True)


def _points(axes: Axes, points: pd.DataFrame, place: int, label: str) -> None:
    """One mark per pair of channels, filled where the separable form is surely faster."""
    color = SERIES[place % len(SERIES)]
    look: dict[str, Any] = {"fmt": MARKERS[place % len(MARKERS)], "color": color, "elinewidth": 0.9, "markersize": 4.4}
    for is_faster, face in ((True, color), (False, "white")):
        chosen = points[(points["speed_verdict"] == "faster") == is_faster]
        errors = (chosen["speedup"] - chosen["speedup_low"], chosen["speedup_high"] - chosen["speedup"])
        axes.errorbar(chosen["promised"], chosen["speedup"], yerr=errors, markerfacecolor=face, **look)
    axes.plot([], [], look["fmt"], color=color, markersize=4.4, label=label)


def _shares(part: SubFigure, cells: pd.DataFrame, language: Language) -> None:
    kernels, channels = sorted(cells["kernel"].unique()), list(dict.fromkeys(cells["channels"]))
    panels = part.subplots(1, len(kernels), sharex=True, sharey=True, squeeze=False)[0]
    for axes, kernel in zip(panels, kernels, strict=True):
        _kept(axes, cells[cells["kernel"] == kernel], channels)
        axes.set_title(language("figure.convolutions.kernel", side=kernel))
        axes.set_xlabel(language("figure.convolutions.map_size"))
    sizes = sorted(cells["map_size"].unique())
    panels[0].set_xscale("log")
    panels[0].xaxis.set(major_locator=FixedLocator(sizes), minor_locator=NullLocator())
    panels[0].xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
    panels[0].set_ylim(0, 1.08 * max(100.0, cells["share_percent"].max()))
    panels[0].set_ylabel(language("figure.convolutions.share"))
    part.legend(
        *panels[0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=6,
        handlelength=2.6,
        columnspacing=1.3,
        title=language("figure.convolutions.channels"),
        title_fontsize=8.5,
    )


def _kept(axes: Axes, cells: pd.DataFrame, channels: Sequence[str]) -> None:
    axes.axhline(100, color=MUTED, linewidth=1.1, linestyle=DASHES[1], zorder=1)
    for place, name in enumerate(channels):
        line = cells[cells["channels"] == name].sort_values("map_size")
        axes.plot(
            line["map_size"],
            line["share_percent"],
            color=SERIES[place % len(SERIES)],
            marker=MARKERS[place % len(MARKERS)],
            linestyle=DASHES[place % len(DASHES)],
            markersize=3.8,
            linewidth=1.1,
            label=name,
        )
    axes.grid(visible=True)
