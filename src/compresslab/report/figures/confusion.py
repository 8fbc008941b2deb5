"""Confusion matrices of the reference and of its smallest descendant, summed over seeds."""

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

_MOST_LABELLED = 20
"""Classes beyond which a cell is too small for its number."""


def draw(material: Material, language: Language) -> Figure | None:
    """Side by side; the shade is the logarithm of the count, since the mistakes are what one looks for."""
    confusion = material.table("confusion")
    if confusion is None:
        return None
    confusion = confusion.assign(name=variant_names(confusion))
    names = _chosen(confusion, material.table("costs"))
    figure = Figure(figsize=(WIDTH_IN, 3.5 if len(names) > 1 else 4.6))
    for axes, name in zip(np.atleast_1d(figure.subplots(1, len(names))), names, strict=True):
        _matrix(axes, confusion[confusion["name"] == name], name, language)
    return figure


def _chosen(confusion: pd.DataFrame, costs: pd.DataFrame | None) -> list[str]:
    names = list(dict.fromkeys(confusion["name"]))
    if costs is None or len(names) < 2:
        return names[:1]
    sizes = costs.assign(name=variant_names(costs)).set_index("name")["stored_bytes"]
    return [names[0], min(names[1:], key=lambda name: (sizes.get(name, np.inf), names.index(name)))]


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
