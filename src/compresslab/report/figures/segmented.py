"""Test images with their truth and with answers in float, in integers and of another architecture, class by class."""

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from scipy import ndimage

from compresslab.data.confusion import confusion_matrix, mean_intersection_over_union
from compresslab.data.masks import VOID
from compresslab.report.figures.drawing import ACCENT, FAINT, INK, MUTED, SERIES, WIDTH_IN
from compresslab.report.figures.material import Kind, Material, PixelAnswers
from compresslab.report.languages import Language
from compresslab.report.numbers import decimals
from compresslab.report.typography import UNIT_SPACE

TABLES = ("segmentation_by_class",)
KINDS: tuple[Kind, ...] = ("label_maps", "images")

_CITYSCAPES = {
    "road": "#804080",
    "sidewalk": "#f423e8",
    "construction": "#464646",
    "object": "#dcdc00",
    "nature": "#6b8e23",
    "sky": "#4682b4",
    "human": "#dc143c",
    "vehicle": "#00008e",
}
"""Cityscapes' colours of road, sidewalk, building, traffic sign, vegetation, sky, person and car."""

_ERRORS = {"right": "#ffffff", "first": "#f0a35e", "second": ACCENT, "both": INK}
_COLUMNS, _LEGEND_COLUMNS = 3, 4
_EDGE = 0.45
"""What is left of a colour on the border of two classes, which must be seen in grey, too."""
_DARK = 140
"""Luminance, of 255, below which white is easier to read."""
_ROOM = 0.05
"""A region gets the number of its class where a circle of this share of the height has room in it."""


class Tile(NamedTuple):
    """One picture: uint8 (H, W, 3), what stands above it, and its classes uint8 (H, W) where these are numbered."""

    title: str
    pixels: np.ndarray
    classes: np.ndarray | None = None


class Shown(NamedTuple):
    """A variant that is shown, by ``model/variant``, and what it answers."""

    name: str
    maps: PixelAnswers


def draw(material: Material, language: Language) -> Figure | None:
    """Two rows per image: the image, its truth and another architecture; the baseline, integers, and their mistakes.

    Where a lab has one of the two alone, the baseline's mistakes are compared with that one's.
    """
    classes = material.classes
    if not material.maps or material.images is None or not classes:
        return None
    own, integer, other = _shown(material)
    rival = integer or other
    chosen = _chosen(own.maps, len(classes))
    height, width = own.maps.labels.shape[1:]
    tall = 2 * (0.27 + (WIDTH_IN / _COLUMNS - 0.1) * height / width)
    figure = Figure(figsize=(WIDTH_IN, tall * len(chosen) + 0.75))
    panels = figure.subplots(2 * len(chosen), _COLUMNS).reshape(len(chosen), -1)
    colours = _palette(classes)
    for row, (rule, place) in zip(panels, chosen.items(), strict=True):
        number, truth = int(own.maps.indices[place]), own.maps.labels[place]
        tiles = [
            Tile(language(f"figure.segmented.{rule}", number=number), material.images[number]),
            Tile(language("figure.segmented.truth"), _coloured(truth, colours), truth),
            _answer(other, place, colours, len(classes)),
            _answer(own, place, colours, len(classes)),
            _answer(integer, place, colours, len(classes)),
            Tile(language("figure.segmented.mistakes"), _mistakes(own, rival, place)),
        ]
        for axes, tile in zip_longest(row, filter(None, tiles)):
            _draw(axes, tile, colours)
    entries = _legend(classes, colours, _wrong(own, integer, other, language), language)
    figure.legend(handles=entries, loc="outside lower center", ncols=_LEGEND_COLUMNS, fontsize=7.6, handlelength=1.3)
    return figure


def _shown(material: Material) -> tuple[Shown, Shown | None, Shown | None]:
    """The baseline, the first variant of its model in integers, and the first training of another architecture."""
    baseline = material.baseline if material.baseline in material.maps else next(iter(material.maps))
    model = f"{baseline.partition('/')[0]}/"
    own = Shown(baseline, material.maps[baseline])
    known = [name for name in material.variants if name in material.maps]
    integers = [name for name in known if name.startswith(model) and material.arithmetic.get(name) == "integer"]
    others = [name for name in known if name in material.roots and not name.startswith(model)]

    def first(names: Sequence[str]) -> Shown | None:
        found = (Shown(name, material.maps[name]) for name in names)
        # A model may answer images of another size, of which the lab's first dataset knows nothing.
        return next((shown for shown in found if shown.maps.answers.shape == own.maps.answers.shape), None)

    return own, first(integers), first(others)


