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
    Rows,
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
    pairs = comparisons.assign(name=variant_names(comparisons) + " ← " + _references(comparisons))
    rows = Rows(list(dict.fromkeys(pairs["name"])))
    figure = Figure(figsize=(WIDTH_IN, rows.height(1.35)))
    agreement, difference = figure.subplots(1, 2, sharey=True)
    _agreement(agreement, pairs, rows)
    _difference(difference, pairs, rows, language)
    rows.label_both(agreement, difference)
    agreement.set_xlabel(language("column.agreement_percent"))
    difference.set_xlabel(language("column.accuracy_difference_points"))
    figure.legend(*difference.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _references(comparisons: pd.DataFrame) -> pd.Series:
    """Name references as the lab does, without their model where it is the variant's own."""
    places = zip(comparisons["model"], comparisons["reference"], strict=True)
    return pd.Series([reference.removeprefix(f"{model}/") for model, reference in places], comparisons.index)


def _offsets(runs: pd.DataFrame) -> np.ndarray:
    return np.linspace(-0.24, 0.24, len(runs)) if len(runs) > 1 else np.zeros(len(runs))


def _agreement(axes: Axes, pairs: pd.DataFrame, rows: Rows) -> None:
    for name, row in rows.at.items():
        runs = pairs[pairs["name"] == name]
        axes.plot(runs["agreement_percent"], row + _offsets(runs), "o", markersize=3.4, color=ACCENT)
        axes.plot([runs["agreement_percent"].mean()] * 2, [row - 0.36, row + 0.36], color=INK, linewidth=1.8)
    axes.set_xlim(right=100 + 0.04 * max(0.5, 100 - pairs["agreement_percent"].min()))
    axes.grid(axis="x", visible=True)


def _difference(axes: Axes, pairs: pd.DataFrame, rows: Rows, language: Language) -> None:
    axes.axvline(0, color=FAINT, linewidth=1.4, zorder=0)
    heights = pd.Series(0.0, pairs.index)
    for name, row in rows.at.items():
        runs = pairs[pairs["name"] == name]
        heights[runs.index] = row + _offsets(runs)
    for verdict, (marker, edge, face) in _SIGNS.items():
        runs = pairs[pairs["accuracy_verdict"] == verdict]
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
