"""Confusion matrices, summed over seeds: of each model's first variant, and of the smallest of the baseline's model."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from compresslab.report.figures.drawing import INK, WIDTH_IN, variant_names
from compresslab.report.figures.material import Kind, Material
from compresslab.report.languages import Language
from compresslab.report.numbers import count

TABLES = ("confusion", "costs")
KINDS: tuple[Kind, ...] = ()

_COLUMNS, _MOST_MODELS = 2, 3
_MOST_LABELLED = 20
"""Classes beyond which a cell is too small for its number."""


def draw(material: Material, language: Language) -> Figure | None:
    """Side by side; the shade is the logarithm of the count, since the mistakes are what one looks for."""
    confusion = material.table("confusion")
    if confusion is None:
        return None
    confusion = confusion.assign(name=variant_names(confusion))
    # The baseline's model first; the others keep their order.
    confusion = confusion.sort_values(
        "model", key=lambda names: names != material.baseline.partition("/")[0], kind="stable"
    )
    names = _chosen(confusion, material.table("costs"))
    rows = -(-len(names) // _COLUMNS)
    figure = Figure(figsize=(WIDTH_IN, 3.5 * rows if len(names) > 1 else 4.6))
    panels = figure.subplots(rows, min(len(names), _COLUMNS), squeeze=False).ravel()
    for axes in panels[len(names) :]:
        axes.axis("off")
    for axes, name in zip(panels, names, strict=False):
        _matrix(axes, confusion[confusion["name"] == name], name, language)
    return figure


def _chosen(confusion: pd.DataFrame, costs: pd.DataFrame | None) -> list[str]:
    firsts = confusion.groupby("model", sort=False)["name"].first().tolist()[:_MOST_MODELS]
    own = list(dict.fromkeys(confusion[confusion["model"] == confusion["model"].iloc[0]]["name"]))
    if costs is None or len(own) < 2:
        return firsts
    sizes = costs.assign(name=variant_names(costs)).set_index("name")["stored_bytes"]
    smallest = min(own[1:], key=lambda name: (sizes.get(name, np.inf), own.index(name)))
    return [firsts[0], smallest, *firsts[1:]]


def _matrix(axes: Axes, cells: pd.DataFrame, name: str, language: Language) -> None:
    classes = list(dict.fromkeys(cells["true_class"]))
    table = cells.groupby(["true_class", "predicted_class"])["images"].sum().unstack(fill_value=0)
    counts = table.reindex(index=classes, columns=classes, fill_value=0).to_numpy()
    shade = np.log1p(counts) / max(np.log1p(counts).max(), 1)
    axes.imshow(shade, cmap="Greys", vmin=0, vmax=1.15)
    if len(classes) <= _MOST_LABELLED:
        for (row, column), images in np.ndenumerate(counts):
            if images:
                dark = shade[row, column] > 0.6
                axes.text(
                    column, row, count(images), ha="center", va="center", fontsize=5.8, color="white" if dark else INK
                )
        rotation = 90 if max(map(len, classes)) > 2 else 0
        axes.set_xticks(range(len(classes)), classes, rotation=rotation)
        axes.set_yticks(range(len(classes)), classes)
    axes.set_title(name)
    axes.set_xlabel(language("column.predicted_class"))
    axes.set_ylabel(language("column.true_class"))
    axes.spines[:].set_visible(False)
