"""Speed of every variant and engine: single-image latency and offline throughput, with their 95 % intervals."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from compresslab.report.figures.drawing import ACCENT, CONTRAST, Rows, single_and_offline, variant_names
from compresslab.report.figures.material import Kind, Material
from compresslab.report.languages import Language
from compresslab.report.numbers import significant

TABLES = ("latency",)
KINDS: tuple[Kind, ...] = ()

_WIDE = 8.0
"""Ratio between the slowest and the fastest cell above which the scale is logarithmic."""


def draw(material: Material, language: Language) -> Figure | None:
    """One row per host, variant and engine; one thread as filled dots, more threads as open squares."""
    latency = material.table("latency")
    if latency is None:
        return None
    latency = latency.assign(name=_row_names(latency))
    rows = Rows(list(dict.fromkeys(latency["name"])))
    panels = (
        lambda axes: _panel(axes, latency, rows, "p50_ms", language),
        lambda axes: _panel(axes, latency, rows, "offline_images_per_s", language),
    )
    return single_and_offline(rows, 1.35, panels, language)


def _row_names(latency: pd.DataFrame) -> pd.Series:
    names = variant_names(latency) + " · " + latency["engine"]
    return latency["host"] + " · " + names if latency["host"].nunique() > 1 else names


def _panel(axes: Axes, latency: pd.DataFrame, rows: Rows, column: str, language: Language) -> None:
    stem, unit = column.split("_", 1)
    low, high = f"{stem}_low_{unit}", f"{stem}_high_{unit}"
    for threads, cells in latency.dropna(subset=[column]).groupby("threads"):
        single = threads == 1
        heights = [rows.at[name] + (-0.14 if single else 0.14) for name in cells["name"]]
        label = language("figure.threads.one") if single else language("figure.threads.many", threads=threads)
        axes.errorbar(
            cells[column],
            heights,
            xerr=(cells[column] - cells[low], cells[high] - cells[column]),
            fmt="o" if single else "s",
            markersize=4.2,
            color=ACCENT if single else CONTRAST,
            markerfacecolor=ACCENT if single else "white",
            elinewidth=1.1,
            label=label,
        )
    values = latency[column].dropna()
    if len(values) and values.max() / values.min() > _WIDE:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if values.max() / values.min() > 30 else (1.0, 3.0)))
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: significant(value, 1)))
    axes.grid(axis="x", visible=True)
    axes.set_xlabel(language(f"column.{column}"))
