"""Training curves per epoch: each seed as a thin line, the mean as a thick one; the loss, too, for a few variants.

What is drawn beside the loss is the accuracy, or the mean IoU of answers per pixel: among those, nearly all of an image
is easy, and accuracies differ little.
"""

from statistics import median

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from compresslab.report.figures.drawing import ACCENT, CONTRAST, DASHES, INK, MUTED, WIDTH_IN, variant_names
from compresslab.report.figures.material import Kind, Material
from compresslab.report.languages import Language

TABLES = ("training",)
KINDS: tuple[Kind, ...] = ()

_SPLITS = (("train", CONTRAST, DASHES[1], "s"), ("validation", ACCENT, DASHES[0], "o"))
_FEW, _COLUMNS = 3, 3
"""Up to so many variants have a row of two panels each; more stand side by side, as accuracies on one scale."""

_COLUMNS_WITH_LOSS = 4
"""Where the loss stands below: losses of several terms tell more than accuracies, and narrow panels will do."""

_MARKED_EPOCHS = 12
"""More epochs than this make a line of markers; the lines alone say more."""

_STEPPED = 0.2
"""Largest share of the epochs after which a stepped rate falls; others fall after nearly all of them."""

_SHOWN = 0.03
"""Share of a grid's values that may lie below its scale: first epochs, which would flatten all others."""


def draw(material: Material, language: Language) -> Figure | None:
    """One row of loss and accuracy per trained variant, or a grid of accuracies when there are many.

    Mean IoU takes the place of accuracy where there is one, and the grid then has the losses, too.
    """
    training = material.table("training")
    if training is None:
        return None
    groups = [(str(name), runs) for name, runs in training.groupby(variant_names(training), sort=False)]
    if training["validation_miou_percent"].isna().any():
        figure = _rows(groups, "accuracy", language) if len(groups) <= _FEW else _grid(groups, language)
    else:
        figure = _rows(groups, "miou", language) if len(groups) <= _FEW else _grid_with_losses(groups, language)
    handles = figure.axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=3)
    return figure


def _rows(groups: list[tuple[str, pd.DataFrame]], scored: str, language: Language) -> Figure:
    figure = Figure(figsize=(WIDTH_IN, 0.4 + 2.4 * len(groups)))
    panels = figure.subplots(len(groups), 2, squeeze=False)
    for (name, runs), (loss, accuracy) in zip(groups, panels, strict=True):
        _panel(loss, runs, "loss", language)
        _panel(accuracy, runs, f"{scored}_percent", language)
        loss.set_title(language("figure.training.loss", variant=name))
        accuracy.set_title(language(f"figure.training.{scored}"))
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


def _grid_with_losses(groups: list[tuple[str, pd.DataFrame]], language: Language) -> Figure:
    """Four variants abreast: mean IoU on one scale, and below it the loss on one of its own, since losses differ."""
    rows = [groups[start : start + _COLUMNS_WITH_LOSS] for start in range(0, len(groups), _COLUMNS_WITH_LOSS)]
    figure = Figure(figsize=(WIDTH_IN, 0.5 + 2.3 * len(rows)))
    panels = figure.subplots(2 * len(rows), _COLUMNS_WITH_LOSS, squeeze=False, height_ratios=[1.5, 1] * len(rows))
    for row, chosen in enumerate(rows):
        for column, (miou, loss) in enumerate(zip(*panels[2 * row : 2 * row + 2], strict=True)):
            if column >= len(chosen):
                miou.axis("off")
                loss.axis("off")
                continue
            name, runs = chosen[column]
            _panel(miou, runs, "miou_percent", language)
            _panel(loss, runs, "loss", language)
            miou.set_title(name.replace("/", "\n"), fontsize=6.8)
            miou.sharey(panels[0, 0])
            miou.tick_params(labelbottom=False, labelleft=column == 0)
            loss.tick_params(labelsize=7)
            loss.set_xlabel(language("column.epoch"), fontsize=8)
        panels[2 * row, 0].set_ylabel(language("figure.training.miou"))
        panels[2 * row + 1, 0].set_ylabel(language("figure.training.losses"))
    values = pd.concat([runs[f"{split}_miou_percent"] for _, runs in groups for split, *_ in _SPLITS])
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
    for epoch in _steps(runs):
        axes.axvline(epoch, color=MUTED, linewidth=0.9, linestyle=(0, (1, 2)), zorder=0.9)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    if runs["epoch"].nunique() == 1:
        # A single point would stand between fractions of an epoch.
        axes.set_xlim(runs["epoch"].min() - 0.5, runs["epoch"].max() + 0.5)
    axes.grid(visible=True)


def _steps(runs: pd.DataFrame) -> list[float]:
    """Where the learning rate falls, between two epochs, of a schedule that holds it in between; else nowhere."""
    rates = runs[runs["seed"] == runs["seed"].iloc[0]].sort_values("epoch")["learning_rate"].to_numpy()
    falls = [epoch for epoch in range(1, len(rates)) if rates[epoch] < rates[epoch - 1]]
    return [epoch + 0.5 for epoch in falls] if len(falls) <= len(rates) * _STEPPED else []
