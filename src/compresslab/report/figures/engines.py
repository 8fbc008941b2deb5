"""One variant on several engines: each engine's speed as a multiple of the first one's, with its 95 % interval."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from compresslab.report.figures.drawing import ACCENT, CONTRAST, INK, Rows, single_and_offline, variant_names
from compresslab.report.figures.material import Kind, Material
from compresslab.report.languages import Language
from compresslab.report.ratios import MARGIN, engine_ratios

TABLES = ("latency",)
KINDS: tuple[Kind, ...] = ()

_WIDE = 4.0
"""Ratio between the largest and the smallest speed-up above which few ticks suffice."""


def draw(material: Material, language: Language) -> Figure | None:
    """Left: single images. Right: the whole test set in batches. Above 1 the engine is faster; the band is noise."""
    latency = material.table("latency")
    ratios = None if latency is None else engine_ratios(latency)
    if ratios is None or ratios.empty:
        return None
    names = variant_names(ratios) + " · " + ratios["engine"] + " ← " + ratios["baseline_engine"]
    several = ratios["host"].nunique() > 1
    ratios = ratios.assign(name=ratios["host"] + " · " + names if several else names)
    rows = Rows(list(dict.fromkeys(ratios["name"])))
    panels = (
        lambda axes: _panel(axes, ratios, rows, "latency", language),
        lambda axes: _panel(axes, ratios, rows, "throughput", language),
    )
    return single_and_offline(rows, 1.4, panels, language)


def _panel(axes: Axes, ratios: pd.DataFrame, rows: Rows, quantity: str, language: Language) -> None:
    axes.axvspan(1 / (1 + MARGIN), 1 + MARGIN, color="#e4e8ec", zorder=0)
    axes.axvline(1, color=INK, linewidth=0.7, zorder=1)
    value, low, high = (f"{quantity}_ratio{end}" for end in ("", "_low", "_high"))
    for threads, cells in ratios.dropna(subset=[value]).groupby("threads"):
        single = threads == 1
        axes.errorbar(
            cells[value],
            [rows.at[name] + (-0.14 if single else 0.14) for name in cells["name"]],
            xerr=(cells[value] - cells[low].fillna(cells[value]), cells[high].fillna(cells[value]) - cells[value]),
            fmt="o" if single else "s",
            markersize=4.2,
            color=ACCENT if single else CONTRAST,
            markerfacecolor=ACCENT if single else "white",
            elinewidth=1.1,
            label=language("figure.threads.one") if single else language("figure.threads.many", threads=threads),
        )
    axes.set_xscale("log")
    wide = ratios[value].max() > _WIDE * min(ratios[value].min(), 1)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if wide else (0.5, 0.7, 1.0, 1.2, 1.5, 2.0, 3.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda ratio, _: f"{ratio:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(x=0.12)
    axes.set_xlabel(language("figure.engines.times"))
    axes.grid(axis="x", visible=True)
