"""What another encoding of the test images costs: accuracy by JPEG quality, and what a variant loses beyond another."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from compresslab.report.figures.drawing import DASHES, INK, MARKERS, SERIES, WIDTH_IN, variant_names
from compresslab.report.figures.material import Kind, Material
from compresslab.report.languages import Language
from compresslab.report.numbers import count

TABLES = ("codec_shift",)
KINDS: tuple[Kind, ...] = ()

_SPREAD = 0.2
"""How far the marks of all variants at one encoding stand apart, in steps of the axis."""


def codec_name(codec: str, language: Language) -> str:
    """What a codec of the table is called: ``original``, or ``jpeg`` and its quality."""
    return language("codec.original") if codec == "original" else codec.replace("jpeg", "JPEG ")


def draw(material: Material, language: Language) -> Figure | None:
    """Left: accuracy. Right: the drop beyond the reference's. Qualities rise to the right, the originals stand last."""
    table = material.table("codec_shift")
    if table is None:
        return None
    table = table[table["host"] == table["host"].iloc[0]]
    table = table.assign(name=variant_names(table), place=table["model"] + "/" + table["variant"])
    sizes = table.groupby("codec")["bytes_per_image"].first()
    codecs = sorted(sizes.index, key=_quality)
    figure = Figure(figsize=(WIDTH_IN, 3.5))
    accuracy, excess = figure.subplots(1, 2, width_ratios=(1.25, 1))
    _lines(accuracy, table, codecs, "accuracy", "percent")
    others = table[table["place"] != table["reference"]]
    encoded = [codec for codec in codecs if codec != "original"]
    excess.axhline(0, color=INK, linewidth=0.8)
    _lines(excess, table, encoded, "excess_drop", "points", set(others["name"]))
    for axes, shown in ((accuracy, codecs), (excess, encoded)):
        axes.set_xticks(range(len(shown)), [_label(codec, sizes[codec], language) for codec in shown])
        axes.set_xlim(-0.5, len(shown) - 0.5)
        axes.grid(axis="y", visible=True)
    accuracy.set_ylabel(language("column.accuracy_percent"))
    excess.set_ylabel(language("figure.codec_shift.excess", reference=_reference(table)))
    figure.legend(*accuracy.get_legend_handles_labels(), loc="outside lower center", ncols=2, handlelength=3.4)
    return figure


def _quality(codec: str) -> float:
    return float(codec.removeprefix("jpeg")) if codec != "original" else np.inf


def _label(codec: str, size: float, language: Language) -> str:
    name = codec_name(codec, language)
    return f"{name}\n{language('figure.codec_shift.bytes', bytes=count(size))}"


def _reference(table: pd.DataFrame) -> str:
    """The variant whose drop is taken away, without its model where the table has only one."""
    reference = str(table["reference"].iloc[0])
    return reference if table["model"].nunique() > 1 else reference.partition("/")[2]


def _lines(
    axes: Axes, table: pd.DataFrame, codecs: list[str], stem: str, unit: str, chosen: set[str] | None = None
) -> None:
    """One line per variant with its 95 % intervals; those that are not ``chosen`` keep their colour for themselves."""
    variants = list(table.groupby("name", sort=False))
    offsets = np.linspace(-_SPREAD, _SPREAD, len(variants)) if len(variants) > 1 else np.zeros(1)
    for index, ((name, rows), offset) in enumerate(zip(variants, offsets, strict=True)):
        if chosen is not None and name not in chosen:
            continue
        rows = rows.set_index("codec").reindex(codecs)
        value, low, high = (rows[f"{stem}{end}_{unit}"] for end in ("", "_low", "_high"))
        look: dict[str, Any] = {"color": SERIES[index % len(SERIES)], "marker": MARKERS[index % len(MARKERS)]}
        axes.errorbar(
            np.arange(len(codecs)) + offset,
            value,
            yerr=(value - low, high - value),
            linestyle=DASHES[index % len(DASHES)],
            markersize=4.2,
            linewidth=1.1,
            elinewidth=0.9,
            label=str(name),
            **look,
        )
