"""Trainings against trainings: by how much each variant's accuracy differs, and what one run could have shown of it."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from compresslab.report.figures.drawing import ACCENT, CONTRAST, INK, MUTED, WIDTH_IN, Rows
from compresslab.report.figures.material import Kind, Material
from compresslab.report.languages import Language
from compresslab.report.numbers import UNITS, interval
from compresslab.report.paired import common_verdict, mean_difference

TABLES = ("comparisons",)
KINDS: tuple[Kind, ...] = ()

_SIGNS = {
    "better": ("^", ACCENT, ACCENT),
    "worse": ("v", CONTRAST, CONTRAST),
    "unsettled": ("o", INK, "white"),
}
_BAND = "#e6eaee"
_BAND_HEIGHT, _SEEDS_BELOW = 0.8, 0.28


def draw(material: Material, language: Language) -> Figure | None:
    """One row per pair, below its reference: the mean with its 95 % interval, a dot per seed, a band for a single run.

    Only pairs of which both sides start from data: the seeds of each are trainings of their own.
    """
    runs = _runs(material)
    if runs is None:
        return None
    pairs = _pairs(runs)
    shown = {
        str(pair["name"]): (language("figure.ablation.against", reference=pair["of"]), str(pair["place"]))
        for pair in pairs.to_dict("records")
    }
    rows = Rows(list(shown), shown)
    figure = Figure(figsize=(WIDTH_IN, rows.height(1.35)))
    axes = figure.add_subplot()
    heights = pairs["name"].map(rows.at)
    _bands(axes, pairs, heights, language)
    axes.plot(
        runs["accuracy_difference_points"],
        runs["name"].map(rows.at) + _SEEDS_BELOW,
        "o",
        markersize=2.4,
        color=MUTED,
        label=language("figure.ablation.seed"),
    )
    _means(axes, pairs, heights, language)
    _numbers(axes, pairs, heights)
    rows.label(axes)
    axes.grid(axis="x", visible=True)
    axes.set_xlabel(language("column.accuracy_difference_points"))
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, columnspacing=1.4)
    return figure


def _runs(material: Material) -> pd.DataFrame | None:
    """Every seed of the comparisons of two roots, those of one reference together; ``place`` and ``of`` name them."""
    comparisons = material.table("comparisons")
    if comparisons is None:
        return None
    sides = zip(comparisons["model"], comparisons["reference"], strict=True)
    of = [reference if "/" in reference else f"{model}/{reference}" for model, reference in sides]
    runs = comparisons.assign(place=comparisons["model"] + "/" + comparisons["variant"], of=of)
    runs = runs[runs["place"].isin(material.roots) & runs["of"].isin(material.roots)]
    order = {name: number for number, name in enumerate(material.variants)}
    runs = runs.sort_values("of", key=lambda names: names.map(order), kind="stable")
    return None if runs.empty else runs.assign(name=runs["place"] + " ← " + runs["of"])


def _pairs(runs: pd.DataFrame) -> pd.DataFrame:
    """One row per pair: the mean difference, its interval, what a single run can show, and a sign."""
    rows = []
    for name, seeds in runs.groupby("name", sort=False):
        mean, verdict = mean_difference(seeds), common_verdict(seeds)
        low, high = mean.reach
        rows.append(
            {
                "name": name,
                "place": seeds["place"].iloc[0],
                "of": seeds["of"].iloc[0],
                "value": mean.value,
                "low": low,
                "high": high,
                "detectable": seeds["smallest_detectable_points"].mean(),
                "sign": verdict if verdict in _SIGNS else "unsettled",
            }
        )
    return pd.DataFrame(rows)


def _bands(axes: Axes, pairs: pd.DataFrame, heights: pd.Series, language: Language) -> None:
    """Shade the differences that are too small for a single run to show."""
    reach = pairs["detectable"].fillna(0)
    label = language("figure.ablation.hidden")
    axes.barh(heights, 2 * reach, left=-reach, height=_BAND_HEIGHT, color=_BAND, zorder=0.5, label=label)
    axes.axvline(0, color=MUTED, linewidth=1.0, zorder=1)
    # A band at the edge of the panel would look cut off.
    axes.use_sticky_edges = False


def _means(axes: Axes, pairs: pd.DataFrame, heights: pd.Series, language: Language) -> None:
    for sign, (marker, edge, face) in _SIGNS.items():
        chosen = pairs[pairs["sign"] == sign]
        if chosen.empty:
            continue
        axes.errorbar(
            chosen["value"],
            heights[chosen.index],
            xerr=(chosen["value"] - chosen["low"], chosen["high"] - chosen["value"]),
            fmt=marker,
            markersize=6,
            color=edge,
            markerfacecolor=face,
            elinewidth=1.2,
            label=language(f"figure.ablation.{sign}"),
        )


def _numbers(axes: Axes, pairs: pd.DataFrame, heights: pd.Series) -> None:
    """Write mean and interval at the right end of each row."""
    points = UNITS["points"]
    for height, pair in zip(heights, pairs.to_dict("records"), strict=True):
        axes.annotate(
            f"{points.digits(pair['value'])}  {interval(pair['low'], pair['high'], points)}",
            (1, height),
            xycoords=("axes fraction", "data"),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
