"""The images that every training gets wrong: hard ones, and ones whose label may be wrong."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import softmax

from compresslab.report.figures.drawing import INK, MUTED, WIDTH_IN
from compresslab.report.figures.material import Answers, Kind, Material
from compresslab.report.languages import Language
from compresslab.report.numbers import count

TABLES = ("scores_by_class",)
KINDS: tuple[Kind, ...] = ("predictions", "images")

_COLUMNS, _MOST = 6, 30
_TILE_IN = 1.42
_THICK, _THIN = 2.2, 0.6


def draw(material: Material, language: Language) -> Figure | None:
    """True class → answers of the first model's trainings, the surest first; thick frames: other models fail, too."""
    trained = {name: material.predictions[name] for name in material.roots if name in material.predictions}
    models = list(dict.fromkeys(name.partition("/")[0] for name in trained))
    own = {name: answers for name, answers in trained.items() if name.startswith(f"{models[0]}/")} if models else {}
    if len(own) < 2 or material.images is None:
        return None
    first = next(iter(own.values()))
    missed = _missed_by_all(list(own.values()))
    if not missed.any():
        return None
    others = [answers for name, answers in trained.items() if name not in own and _same_images(answers, first)]
    elsewhere = _missed_by_all(others) if others else np.zeros_like(missed)
    sure = np.mean([softmax(answers.logits, axis=1).max(axis=1) for answers in own.values()], axis=0)
    chosen = sorted(np.flatnonzero(missed), key=lambda index: -sure[index])[:_MOST]
    figure = Figure(figsize=(WIDTH_IN, 0.5 + _TILE_IN * -(-len(chosen) // _COLUMNS)), layout="constrained")
    figure.suptitle(_title(own, missed, len(chosen), language), x=0.01, ha="left", fontsize=9)
    panels = figure.subplots(-(-len(chosen) // _COLUMNS), _COLUMNS, squeeze=False).ravel()
    for axes in panels[len(chosen) :]:
        axes.axis("off")
    for axes, index in zip(panels, chosen, strict=False):
        position = first.indices[index]
        _tile(axes, material.images[position], bool(elsewhere[index]))
        axes.set_title(_caption(index, own, material.classes), fontsize=6.8, pad=2.5, color=INK, loc="center")
        if material.origins is not None:
            axes.set_xlabel(str(material.origins[position]), fontsize=5.8, color=MUTED, labelpad=2)
    return figure


def _missed_by_all(answers: Sequence[Answers]) -> np.ndarray:
    """Which images (N,) none of them answers correctly."""
    return np.logical_and.reduce([found.classes != found.labels for found in answers])


def _same_images(answers: Answers, first: Answers) -> bool:
    return np.array_equal(answers.indices, first.indices) and np.array_equal(answers.labels, first.labels)


def _title(own: Mapping[str, Answers], missed: np.ndarray, shown: int, language: Language) -> str:
    names = language("list.join").join(name.partition("/")[2] for name in own)
    found = int(missed.sum())
    title = language("figure.label_audit.title", count=count(found), images=count(len(missed)), variants=names)
    return f"{title}\n{language('figure.label_audit.shown', shown=shown)}" if shown < found else title


def _caption(index: Any, own: Mapping[str, Answers], classes: Sequence[str]) -> str:
    """The true class, and the different answers, two in a line."""
    label = int(next(iter(own.values())).labels[index])
    answers = list(dict.fromkeys(classes[answers.classes[index]] for answers in own.values()))
    lines = [" / ".join(answers[start : start + 2]) for start in range(0, len(answers), 2)]
    return "\n".join([f"{classes[label]} →", *lines])


def _tile(axes: Axes, image: np.ndarray, failed_elsewhere: bool) -> None:
    grey = image.shape[-1] == 1 or (image == image[..., :1]).all()
    axes.imshow(
        image[..., 0] if grey else image, cmap="Greys_r" if grey else None, vmin=0, vmax=255, interpolation="nearest"
    )
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(
        visible=True, color=INK if failed_elsewhere else MUTED, linewidth=_THICK if failed_elsewhere else _THIN
    )
