"""Post-training quantization of a NumPy network: ``S = (r_max - r_min)/(q_max - q_min)``, ``Z = q_min - r_min/S``.

Two arithmetics come from the same calibration:

*integer* (the reference's method B; Jacob et al. 2018): int8 weights, symmetric, per channel or per tensor; int32
biases with scale ``S_x S_w``; accumulators are brought to the next scale by a fixed-point factor ``M = S_x S_w /
S_y``. Nothing between the quantized input and the quantized logits is a real number.

*dequantized* (method A): weights and biases are stored as int8 codes, affine per tensor, and turned back into floats
for the arithmetic; activations pass through int8 codes between layers.

The input needs no rounding: the code of pixel p is p - 128. Its affine map has the true step ``S_c = 1/(255 std_c)``
and the zero point rounded from ``255 mean_c - 128``; the first layer absorbs what is left (see :func:`absorb_input`).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

import numpy as np

from compresslab.compress import activations, fixed_point
from compresslab.compress.affine import Observer, affine_parameters, observer, symmetric_scales
from compresslab.data.preprocessing import Preprocessing
from compresslab.models.numpy.affine import QMAX, QMIN, Affine
from compresslab.models.numpy.forward import forward
from compresslab.models.numpy.network import WEIGHTED, Layer, Network

CALIBRATION_CHUNK = 64
LARGEST_BIAS_CODE = 2**22
"""A channel of tiny weights but a large bias gets a coarser weight scale, so that its bias fits the accumulator."""


class Calibration(Protocol):
    """How activation ranges are chosen."""

    @property
    def ranges(self) -> str:
        """``minmax`` or ``percentile``."""

    @property
    def percentile(self) -> float:
        """The level of ``percentile``, above 50 and at most 100."""


class Parameters(Protocol):
    """The parameters of the method ``quantize-numpy``."""

    @property
    def arithmetic(self) -> str:
        """``integer`` or ``dequantized``."""

    @property
    def activations(self) -> str:
        """``lut`` or ``pwl``."""

    @property
    def granularity(self) -> str:
        """``channel`` or ``tensor``: of the weight scales."""

    @property
    def segments(self) -> int:
        """The straight lines of each piecewise-linear curve."""

    @property
    def calibration(self) -> Calibration:
        """How activation ranges are chosen."""


def quantize(network: Network, calibration_images: np.ndarray, parameters: Parameters) -> Network:
    """Return ``network`` (float) with int8 codes; ``calibration_images`` are uint8 (N,H,W,C) of the training split.

    Deterministic: the same network, images and parameters give the same bytes.
    """
    if network.arithmetic != "float":
        raise ValueError(f"only a float network can be quantized, this one is {network.arithmetic}")
    if not len(calibration_images):
        raise ValueError("quantization needs at least one calibration image")
    ranges = calibrate(network, calibration_images, parameters.calibration)
    entering, layers = absorb_input(network)
    affine, quantized = entering, []
    for layer, shape in zip(layers, (network.input_shape, *network.shapes.values()), strict=False):
        if parameters.arithmetic == "integer":
            arrays = _integer_arrays(layer, affine, shape, ranges, parameters)
        else:
            arrays = _dequantized_arrays(layer, ranges, parameters, last=layer is layers[-1])
        quantized.append(replace(layer, arrays=arrays))
        affine = quantized[-1].affine("output") if "output_scale" in arrays else affine
    return replace(
        network,
        arithmetic=parameters.arithmetic,
        layers=tuple(quantized),
        activations=parameters.activations,
        granularity=parameters.granularity if parameters.arithmetic == "integer" else "tensor",
        segments=parameters.segments,
        input_affine=entering,
    )


def calibrate(network: Network, images: np.ndarray, calibration: Calibration) -> dict[tuple[str, str], Affine]:
    """Run the float ``network`` on uint8 ``images`` and return the affine map of every tensor that gets codes of its
    own.

    Keys are (layer name, tensor): the ``output`` of every layer but max-pooling, and the ``preactivation`` of every
    curve.
    """
    observers: dict[tuple[str, str], Observer] = {}
    for start in range(0, len(images), CALIBRATION_CHUNK):
        values = network.preprocessing.normalize(images[start : start + CALIBRATION_CHUNK])
        for layer, preactivation, output in forward(network, values):
            tensors = {} if layer.kind == "max_pool" else {"output": output}
            if layer.curved:
                tensors["preactivation"] = preactivation
            for tensor, seen in tensors.items():
                key = (layer.name, tensor)
                if key not in observers:
                    observers[key] = observer(calibration.ranges, calibration.percentile)
                observers[key].observe(seen)
    return {key: watcher.affine() for key, watcher in observers.items()}


def absorb_input(network: Network) -> tuple[Affine, tuple[Layer, ...]]:
    """Return the affine map of the pixel codes, and the layers with the first weighted one made to match it.

    A normalized pixel is ``S_c (q - z_c)`` with ``q = p - 128``, ``S_c = 1/(255 std_c)``, ``z_c = 255 mean_c - 128``.
    The map that the codes get has one scale ``S = max S_c`` and integer zero points ``Z_c``, so the first weights are
    multiplied by ``S_c / S`` and the first bias gains ``sum w S_c (Z_c - z_c)``. Only the padding keeps a trace of
    the rounding: it stands for a pixel at most half a level away from the mean.
    """
    preprocessing: Preprocessing = network.preprocessing
    steps = 1 / (255 * np.asarray(preprocessing.std, np.float64))
    zeros = 255 * np.asarray(preprocessing.mean, np.float64) + QMIN
    entering = Affine(np.array(steps.max(), np.float32), np.clip(np.rint(zeros), QMIN, QMAX).astype(np.int8))
    first = next((index for index, layer in enumerate(network.layers) if layer.kind != "max_pool"), None)
    if first is None or network.layers[first].kind not in WEIGHTED:
        raise ValueError(
            "the first layer that is no max-pooling must be a convolution or linear, to absorb the normalization"
        )
    layer = network.layers[first]
    weight = layer.weight.astype(np.float64)
    by_channel = weight.reshape(-1, len(steps), weight.shape[-1])
    rest = steps * (entering.zero_point - zeros)
    absorbed = {
        "weight": (by_channel * (steps / float(entering.scale))[:, np.newaxis]).reshape(weight.shape),
        "bias": layer.bias + np.einsum("kco,c->o", by_channel, rest),
    }
    return entering, (*network.layers[:first], replace(layer, arrays=absorbed), *network.layers[first + 1 :])


def _integer_arrays(
    layer: Layer,
    entering: Affine,
    shape: tuple[int, ...],
    ranges: Mapping[tuple[str, str], Affine],
    parameters: Parameters,
) -> dict[str, np.ndarray]:
    """Return the arrays of ``layer`` in integer arithmetic; ``shape`` is that of its input."""
    if layer.kind == "max_pool":
        return {}
    output, step = ranges[layer.name, "output"], float(entering.scale)
    target = ranges[layer.name, "preactivation"] if layer.curved else output
    arrays: dict[str, np.ndarray] = {}
    if layer.kind in WEIGHTED:
        weight, bias = layer.weight.astype(np.float64), layer.bias.astype(np.float64)
        scales = symmetric_scales(weight, parameters.granularity)
        floor = np.abs(bias) / (step * LARGEST_BIAS_CODE)
        scales = np.maximum(scales, floor if len(scales) == len(floor) else floor.max())
        factors = fixed_point.tie_free(step * scales / float(target.scale), larger=True)
        scales = factors * float(target.scale) / step
        arrays["weight"] = np.clip(np.rint(weight / scales), -QMAX, QMAX).astype(np.int8)
        arrays["bias"] = np.rint(bias / (step * scales)).astype(np.int32)
    else:
        pixels = shape[0] * shape[1]
        factors = fixed_point.tie_free(np.array([step / (pixels * float(target.scale))]), larger=False)
        output = Affine(np.array(step / (pixels * factors[0]), np.float32), output.zero_point)
    arrays["multiplier"], arrays["shift"] = fixed_point.encode(factors)
    arrays |= _affine_arrays("output", output)
    if layer.curved:
        arrays |= _affine_arrays("preactivation", target)
        if parameters.activations == "lut":
            arrays["table"] = activations.table(layer.activation, target, output)
        else:
            arrays |= activations.curve(layer.activation, target, output, parameters.segments)._asdict()
    return arrays


def _dequantized_arrays(
    layer: Layer, ranges: Mapping[tuple[str, str], Affine], parameters: Parameters, last: bool
) -> dict[str, np.ndarray]:
    """Return the arrays of ``layer`` in dequantized arithmetic; without a curve, the ``last`` output stays real."""
    if layer.kind == "max_pool":
        return {}
    arrays: dict[str, np.ndarray] = {}
    if layer.kind in WEIGHTED:
        for name in ("weight", "bias"):
            values = layer.arrays[name]
            affine = affine_parameters(float(values.min()), float(values.max()))
            arrays |= {name: affine.quantize(values), **_affine_arrays(name, affine)}
    if not last or layer.curved:
        arrays |= _affine_arrays("output", ranges[layer.name, "output"])
    if layer.curved:
        preactivation = ranges[layer.name, "preactivation"]
        arrays |= _affine_arrays("preactivation", preactivation)
        if parameters.activations == "lut":
            arrays["table"] = activations.table(layer.activation, preactivation, ranges[layer.name, "output"])
    return arrays


def _affine_arrays(tensor: str, affine: Affine) -> dict[str, np.ndarray]:
    return {f"{tensor}_scale": affine.scale, f"{tensor}_zero_point": affine.zero_point}
