"""How much surer or less sure a variant is than its reference, image by image: the spread, and how often it matters."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import softmax

from compresslab.report.figures.drawing import ACCENT, CONTRAST, FAINT, INK, MUTED, WIDTH_IN, Rows, variant_names
from compresslab.report.figures.material import Answers, Kind, Material
from compresslab.report.languages import Language

TABLES = ("comparisons",)
KINDS: tuple[Kind, ...] = ("predictions",)

_BOUNDS = (1.0, 10.0)
"""Changes of the confidence in points: what nobody would see on a page, and what anybody would."""

_SHARES = (("below", "#dfe7ec"), ("between", "#7fb2c4"), ("above", CONTRAST))


def draw(material: Material, language: Language) -> Figure | None:
    """One row per variant and reference. Left: quantiles of the change of confidence. Right: shares by its size.

    The confidence is the probability of the reference's answer, in the first seed. Pairs of which both sides start from
    data are left out: two trainings are not sure of the same things, whatever was done to them.
    """
    changes = _changes(material)
    if not changes:
        return None
    rows = Rows(list(changes))
    figure = Figure(figsize=(WIDTH_IN, rows.height(1.35)))
    spread, shares = figure.subplots(1, 2, sharey=True)
    for name, points in changes.items():
        _quantiles(spread, rows.at[name], points, language if name == rows.names[0] else None)
        _stacked(shares, rows.at[name], points, language if name == rows.names[0] else None)
    spread.axvline(0, color=FAINT, linewidth=1.4, zorder=0)
    spread.grid(axis="x", visible=True)
    spread.set_xlabel(language("column.confidence_shift_points"))
    shares.set_xlim(0, 100)
    shares.set_xlabel(language("figure.confidence.share"))
    rows.label_both(spread, shares)
    handles = [axes.get_legend_handles_labels() for axes in (spread, shares)]
    figure.legend(
        [handle for found, _ in handles for handle in found],
        [label for _, labels in handles for label in labels],
        loc="outside lower center",
        ncols=3,
    )
    return figure


def _changes(material: Material) -> dict[str, np.ndarray]:
    """Change of the confidence in points of every image (N,), by variant and reference."""
    comparisons = material.table("comparisons")
    if comparisons is None:
        return {}
    pairs = comparisons.drop_duplicates(["model", "variant", "reference"])
    found = {}
    for row, name in zip(pairs.to_dict("records"), variant_names(pairs), strict=True):
        model, reference = str(row["model"]), str(row["reference"])
        sides = f"{model}/{row['variant']}", reference if "/" in reference else f"{model}/{reference}"
        if set(sides) <= set(material.predictions) and not set(sides) <= set(material.roots):
            own, other = (material.predictions[side] for side in sides)
            found[sides] = f"{name} ← {reference.removeprefix(model + '/')}", _points(own, other)
    # Against the lab's baseline, where there are such pairs: against several references, rows would say things twice.
    against_baseline = [sides for sides in found if sides[1] == material.baseline]
    return dict(found[sides] for sides in against_baseline or found)


def _points(own: Answers, other: Answers) -> np.ndarray:
    """How much more probable ``own`` finds what ``other`` answers, in points (N,)."""
    chosen = np.arange(len(other.classes)), other.classes
    both = [softmax(answers.logits.astype(np.float64), axis=1)[chosen] for answers in (own, other)]
    return np.asarray(100 * (both[0] - both[1]))


def _quantiles(axes: Axes, row: float, points: np.ndarray, language: Language | None) -> None:
    """A thin line from the 5th to the 95th percentile, a thick one over the middle half, a mark at the mean."""
    low, quarter, three_quarters, high = np.percentile(points, [5, 25, 75, 95])
    axes.plot([low, high], [row, row], color=MUTED, linewidth=1.2, label=_said("range", language))
    axes.plot(
        [quarter, three_quarters],
        [row, row],
        color=ACCENT,
        linewidth=4.5,
        solid_capstyle="butt",
        label=_said("middle", language),
    )
    axes.plot(
        points.mean(), row, "D", color=INK, markerfacecolor="white", markersize=4.2, label=_said("mean", language)
    )


def _stacked(axes: Axes, row: float, points: np.ndarray, language: Language | None) -> None:
    sizes = np.abs(points)
    small, large = _BOUNDS
    shares = pd.Series([np.mean(sizes < small), np.mean((sizes >= small) & (sizes <= large)), np.mean(sizes > large)])
    left = 0.0
    for (name, colour), share in zip(_SHARES, 100 * shares, strict=True):
        axes.barh(row, share, left=left, height=0.62, color=colour, edgecolor="white", label=_said(name, language))
        left += share


def _said(name: str, language: Language | None) -> str | None:
    """The words of the legend, at the first row alone."""
    return None if language is None else language(f"figure.confidence.{name}")
