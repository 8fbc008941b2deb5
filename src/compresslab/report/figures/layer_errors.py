"""Where quantization departs from its reference: the relative error after every layer."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from compresslab.report.figures.drawing import DASHES, MARKERS, SERIES, WIDTH_IN
from compresslab.report.figures.material import Kind, Material
from compresslab.report.languages import Language
from compresslab.report.numbers import significant

TABLES = ("layers",)
KINDS: tuple[Kind, ...] = ()

_NAMED, _EVERY = 24, 10
"""More layers than this have numbers, of which every tenth is written: their names would lie on each other."""


def draw(material: Material, language: Language) -> Figure | None:
    """One panel per model, one line per variant: the mean over seeds, on a logarithmic scale."""
    layers = material.table("layers")
    if layers is None:
        return None
    models = list(layers.groupby("model", sort=False))
    lines = max(table.groupby(["variant", "reference"]).ngroups for _, table in models)
    figure = Figure(figsize=(WIDTH_IN, 2.5 * len(models) + 0.6 + 0.17 * lines / 2))
    panels = np.atleast_1d(figure.subplots(len(models), 1))
    for axes, (model, table) in zip(panels, models, strict=True):
        _panel(axes, table, language)
        axes.set_ylabel(language("column.relative_l2_percent"))
        if len(models) > 1:
            axes.set_title(str(model))
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, handlelength=3.4)
    return figure


def _panel(axes: Axes, table: pd.DataFrame, language: Language) -> None:
    names = list(dict.fromkeys(table["layer"]))
    for index, ((variant, reference), rows) in enumerate(table.groupby(["variant", "reference"], sort=False)):
        mean = rows.groupby("layer")["relative_l2_percent"].mean().reindex(names)
        axes.plot(
            range(len(names)),
            mean.where(mean > 0),
            color=SERIES[index % len(SERIES)],
            marker=MARKERS[index % len(MARKERS)],
            linestyle=DASHES[index % len(DASHES)],
            markersize=4.6 if len(names) <= _NAMED else 2.8,
            linewidth=1.2 if len(names) <= _NAMED else 0.9,
            label=f"{variant} ← {reference}",
        )
    if len(names) <= _NAMED:
        axes.set_xticks(range(len(names)), names)
    else:
        axes.xaxis.set_major_formatter(FuncFormatter(lambda place, _: f"{place + 1:.0f}"))
        axes.set_xticks(range(_EVERY - 1, len(names), _EVERY))
        axes.set_xlabel(language("figure.layer_errors.number"))
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: significant(value, 1)))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(visible=True)
