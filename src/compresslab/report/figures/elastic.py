"""What elastic distortion makes of the training images: whole views, and one of them under a bent grid."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from compresslab.data.views import Views
from compresslab.report.figures.drawing import ACCENT, INK, MUTED, WIDTH_IN
from compresslab.report.figures.material import Kind, Material
from compresslab.report.languages import Language

TABLES: tuple[str, ...] = ()
KINDS: tuple[Kind, ...] = ("views",)

_MARGIN_IN, _MAGNIFIED_IN = 0.75, 2.35
_GRID_STEPS = 7
"""Squares of the grid along a side."""


def draw(material: Material, language: Language) -> Figure | None:
    """Above: one column per image, the original over its views. Below: a regular grid, before and after."""
    if not material.views:
        return None
    views = next(iter(material.views.values()))
    count, height, width, _ = views.images.shape
    tile_in = (WIDTH_IN - _MARGIN_IN) / count * height / width
    heights = [tile_in * (1 + len(views.views)) + 0.1, _MAGNIFIED_IN]
    figure = Figure(figsize=(WIDTH_IN, sum(heights)), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=heights, squeeze=False)[:, 0]
    _columns(above, views, language)
    _magnified(below, views, language)
    return figure


def _columns(part: SubFigure, views: Views, language: Language) -> None:
    shown = [views.images, *views.views]
    panels = part.subplots(len(shown), len(views.images), squeeze=False, gridspec_kw={"wspace": 0.04, "hspace": 0.04})
    for number, (row, images) in enumerate(zip(panels, shown, strict=True)):
        for axes, image in zip(row, images, strict=True):
            _image(axes, image)
            axes.spines[:].set(color=MUTED if number else INK, linewidth=0.4 if number else 1.1)
        name = language("figure.elastic.view", number=number) if number else language("figure.elastic.original")
        row[0].set_ylabel(name, rotation=0, ha="right", va="center", labelpad=6)


def _magnified(part: SubFigure, views: Views, language: Language) -> None:
    """The first image and its first view, each under the grid as it was bent with the image."""
    original, view, arrows = part.subplots(1, 3)
    bent = views.displacement_px
    for axes, image, displacement in (
        (original, views.images[0], np.zeros_like(bent)),
        (view, views.views[0, 0], bent),
    ):
        _image(axes, image)
        _grid(axes, displacement)
    _arrows(arrows, bent)
    original.set_title(language("figure.elastic.before"))
    view.set_title(language("figure.elastic.after"))
    farthest = np.hypot(*bent).max()
    arrows.set_title(language("figure.elastic.displacement", pixels=f"{farthest:.1f}"))


def _image(axes: Axes, image: np.ndarray) -> None:
    grey = image.shape[-1] == 1
    axes.imshow(
        image[..., 0] if grey else image, cmap="Greys" if grey else None, vmin=0, vmax=255, interpolation="nearest"
    )
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(visible=True, color=MUTED, linewidth=0.6)


def _grid(axes: Axes, displacement_px: np.ndarray) -> None:
    """Draw the lines of a regular grid on the original where the view shows them."""
    _, height, width = displacement_px.shape
    # Half a pixel lies between the outermost centres and the edge of an image.
    rows, columns = np.mgrid[-1 : height + 1, -1 : width + 1]
    down, right = np.pad(displacement_px, ((0, 0), (1, 1), (1, 1)), mode="edge")
    for shown, extent in ((rows + down, height), (columns + right, width)):
        lines = np.linspace(0, extent, _GRID_STEPS + 1) - 0.5
        axes.contour(columns, rows, shown, levels=lines, colors=ACCENT, linewidths=0.8, linestyles="solid")
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))


def _arrows(axes: Axes, displacement_px: np.ndarray) -> None:
    """Draw where ink moves: from the place that a pixel of the view shows to that pixel."""
    _, height, width = displacement_px.shape
    step = max(1, min(height, width) // 12)
    rows, columns = np.mgrid[step // 2 : height : step, step // 2 : width : step]
    down, right = -displacement_px[:, rows, columns]
    look: dict[str, Any] = {
        "angles": "xy",
        "scale_units": "xy",
        "scale": 1,
        "pivot": "tip",
        "color": INK,
        "width": 0.008,
    }
    axes.quiver(columns, rows, right, down, **look)
    axes.set(xticks=[], yticks=[], xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), aspect="equal")
    axes.spines[:].set(visible=True, color=MUTED, linewidth=0.6)