def _chosen(own: PixelAnswers, classes: int) -> dict[str, int]:
    """The places of the images of the highest, the median and the lowest mean IoU; of few images each once.

    An image without a labelled pixel has no mean IoU, and is never chosen.
    """
    scores = np.array([_mean_iou(*pair, classes) for pair in zip(own.labels, own.answers, strict=True)])
    order = [int(place) for place in np.argsort(-scores, kind="stable") if not np.isnan(scores[place])]
    places = {"best": order[0], "median": order[len(order) // 2], "worst": order[-1]}
    return {
        rule: place for rule, place in places.items() if list(places.values()).index(place) == list(places).index(rule)
    }


def _mean_iou(labels: np.ndarray, answers: np.ndarray, classes: int) -> float:
    return float(mean_intersection_over_union(confusion_matrix(labels, answers, classes)))


def _palette(classes: Sequence[str]) -> np.ndarray:
    """Return the colour of every label, uint8 (256, 3): Cityscapes' own where it has one; void is grey."""
    colours = np.tile(_rgb(FAINT), (256, 1))
    for label, name in enumerate(classes):
        colours[label] = _rgb(_CITYSCAPES.get(name, SERIES[label % len(SERIES)]))
    return colours


def _rgb(colour: str) -> np.ndarray:
    return np.array(to_rgb(colour)) * 255


def _coloured(labels: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Paint labels (H, W); where two classes meet, the colour is darker, so that one sees it in grey, too."""
    edges = np.zeros(labels.shape, bool)
    edges[:-1] |= labels[:-1] != labels[1:]
    edges[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    painted = colours[labels]
    painted[edges] *= _EDGE
    return painted.astype(np.uint8)


def _answer(shown: Shown | None, place: int, colours: np.ndarray, classes: int) -> Tile | None:
    if shown is None:
        return None
    answers, labels = shown.maps.answers[place], shown.maps.labels[place]
    score = decimals(1)(100 * _mean_iou(labels, answers, classes))
    return Tile(f"{shown.name} · {score}{UNIT_SPACE}%", _coloured(answers, colours), answers)


def _mistakes(own: Shown, rival: Shown | None, place: int) -> np.ndarray:
    """Paint where one of the two, or both, answer wrongly; void is grey."""
    labels = own.maps.labels[place]
    wrong = own.maps.answers[place] != labels
    too = rival.maps.answers[place] != labels if rival else np.zeros_like(wrong)
    tones = np.array([_rgb(colour) for colour in (*_ERRORS.values(), FAINT)])
    kind = np.where(labels == VOID, len(_ERRORS), wrong + 2 * too)
    return tones[kind].astype(np.uint8)


def _draw(axes: Axes, tile: Tile | None, colours: np.ndarray) -> None:
    if tile is None:
        axes.axis("off")
        return
    # Labels are kept as they are; a photograph takes no more room than its tile can show.
    axes.imshow(tile.pixels, interpolation="antialiased" if tile.classes is None else "none")
    axes.set_title(tile.title, fontsize=7, pad=2.5)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(visible=True, color=MUTED, linewidth=0.5)
    if tile.classes is None:
        return
    for label in np.unique(tile.classes[tile.classes != VOID]):
        if found := _deepest(tile.classes == label):
            dark = colours[label] @ (0.299, 0.587, 0.114) < _DARK
            axes.text(*found, str(label + 1), ha="center", va="center", fontsize=6.4, color="white" if dark else INK)


def _deepest(region: np.ndarray) -> tuple[int, int] | None:
    """The point (column, row) of a region (H, W) that is farthest from all others; None where no number has room."""
    # Beyond the picture there is nothing, so that no number is cut off.
    depths = ndimage.distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1]
    row, column = np.unravel_index(int(depths.argmax()), depths.shape)
    return (int(column), int(row)) if depths[row, column] >= _ROOM * len(region) else None


def _wrong(own: Shown, integer: Shown | None, other: Shown | None, language: Language) -> dict[str, str]:
    """Say what the colours of mistakes stand for, by the kind of mistake."""
    if integer:
        return {kind: language(f"figure.segmented.{kind}") for kind in ("first", "second", "both")}
    if other is None:
        return {"first": language("figure.segmented.wrong")}
    alone = {
        kind: language("figure.segmented.alone", name=shown.name.partition("/")[0])
        for kind, shown in (("first", own), ("second", other))
    }
    return alone | {"both": language("figure.segmented.both")}


def _legend(classes: Sequence[str], colours: np.ndarray, wrong: Mapping[str, str], language: Language) -> list[Patch]:
    entries: dict[str, Any] = {f"{label + 1} {name}": colours[label] / 255 for label, name in enumerate(classes)}
    entries |= {language("figure.segmented.void"): FAINT}
    entries |= {said: _ERRORS[kind] for kind, said in wrong.items()}
    return [Patch(facecolor=colour, edgecolor=MUTED, linewidth=0.5, label=label) for label, colour in entries.items()]
