"""Each variant against its parent: how often they give the same answer, and what that does to the accuracy."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from compresslab.report.figures.drawing import (
    ACCENT,
    CONTRAST,
    FAINT,
    INK,
    MUTED,
    WIDTH_IN,
    height_of,
    rows_of,
    variant_names,
)
from compresslab.report.figures.material import Kind, Material
from compresslab.report.languages import Language

TABLES = ("comparisons",)
KINDS: tuple[Kind, ...] = ()

_SIGNS = {"better": ("^", ACCENT, ACCENT), "worse": ("v", CONTRAST, CONTRAST), "noise": ("o", MUTED, "white")}


def draw(material: Material, language: Language) -> Figure | None:
    """Left: agreement of the answers. Right: difference of the accuracies with its 95 % interval, one dot per seed."""
    comparisons = material.table("comparisons")
    if comparisons is None:
        return None
    rows = comparisons.assign(name=variant_names(comparisons) + " ← " + comparisons["reference"])
    names = list(dict.fromkeys(rows["name"]))
    figure = Figure(figsize=(WIDTH_IN, height_of(len(names), 1.35)))
    agreement, difference = figure.subplots(1, 2, sharey=True)
    _agreement(agreement, rows, names)
    _difference(difference, rows, names, language)
    rows_of(agreement, names)
    difference.grid(axis="y", visible=True)
    difference.spines["left"].set_visible(False)
    agreement.set_xlabel(language("column.agreement_percent"))
    difference.set_xlabel(language("column.accuracy_difference_points"))
    figure.legend(*difference.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _offsets(runs: pd.DataFrame) -> np.ndarray:
    return np.linspace(-0.24, 0.24, len(runs)) if len(runs) > 1 else np.zeros(len(runs))


def _agreement(axes: Axes, rows: pd.DataFrame, names: list[str]) -> None:
    for row, name in enumerate(names):
        runs = rows[rows["name"] == name]
        axes.plot(runs["agreement_percent"], row + _offsets(runs), "o", markersize=3.4, color=ACCENT)
        axes.plot([runs["agreement_percent"].mean()] * 2, [row - 0.36, row + 0.36], color=INK, linewidth=1.8)
    axes.set_xlim(right=100 + 0.04 * max(0.5, 100 - rows["agreement_percent"].min()))
    axes.grid(axis="x", visible=True)


def _difference(axes: Axes, rows: pd.DataFrame, names: list[str], language: Language) -> None:
    axes.axvline(0, color=FAINT, linewidth=1.4, zorder=0)
    heights = pd.Series(0.0, rows.index)
    for row, name in enumerate(names):
        runs = rows[rows["name"] == name]
        heights[runs.index] = row + _offsets(runs)
    for verdict, (marker, edge, face) in _SIGNS.items():
        runs = rows[rows["accuracy_verdict"] == verdict]
        if runs.empty:
            continue
        value = runs["accuracy_difference_points"]
        axes.errorbar(
            value,
            heights[runs.index],
            xerr=(value - runs["accuracy_difference_low_points"], runs["accuracy_difference_high_points"] - value),
            fmt=marker,
            markersize=4,
            color=edge,
            markerfacecolor=face,
            ecolor=MUTED,
            elinewidth=0.9,
            label=language(f"verdict.{verdict}"),
        )
    axes.grid(axis="x", visible=True)
