"""Training curves per epoch: each seed as a thin line, the mean as a thick one; the loss, too, for a few variants."""

from statistics import median

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from compresslab.report.figures.drawing import ACCENT, CONTRAST, DASHES, INK, WIDTH_IN, variant_names
from compresslab.report.figures.material import Kind, Material
from compresslab.report.languages import Language

TABLES = ("training",)
KINDS: tuple[Kind, ...] = ()

_SPLITS = (("train", CONTRAST, DASHES[1], "s"), ("validation", ACCENT, DASHES[0], "o"))
_FEW, _COLUMNS = 3, 3
"""Up to so many variants have a row of two panels each; more stand side by side, as accuracies on one scale."""

_MARKED_EPOCHS = 12
"""More epochs than this make a line of markers; the lines alone say more."""

_SHOWN = 0.03
"""Share of a grid's values that may lie below its scale: first epochs, which would flatten all others."""


def draw(material: Material, language: Language) -> Figure | None:
    """One row of loss and accuracy per trained variant, or a grid of accuracies when there are many."""
    training = material.table("training")
    if training is None:
        return None
    groups = [(str(name), runs) for name, runs in training.groupby(variant_names(training), sort=False)]
    figure = _rows(groups, language) if len(groups) <= _FEW else _grid(groups, language)
    handles = figure.axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=3)
    return figure


def _rows(groups: list[tuple[str, pd.DataFrame]], language: Language) -> Figure:
    figure = Figure(figsize=(WIDTH_IN, 0.4 + 2.4 * len(groups)))
    panels = figure.subplots(len(groups), 2, squeeze=False)
    for (name, runs), (loss, accuracy) in zip(groups, panels, strict=True):
        _panel(loss, runs, "loss", language)
        _panel(accuracy, runs, "accuracy_percent", language)
        loss.set_title(language("figure.training.loss", variant=name))
        accuracy.set_title(language("figure.training.accuracy"))
        for axes in (loss, accuracy):
            axes.set_xlabel(language("column.epoch"))
    return figure


def _grid(groups: list[tuple[str, pd.DataFrame]], language: Language) -> Figure:
    """Three panels abreast on one scale of accuracy."""
    rows = _arranged(groups)
    figure = Figure(figsize=(WIDTH_IN, 0.5 + 1.72 * len(rows)))
    panels = figure.subplots(len(rows), _COLUMNS, squeeze=False, sharey=True)
    for row, chosen in zip(panels, rows, strict=True):
        for axes in row[len(chosen) :]:
            axes.axis("off")
        for axes, (name, runs) in zip(row, chosen, strict=False):
            _panel(axes, runs, "accuracy_percent", language)
            axes.set_title(name.replace("/", "\n"), fontsize=8.2)
        row[0].set_ylabel(language("figure.training.accuracy"))
    for axes in panels[-1][: len(rows[-1])]:
        axes.set_xlabel(language("column.epoch"))
    values = pd.concat([runs[f"{split}_accuracy_percent"] for _, runs in groups for split, *_ in _SPLITS])
    panels[0, 0].set_ylim(bottom=values.quantile(_SHOWN))
    return figure


def _arranged(groups: list[tuple[str, pd.DataFrame]]) -> list[list[tuple[str, pd.DataFrame]]]:
    """Rows of panels; a new model begins a new row, unless most models have a single panel."""
    models: dict[str, list[tuple[str, pd.DataFrame]]] = {}
    for name, runs in groups:
        models.setdefault(str(runs["model"].iloc[0]), []).append((name, runs))
    blocks = [groups] if median(map(len, models.values())) == 1 else list(models.values())
    return [block[start : start + _COLUMNS] for block in blocks for start in range(0, len(block), _COLUMNS)]


def _panel(axes: Axes, runs: pd.DataFrame, quantity: str, language: Language) -> None:
    marked = runs["epoch"].nunique() <= _MARKED_EPOCHS
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
            marker=marker if marked else None,
            markersize=3.6,
            label=language(f"split.{split}"),
        )
    kept = runs[runs["kept"]]
    axes.plot(
        kept["epoch"],
        kept[f"validation_{quantity}"],
        "o",
        markersize=5.2,
        color=INK,
        markerfacecolor="none",
        markeredgewidth=0.9,
        label=language("figure.training.kept"),
    )
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.grid(visible=True)
