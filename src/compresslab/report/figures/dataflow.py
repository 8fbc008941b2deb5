"""The integer data flow: every tensor between two layers with its dtype and shape, and what each layer does to it."""

from collections.abc import Iterator
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from compresslab.models.numpy.activations import CURVES
from compresslab.models.numpy.network import WEIGHTED, Layer, Network
from compresslab.report.figures.drawing import ACCENT, CONTRAST, INK, MUTED, WIDTH_IN
from compresslab.report.figures.material import Kind, Material
from compresslab.report.languages import Language
from compresslab.report.numbers import count

TABLES: tuple[str, ...] = ()
KINDS: tuple[Kind, ...] = ("networks",)

_ROW_IN = 0.41
_CENTRE, _BOX = 0.21, 0.38
_ACTIVATION_NAMES = {"relu": "ReLU", "selu": "SELU", "gelu": "GELU"}


class Row(NamedTuple):
    """One box: a tensor (``layer`` empty) or a layer, with a title, and what stands beside it."""

    title: str
    beside: str
    is_integer: bool
    is_layer: bool


def draw(material: Material, language: Language) -> Figure | None:
    """The first integer network from top to bottom; what is real stands in dashed boxes, outside of the network."""
    network = next((net for net in material.networks.values() if net.arithmetic == "integer"), None)
    if network is None:
        return None
    rows = list(_rows(network, language))
    figure = Figure(figsize=(WIDTH_IN, _ROW_IN * len(rows)))
    axes = figure.add_subplot()
    axes.set(xlim=(0, 1), ylim=(len(rows) - 0.55, -0.45))
    axes.axis("off")
    for place, row in enumerate(rows):
        _box(axes, place, row)
        if place:
            _arrow(axes, place)
    return figure


def _rows(network: Network, language: Language) -> Iterator[Row]:
    shape: tuple[int, ...] = network.input_shape
    yield Row(f"uint8 {_shape(shape)}", language("figure.dataflow.pixels"), False, False)
    yield Row(f"int8 {_shape(shape)}", language("figure.dataflow.shifted"), True, False)
    for layer, bound in zip(network.layers, network.accumulator_bounds, strict=True):
        shape = network.shapes[layer.name]
        yield Row(_layer_title(layer), _layer_note(layer, network, bound, language), True, True)
        yield Row(f"int8 {_shape(shape)}", "", True, False)
    yield Row(f"float32 {_shape(shape)}", language("figure.dataflow.logits"), False, False)


def _shape(shape: tuple[int, ...]) -> str:
    return "(" + ", ".join(["N", *map(str, shape)]) + ")"


def _layer_title(layer: Layer) -> str:
    if layer.kind == "conv2d":
        height, width, entering, leaving = layer.weight.shape
        what = f"conv {height}×{width}, {entering} → {leaving}"
    elif layer.kind == "linear":
        what = f"linear {layer.weight.shape[0]} → {layer.weight.shape[1]}"
    elif layer.kind == "max_pool":
        what = f"max-pool {layer.size}×{layer.size}"
    else:
        what = "global average pool"
    activation = "" if layer.activation == "none" else f" + {_ACTIVATION_NAMES[layer.activation]}"
    return what + activation


def _layer_note(layer: Layer, network: Network, bound: int, language: Language) -> str:
    if layer.kind == "max_pool":
        return language("figure.dataflow.max")
    sums = [language("figure.dataflow.accumulator", bound=count(bound))]
    if layer.kind in WEIGHTED:
        sums.insert(0, language(f"figure.dataflow.weights.{network.granularity}"))
    codes = [language("figure.dataflow.requantize")]
    if layer.activation == "relu":
        codes.append(language("figure.dataflow.relu"))
    if layer.activation in CURVES:
        codes.append(language(f"figure.dataflow.{network.activations}"))
    join = language("figure.dataflow.join")
    return f"{join.join(sums)}\n{join.join(codes)}"


def _box(axes: Axes, place: int, row: Row) -> None:
    height = 0.6 if row.is_layer else 0.46
    edge = ACCENT if row.is_layer else (MUTED if row.is_integer else CONTRAST)
    axes.add_patch(
        FancyBboxPatch(
            (_CENTRE - _BOX / 2, place - height / 2),
            _BOX,
            height,
            boxstyle="round,pad=0,rounding_size=0.02",
            mutation_aspect=WIDTH_IN / _ROW_IN,
            facecolor="#e8f1f5" if row.is_layer else "white",
            edgecolor=edge,
            linewidth=1.1,
            linestyle="-" if row.is_integer else (0, (4, 2)),
        )
    )
    axes.text(_CENTRE, place, row.title, ha="center", va="center", fontsize=8.6 if row.is_layer else 8.2, color=INK)
    axes.text(
        _CENTRE + _BOX / 2 + 0.025, place, row.beside, ha="left", va="center", fontsize=7.8, color=INK, linespacing=1.35
    )


def _arrow(axes: Axes, place: int) -> None:
    axes.add_patch(
        FancyArrowPatch(
            (_CENTRE, place - 0.76),
            (_CENTRE, place - 0.24),
            arrowstyle="-|>",
            mutation_scale=7,
            color=MUTED,
            linewidth=0.9,
            zorder=0,
        )
    )
