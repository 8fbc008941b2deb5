"""Training curves: loss and accuracy per epoch, each seed as a thin line, the mean as a thick one."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from compresslab.report.figures.drawing import ACCENT, CONTRAST, DASHES, WIDTH_IN, variant_names
from compresslab.report.figures.material import Kind, Material
from compresslab.report.languages import Language

TABLES = ("training",)
KINDS: tuple[Kind, ...] = ()

_SPLITS = (("train", CONTRAST, DASHES[1], "s"), ("validation", ACCENT, DASHES[0], "o"))


def draw(material: Material, language: Language) -> Figure | None:
    """One row of two panels per trained variant."""
    training = material.table("training")
    if training is None:
        return None
    groups = list(training.assign(name=variant_names(training)).groupby("name", sort=False))
    figure = Figure(figsize=(WIDTH_IN, 0.4 + 2.4 * len(groups)))
    panels = figure.subplots(len(groups), 2, squeeze=False)
    for (name, runs), (loss, accuracy) in zip(groups, panels, strict=True):
        _panel(loss, runs, "loss", language)
        _panel(accuracy, runs, "accuracy_percent", language)
        loss.set_title(language("figure.training.loss", variant=name))
        accuracy.set_title(language("figure.training.accuracy"))
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def _panel(axes: Axes, runs: pd.DataFrame, quantity: str, language: Language) -> None:
    for split, color, dashes, marker in _SPLITS:
        column = f"{split}_{quantity}"
        for _, run in runs.groupby("seed"):
            axes.plot(run["epoch"], run[column], color=color, linewidth=0.7, alpha=0.5, linestyle=dashes)
        mean = runs.groupby("epoch")[column].mean()
        axes.plot(
            mean.index,
            mean,
            color=color,
            linestyle=dashes,
            marker=marker,
            markersize=3.6,
            label=language(f"split.{split}"),
        )
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.grid(visible=True)
    axes.set_xlabel(language("column.epoch"))
