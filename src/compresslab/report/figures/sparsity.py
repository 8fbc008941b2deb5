"""What zeros are worth: the bytes of dense, pruned and clustered variants, and the time of sparse products."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from compresslab.report import break_even
from compresslab.report.figures.drawing import (
    ACCENT,
    CONTRAST,
    DASHES,
    INK,
    MARKERS,
    MUTED,
    SERIES,
    WIDTH_IN,
    Rows,
    variant_names,
)
from compresslab.report.figures.material import Kind, Material
from compresslab.report.languages import Language
from compresslab.report.numbers import KIBIBYTE, significant

TABLES = ("costs", "sparse_products")
ENOUGH = ("costs", "sparse_products")
KINDS: tuple[Kind, ...] = ()

_FLOAT_BYTES = 4
_PRUNED = 0.95
"""Share of weights that are not zero, below which a variant counts as pruned; a few zeros are chance."""

_SIZES = (
    ("file_bytes", "o", INK, INK),
    ("file_gz_bytes", "D", ACCENT, "white"),
    ("sparse_bytes", "s", CONTRAST, CONTRAST),
)
_CURVES_IN = 2.9
_PLAUSIBLE = (0.01, 100.0)
"""Ratios of time that are drawn; a hasty measurement on a busy machine may lie beyond, with all of its interval."""

_WIDE = 60.0
"""Ratio between the highest and the lowest ratio above which few ticks suffice."""


def draw(material: Material, language: Language) -> Figure | None:
    """Above: one row per variant with float weights. Below: one panel per batch, one line per layer."""
    costs, products = _float_variants(material.table("costs")), material.table("sparse_products")
    if costs is None and products is None:
        return None
    rows = Rows([] if costs is None else list(variant_names(costs)))
    heights = [rows.height(0.9)] * (costs is not None) + [_CURVES_IN] * (products is not None)
    figure = Figure(figsize=(WIDTH_IN, sum(heights)), layout="constrained")
    parts = list(figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0])
    if costs is not None:
        _bytes(parts.pop(0), costs, rows, language)
    if products is not None:
        _times(parts.pop(0), products, language)
    return figure


def _float_variants(costs: pd.DataFrame | None) -> pd.DataFrame | None:
    """Variants with float weights, of models of which one has been pruned; None where none is."""
    if costs is None:
        return None
    pruned = costs[costs["nonzero_parameters"] < _PRUNED * costs["parameters"]]
    is_float = costs["weight_bytes"] >= _FLOAT_BYTES * costs["parameters"]
    chosen = costs[is_float & costs["model"].isin(pruned["model"])]
    return None if chosen.empty else chosen


def _bytes(part: SubFigure, costs: pd.DataFrame, rows: Rows, language: Language) -> None:
    axes = part.add_subplot()
    heights = [rows.at[name] for name in variant_names(costs)]
    columns = [column for column, *_ in _SIZES]
    axes.hlines(
        heights,
        costs[columns].min(axis=1) / KIBIBYTE,
        costs[columns].max(axis=1) / KIBIBYTE,
        color=MUTED,
        linewidth=0.8,
    )
    for column, marker, edge, face in _SIZES:
        size = costs[column] / KIBIBYTE
        axes.plot(
            size,
            heights,
            marker,
            color=edge,
            markerfacecolor=face,
            markersize=5,
            label=language(f"figure.sparsity.{column}"),
        )
    rows.label(axes)
    axes.set_xlim(left=0)
    axes.grid(axis="x", visible=True)
    axes.set_xlabel(language("figure.sparsity.kib"))
    part.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=3)


def _times(part: SubFigure, products: pd.DataFrame, language: Language) -> None:
    products = products[products["host"] == products["host"].iloc[0]]
    batches = sorted(products["batch"].unique())
    panels = np.atleast_1d(part.subplots(1, len(batches), sharey=True))
    for axes, batch in zip(panels, batches, strict=True):
        _curves(axes, products[products["batch"] == batch])
        axes.set_title(language("figure.sparsity.batch", batch=batch))
        axes.set_xlabel(language("column.sparsity_percent"))
    panels[0].set_ylabel(language("column.sparse_to_dense_ratio"))
    _logarithmic(panels[0], products["sparse_to_dense_ratio"])
    part.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=6, handlelength=2.8)


def _curves(axes: Axes, products: pd.DataFrame) -> None:
    axes.axhline(1, color=INK, linewidth=0.8)
    for index, (layer, points) in enumerate(products.groupby("layer", sort=False)):
        look: dict[str, Any] = {"color": SERIES[index % len(SERIES)], "marker": MARKERS[index % len(MARKERS)]}
        ratio, low, high = (points[f"sparse_to_dense_ratio{end}"] for end in ("", "_low", "_high"))
        axes.fill_between(points["sparsity_percent"], low, high, color=look["color"], alpha=0.15, linewidth=0)
        axes.plot(
            points["sparsity_percent"],
            ratio,
            linestyle=DASHES[index % len(DASHES)],
            markersize=3,
            linewidth=1.1,
            label=str(layer),
            **look,
        )
        even = break_even.faster(points)
        if even is not None:
            axes.plot(even, ratio[points["sparsity_percent"] == even], markersize=9, markerfacecolor="none", **look)
    axes.grid(visible=True)


def _logarithmic(axes: Axes, ratios: pd.Series) -> None:
    """Scale the y axis, which all panels share, by the ratios of all of them."""
    drawn = ratios.clip(*_PLAUSIBLE)
    wide = drawn.max() > _WIDE * drawn.min()
    axes.set_yscale("log")
    axes.set_ylim(drawn.min() / 1.4, drawn.max() * 1.4)
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: significant(value, 1)))
    axes.yaxis.set_minor_formatter(NullFormatter())
