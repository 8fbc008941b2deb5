"""Intersection over union of every class: the baseline in float, fake-quantized and in integers."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from compresslab.report.figures.drawing import INK, SERIES, WIDTH_IN
from compresslab.report.figures.material import Kind, Material
from compresslab.report.languages import Language

TABLES = ("segmentation_by_class",)
KINDS: tuple[Kind, ...] = ()

_HATCHES = {"float": "", "simulated": "////", "integer": "xxxx"}
_GROUP = 0.84
"""Width of the bars of one class, in steps of the axis."""


def draw(material: Material, language: Language) -> Figure | None:
    """One group of bars per class, with whiskers of 95 %: means over the seeds."""
    table = material.table("segmentation_by_class")
    if table is None:
        return None
    table = table.assign(name=table["model"] + "/" + table["variant"])
    columns = ["iou_percent", "iou_low_percent", "iou_high_percent"]
    means = table.groupby(["name", "class"], sort=False)[columns].mean()
    names, classes = _shown(table, material), list(dict.fromkeys(table["class"]))
    figure = Figure(figsize=(WIDTH_IN, 3.4))
    axes = figure.add_subplot()
    width = _GROUP / len(names)
    for place, name in enumerate(names):
        value, low, high = means.loc[name].reindex(classes)[columns].to_numpy().T
        axes.bar(
            np.arange(len(classes)) + (place + 0.5) * width - _GROUP / 2,
            value,
            width,
            yerr=(value - low, high - value),
            color=SERIES[place % len(SERIES)],
            hatch=_HATCHES[material.arithmetic.get(name, "float")],
            edgecolor="white",
            linewidth=0.4,
            error_kw={"ecolor": INK, "elinewidth": 0.8},
            label=name,
        )
    axes.set_xticks(range(len(classes)), classes, rotation=90 if len(classes) > 10 else 0)
    axes.tick_params(axis="x", labelsize=7.8)
    axes.set_ylim(0, 100)
    axes.grid(axis="y", visible=True)
    axes.set_ylabel(language("column.iou_percent"))
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def _shown(table: pd.DataFrame, material: Material) -> list[str]:
    """The baseline and what its model has of simulated and of real integers; without it, the first variant's model."""
    names = list(dict.fromkeys(table["name"]))
    first = material.baseline if material.baseline in names else names[0]
    model = f"{first.partition('/')[0]}/"
    others = [name for name in names if name.startswith(model) and material.arithmetic.get(name, "float") != "float"]
    return [first, *(name for name in others if name != first)]
