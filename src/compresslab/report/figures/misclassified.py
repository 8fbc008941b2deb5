"""The images that the reference gets wrong, the surest mistakes first, and those that a variant answers otherwise."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import softmax

from compresslab.report.figures.drawing import CONTRAST, INK, MUTED, WIDTH_IN
from compresslab.report.figures.material import Answers, Kind, Material
from compresslab.report.languages import Language

TABLES = ("scores_by_class",)
KINDS: tuple[Kind, ...] = ("predictions", "images")

_MISTAKES, _DISAGREEMENTS = 30, 20


class Layout(NamedTuple):
    """How tiles are arranged: long names of classes take a line each and wider tiles."""

    columns: int
    height_in: float
    arrow: str
    bar: str


_SHORT, _LONG = Layout(10, 0.82, " → ", " | "), Layout(7, 1.3, " →\n", " |\n")


def draw(material: Material, language: Language) -> Figure | None:
    """Above: mistakes of the first variant (true → answer). Below: the images that another one answers otherwise."""
    classes = material.classes
    if not material.predictions or material.images is None or not classes:
        return None
    layout = _SHORT if max(map(len, classes)) <= 2 else _LONG
    (reference, answers), *others = material.predictions.items()
    title = language("figure.misclassified.mistakes", variant=_short(reference))
    sheets = [(title, *_mistakes(answers, classes, layout))]
    others = [pair for pair in others if pair[0].partition("/")[0] == reference.partition("/")[0]]
    if others:
        # The variant that differs most shows most: the others differ in a handful of images or in none.
        variant, other = max(others, key=lambda pair: int((pair[1].classes != answers.classes).sum()))
        title = language("figure.misclassified.disagreements", variant=_short(variant), reference=_short(reference))
        sheets.append((title, *_disagreements(answers, other, classes, layout)))
    sheets = [sheet for sheet in sheets if len(sheet[1])]
    return _sheets(sheets, material.images[answers.indices], layout) if sheets else None


def _short(name: str) -> str:
    return name.split("/")[-1]


def _mistakes(answers: Answers, classes: Sequence[str], layout: Layout) -> tuple[np.ndarray, list[str]]:
    wrong = np.flatnonzero(answers.classes != answers.labels)
    surest = wrong[np.argsort(-softmax(answers.logits[wrong], axis=1).max(axis=1), kind="stable")][:_MISTAKES]
    return surest, [
        f"{classes[answers.labels[index]]}{layout.arrow}{classes[answers.classes[index]]}" for index in surest
    ]


def _disagreements(
    answers: Answers, other: Answers, classes: Sequence[str], layout: Layout
) -> tuple[np.ndarray, list[str]]:
    apart = np.flatnonzero(answers.classes != other.classes)[:_DISAGREEMENTS]
    colon = ":\n" if layout is _LONG else ": "
    return apart, [
        f"{classes[answers.labels[i]]}{colon}{classes[answers.classes[i]]}{layout.bar}{classes[other.classes[i]]}"
        for i in apart
    ]


def _sheets(sheets: Sequence[tuple[str, np.ndarray, list[str]]], images: np.ndarray, layout: Layout) -> Figure:
    rows = [-(-len(chosen) // layout.columns) for _, chosen, _ in sheets]
    heights = [layout.height_in * count + 0.32 for count in rows]
    figure = Figure(figsize=(WIDTH_IN, sum(heights)), layout="constrained")
    parts = figure.subfigures(len(sheets), 1, height_ratios=heights, squeeze=False)
    for part, (title, chosen, captions), count in zip(parts[:, 0], sheets, rows, strict=True):
        part.suptitle(title, x=0.01, ha="left", fontsize=9.5)
        panels = part.subplots(count, layout.columns, squeeze=False).ravel()
        for axes in panels[len(chosen) :]:
            axes.axis("off")
        for axes, index, caption in zip(panels, chosen, captions, strict=False):
            _tile(axes, images[index], caption)
    return figure


def _tile(axes: Axes, image: np.ndarray, caption: str) -> None:
    grey = image.shape[-1] == 1
    axes.imshow(image[..., 0] if grey else image, cmap="Greys" if grey else None, interpolation="nearest")
    axes.set_title(caption, loc="center", fontsize=7.2, pad=2.5, color=CONTRAST if "→" in caption else INK)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(visible=True, color=MUTED, linewidth=0.5)
