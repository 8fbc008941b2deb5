"""Accuracy of every variant: each training as a dot with its 95 % interval, the mean over seeds as a bar."""

import numpy as np
from matplotlib.figure import Figure

from compresslab.report.figures.drawing import ACCENT, FAINT, INK, MUTED, WIDTH_IN, Rows, variant_names
from compresslab.report.figures.material import Kind, Material
from compresslab.report.languages import Language

TABLES = ("scores",)
KINDS: tuple[Kind, ...] = ()


def draw(material: Material, language: Language) -> Figure | None:
    """One row per variant; the vertical line is the first variant's mean."""
    scores = material.table("scores")
    if scores is None:
        return None
    scores = scores.assign(name=variant_names(scores))
    groups = list(scores.groupby("name", sort=False))
    rows = Rows([str(name) for name, _ in groups])
    figure = Figure(figsize=(WIDTH_IN, rows.height(1.1)))
    axes = figure.add_subplot()
    axes.axvline(groups[0][1]["accuracy_percent"].mean(), color=FAINT, linewidth=1.2, zorder=0)
    for name, runs in groups:
        row = rows.at[str(name)]
        offsets = np.linspace(-0.24, 0.24, len(runs)) if len(runs) > 1 else np.zeros(1)
        value = runs["accuracy_percent"].to_numpy()
        below = value - runs["accuracy_low_percent"].to_numpy()
        above = runs["accuracy_high_percent"].to_numpy() - value
        axes.errorbar(
            value,
            row + offsets,
            xerr=(below, above),
            fmt="o",
            markersize=3.2,
            color=ACCENT,
            ecolor=MUTED,
            elinewidth=0.9,
        )
        axes.plot([value.mean()] * 2, [row - 0.36, row + 0.36], color=INK, linewidth=1.8, solid_capstyle="butt")
    rows.label(axes)
    axes.grid(axis="x", visible=True)
    axes.set_xlabel(language("column.accuracy_percent"))
    return figure
