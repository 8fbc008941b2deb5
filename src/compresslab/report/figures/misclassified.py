"""The images that the baseline gets wrong, the surest mistakes first, and those that a variant answers otherwise."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import softmax

from compresslab.report.figures.drawing import CONTRAST, INK, MUTED, WIDTH_IN
from compresslab.report.figures.material import Answers, Kind, Material
from compresslab.report.languages import Language
from compresslab.report.typography import UNIT_SPACE

TABLES = ("scores_by_class",)
KINDS: tuple[Kind, ...] = ("predictions", "images")

_MISTAKES, _DISAGREEMENTS = 30, 20


_ALMOST_SURE = 0.995
"""A probability that would be rounded to one."""


class Layout(NamedTuple):
    """How tiles are arranged: long names of classes take a line each and wider tiles."""

    columns: int
    height_in: float
    arrow: str
    colon: str
    bar: str


class Sheet(NamedTuple):
    """One block of tiles: which images, what stands above each (classes) and below it (probabilities)."""

    title: str
    chosen: np.ndarray
    above: list[str]
    below: list[str]


_SHORT, _LONG = Layout(10, 0.93, " → ", ": ", " | "), Layout(7, 1.42, " →\n", ":\n", " |\n")


def draw(material: Material, language: Language) -> Figure | None:
    """Above: mistakes of the baseline (true → answer). Below: the images that a variant of its model answers otherwise.

    Under each image stands how probable the network took its answer to be.
    """
    classes = material.classes
    if not material.predictions or material.images is None or not classes:
        return None
    layout = _SHORT if max(map(len, classes)) <= 2 else _LONG
    models = {name.partition("/")[0] for name in material.predictions}
    reference = material.baseline if material.baseline in material.predictions else next(iter(material.predictions))
    answers = material.predictions[reference]

    def spoken(name: str) -> str:
        return name if len(models) > 1 else name.partition("/")[2]

    title = language("figure.misclassified.mistakes", variant=spoken(reference))
    sheets = [_mistakes(title, answers, classes, layout)]
    variant = _farthest(material, reference)
    if variant is not None:
        title = language("figure.misclassified.disagreements", variant=spoken(variant), reference=spoken(reference))
        sheets.append(_disagreements(title, answers, material.predictions[variant], classes, layout))
    sheets = [sheet for sheet in sheets if len(sheet.chosen)]
    return _sheets(sheets, material.images[answers.indices], layout) if sheets else None


def _farthest(material: Material, reference: str) -> str | None:
    """The variant of the same model that differs most, and so shows most: others differ in a handful or in none."""
    classes = material.predictions[reference].classes
    model = reference.partition("/")[0]
    apart = {
        name: int((answers.classes != classes).sum())
        for name, answers in material.predictions.items()
        if name != reference and name.partition("/")[0] == model
    }
    return max(apart, key=lambda name: apart[name], default=None)


def _mistakes(title: str, answers: Answers, classes: Sequence[str], layout: Layout) -> Sheet:
    sure = _certainty(answers)
    wrong = np.flatnonzero(answers.classes != answers.labels)
    surest = wrong[np.argsort(-sure[wrong], kind="stable")][:_MISTAKES]
    above = [f"{classes[answers.labels[i]]}{layout.arrow}{classes[answers.classes[i]]}" for i in surest]
    return Sheet(title, surest, above, [f"{_percent(sure[i])}{UNIT_SPACE}%" for i in surest])


def _disagreements(title: str, answers: Answers, other: Answers, classes: Sequence[str], layout: Layout) -> Sheet:
    apart = np.flatnonzero(answers.classes != other.classes)[:_DISAGREEMENTS]
    above = [
        f"{classes[answers.labels[i]]}{layout.colon}{classes[answers.classes[i]]}{layout.bar}{classes[other.classes[i]]}"
        for i in apart
    ]
    sure, sure_too = _certainty(answers), _certainty(other)
    below = [f"{_percent(sure[i])} | {_percent(sure_too[i])}{UNIT_SPACE}%" for i in apart]
    return Sheet(title, apart, above, below)


def _certainty(answers: Answers) -> np.ndarray:
    """Probability (N,) that the network gives its own answer."""
    return np.asarray(softmax(answers.logits, axis=1).max(axis=1))


def _percent(probability: float) -> str:
    return f">{UNIT_SPACE}99" if probability >= _ALMOST_SURE else f"{100 * probability:.0f}"


def _sheets(sheets: Sequence[Sheet], images: np.ndarray, layout: Layout) -> Figure:
    rows = [-(-len(sheet.chosen) // layout.columns) for sheet in sheets]
    heights = [layout.height_in * count + 0.32 for count in rows]
    figure = Figure(figsize=(WIDTH_IN, sum(heights)), layout="constrained")
    parts = figure.subfigures(len(sheets), 1, height_ratios=heights, squeeze=False)
    for part, sheet, count in zip(parts[:, 0], sheets, rows, strict=True):
        part.suptitle(sheet.title, x=0.01, ha="left", fontsize=9.5)
        panels = part.subplots(count, layout.columns, squeeze=False).ravel()
        for axes in panels[len(sheet.chosen) :]:
            axes.axis("off")
        for axes, index, above, below in zip(panels, sheet.chosen, sheet.above, sheet.below, strict=False):
            _tile(axes, images[index], above, below)
    return figure


def _tile(axes: Axes, image: np.ndarray, above: str, below: str) -> None:
    grey = image.shape[-1] == 1
    axes.imshow(image[..., 0] if grey else image, cmap="Greys" if grey else None, interpolation="nearest")
    axes.set_title(above, loc="center", fontsize=7.2, pad=2.5, color=CONTRAST if "→" in above else INK)
    axes.set_xlabel(below, fontsize=6.4, labelpad=2, color=INK)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(visible=True, color=MUTED, linewidth=0.5)
