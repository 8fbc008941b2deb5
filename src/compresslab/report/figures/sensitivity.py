"""Which layers bear quantization: each one quantized alone, by the error of the logits and by the loss it adds."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from compresslab.report.figures.drawing import ACCENT, CONTRAST, INK, MUTED, WIDTH_IN, Rows, variant_names
from compresslab.report.figures.material import Kind, Material
from compresslab.report.languages import Language
from compresslab.report.numbers import significant

TABLES = ("sensitivity",)
KINDS: tuple[Kind, ...] = ()

_FLOOR_PERCENT = 1e-4
"""Smallest error that is drawn: a layer that changes nothing has no place on a logarithmic scale."""


def draw(material: Material, language: Language) -> Figure | None:
    """One row per layer, in the order of execution. Left: error of the logits. Right: increase of the loss.

    A dot is one seed, the mark their mean: filled where the layer is quantized, a diamond where the mixed variant keeps
    it in float in every seed, half filled where it does so in some.
    """
    table = material.table("sensitivity")
    if table is None:
        return None
    variants = variant_names(table)
    runs = table.assign(name=variants + " " + table["layer"])
    several = variants.nunique() > 1
    shown = {
        name: (variant if several else "", layer)
        for name, variant, layer in zip(runs["name"], variants, runs["layer"], strict=True)
    }
    rows = Rows(list(shown), shown)
    figure = Figure(figsize=(WIDTH_IN, rows.height(1.2)))
    errors, losses = figure.subplots(1, 2, sharey=True)
    _panel(errors, runs, rows, "relative_l2_percent", language)
    _panel(losses, runs, rows, "loss_increase", language)
    _logarithmic(errors)
    # Losses are small numbers with long labels.
    losses.xaxis.set_major_locator(MaxNLocator(3))
    losses.axvline(0, color=MUTED, linewidth=0.9, zorder=0.5)
    rows.label_both(errors, losses)
    figure.legend(*errors.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def _panel(axes: Axes, runs: pd.DataFrame, rows: Rows, column: str, language: Language) -> None:
    values = runs[column].clip(lower=_FLOOR_PERCENT) if column.endswith("percent") else runs[column]
    if runs["seed"].nunique() > 1:
        axes.plot(
            values, runs["name"].map(rows.at), "o", markersize=2.4, color=MUTED, label=language("figure.ablation.seed")
        )
    layers = runs.assign(value=values).groupby("name", sort=False)
    means, kept = layers["value"].mean(), layers["kept_float"].mean()
    looks: tuple[tuple[str, pd.Series, dict[str, Any]], ...] = (
        ("quantized", kept == 0, {"marker": "o", "color": ACCENT}),
        ("sometimes_float", (kept > 0) & (kept < 1), {"marker": "D", "color": CONTRAST, "markerfacecolor": "white"}),
        ("kept_float", kept == 1, {"marker": "D", "color": CONTRAST}),
    )
    for label, chosen, look in looks:
        if chosen.any():
            heights = [rows.at[str(name)] for name in means[chosen].index]
            axes.plot(
                means[chosen],
                heights,
                linestyle="",
                markersize=5.5,
                label=language(f"figure.sensitivity.{label}"),
                **look,
            )
    axes.grid(axis="x", visible=True)
    axes.set_xlabel(language(f"figure.sensitivity.{column}"), color=INK)


def _logarithmic(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=12))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: significant(value, 1)))
    axes.xaxis.set_minor_formatter(NullFormatter())
