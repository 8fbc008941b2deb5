"""SELU and GELU on int8 codes: the float curve, the look-up table's steps, the straight lines, and their errors."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from compresslab.compress.activations import CODES, Curve
from compresslab.models.numpy.activations import CURVES, activate
from compresslab.models.numpy.network import Layer, Network
from compresslab.report.figures.drawing import ACCENT, CONTRAST, FAINT, INK, MUTED, WIDTH_IN
from compresslab.report.figures.material import Kind, Material
from compresslab.report.languages import Language

TABLES: tuple[str, ...] = ()
KINDS: tuple[Kind, ...] = ("networks",)

_BEND, _MAGNIFIED = -0.9, 30
"""Where SELU and GELU bend most, and how many codes around it are magnified."""


class Approximation(NamedTuple):
    """One layer's activation as an integer network computes it, in real numbers: inputs, outputs and output step."""

    inputs: np.ndarray
    outputs: np.ndarray
    step: float


def draw(material: Material, language: Language) -> Figure | None:
    """One row per activation layer: the curves on the left, their errors in output steps on the right."""
    networks = _by_method(material.networks)
    curves = [layer for layer in _any(networks).layers if layer.activation in CURVES] if networks else []
    if not curves:
        return None
    figure = Figure(figsize=(WIDTH_IN, 0.5 + 2.35 * len(curves)))
    panels = figure.subplots(len(curves), 2, squeeze=False)
    for layer, (shape, error) in zip(curves, panels, strict=True):
        found = {method: approximation(_layer(network, layer.name)) for method, network in networks.items()}
        _curves(shape, layer, found, language)
        _errors(error, layer, found, language)
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def approximation(layer: Layer) -> Approximation:
    """Evaluate a layer's table or straight lines for all 256 codes."""
    entering, leaving = layer.affine("preactivation"), layer.affine("output")
    if "table" in layer.arrays:
        codes = layer.arrays["table"]
    else:
        codes = Curve(*(layer.arrays[name] for name in Curve._fields)).evaluate(CODES)
    return Approximation(entering.dequantize(CODES), leaving.dequantize(codes), float(leaving.scale))


def _by_method(networks: Mapping[str, Network]) -> dict[str, Network]:
    """Pick the first integer network of each kind of activation, look-up table first."""
    integer = [network for network in networks.values() if network.arithmetic == "integer"]
    found = {method: next((net for net in integer if net.activations == method), None) for method in ("lut", "pwl")}
    return {method: network for method, network in found.items() if network is not None}


def _any(networks: Mapping[str, Network]) -> Network:
    return next(iter(networks.values()))


def _layer(network: Network, name: str) -> Layer:
    return next(layer for layer in network.layers if layer.name == name)


def _curves(axes: Axes, layer: Layer, found: Mapping[str, Approximation], language: Language) -> None:
    _lines(axes, layer, found, language)
    _magnified(axes, layer, found)
    axes.set_title(language("figure.activations.curve", layer=layer.name, activation=layer.activation.upper()))
    axes.set_xlabel(language("figure.activations.input"))
    axes.grid(visible=True)


def _lines(axes: Axes, layer: Layer, found: Mapping[str, Approximation], language: Language | None) -> None:
    def label(name: str) -> str | None:
        return language(f"figure.activations.{name}") if language else None

    inputs = next(iter(found.values())).inputs
    fine = np.linspace(inputs[0], inputs[-1], 800)
    axes.plot(fine, activate(fine, layer.activation), color=FAINT, linewidth=5, label=label("float"))
    for method, (codes, outputs, _) in found.items():
        lut = method == "lut"
        axes.plot(
            codes,
            outputs,
            drawstyle="steps-mid" if lut else "default",
            color=ACCENT if lut else CONTRAST,
            linewidth=1 if lut else 1.1,
            linestyle="-" if lut else (0, (4, 2)),
            label=label(method),
        )


def _magnified(axes: Axes, layer: Layer, found: Mapping[str, Approximation]) -> None:
    """Enlarge the bend of the curve, so that the steps of the table and the joints of the lines can be seen."""
    inputs, _, step = next(iter(found.values()))
    centre = int(np.clip(np.abs(inputs - _BEND).argmin(), _MAGNIFIED // 2, len(CODES) - 1 - _MAGNIFIED // 2))
    stretch = inputs[centre - _MAGNIFIED // 2 : centre + _MAGNIFIED // 2 + 1].astype(np.float64)
    truth = activate(stretch, layer.activation)
    inset = axes.inset_axes((0.07, 0.5, 0.44, 0.46))
    _lines(inset, layer, found, None)
    inset.set(xlim=stretch[[0, -1]], ylim=(truth.min() - 1.5 * step, truth.max() + 1.5 * step), xticks=[], yticks=[])
    inset.spines[:].set(visible=True, color=MUTED)
    axes.indicate_inset_zoom(inset, edgecolor=INK, linewidth=0.6)


def _errors(axes: Axes, layer: Layer, found: Mapping[str, Approximation], language: Language) -> None:
    axes.axhspan(-0.5, 0.5, color="#eef1f4", zorder=0)
    axes.axhline(0, color=INK, linewidth=0.6)
    for method, (codes, outputs, step) in reversed(list(found.items())):
        lut = method == "lut"
        error = (outputs - activate(codes.astype(np.float64), layer.activation)) / step
        axes.plot(
            codes,
            error,
            "." if lut else "x",
            markersize=3.4 if lut else 3,
            markeredgewidth=0.6,
            color=ACCENT if lut else CONTRAST,
        )
    axes.set_title(language("figure.activations.error", layer=layer.name))
    axes.set_xlabel(language("figure.activations.input"))
    axes.set_ylabel(language("figure.activations.steps"), color=MUTED)
    axes.grid(visible=True)
