"""The float engine in pure NumPy: BLAS for the sums, long contiguous runs for everything else.

See ``phase_planes`` for the layout and ``numpy_program`` for the compilation. Activations are arranged to take few
passes: constant factors move into the weights before and after (:data:`GAINS`), the bias is a column of the weights,
and ReLU and SELU, being monotone, come after a max-pooling.
"""

import math
from functools import partial
from pathlib import Path

import numpy as np

from compresslab.engines.contract import predict_in_chunks
from compresslab.engines.numpy_program import Programs
from compresslab.engines.phase_planes import Step, copying
from compresslab.models.numpy.activations import GELU_CUBIC, GELU_SLOPE, SELU_ALPHA, SELU_SCALE
from compresslab.models.numpy.forward import forward
from compresslab.models.numpy.network import WEIGHTED, Layer, Network, load

GELU_GAIN = math.cbrt(GELU_SLOPE * GELU_CUBIC)
GAINS = {
    "none": (1.0, 1.0),
    "relu": (1.0, 1.0),
    "selu": (1.0, SELU_SCALE * SELU_ALPHA),
    "gelu": (GELU_GAIN, 0.5 / GELU_GAIN),
    "swish": (0.5, 1.0),
}
"""By activation: the sums carry the first factor, and the output must still be multiplied by the second.

With ``t = g x`` and ``g**3 = sqrt(2/pi) 0.044715``, GELU is ``(0.5/g) t (1 + tanh(t**3 + (sqrt(2/pi)/g) t))``.
SELU is ``scale alpha (max(x, 0)/alpha + exp(min(x, 0)) - 1)``. With ``t = x/2``, Swish is ``t (1 + tanh(t))``.
"""


class FloatEngine:
    """Float32 inference of one network."""

    def __init__(self, network: Network) -> None:
        if network.arithmetic != "float":
            raise ValueError(f"this engine needs a network in float arithmetic, not {network.arithmetic}")
        self._network = network
        self._programs = Programs(network, FloatArithmetic(network))

    def prepare(self, images: np.ndarray) -> np.ndarray:
        """Turn uint8 pixels (N,H,W,C) into normalized float32 (N,H,W,C)."""
        return self._network.preprocessing.normalize(images)

    def run(self, native: np.ndarray) -> np.ndarray:
        """Turn normalized float32 (N,H,W,C) into float32 logits (N, classes)."""
        return self._programs(native).copy()

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Return float32 logits (N, classes) of uint8 images (N,H,W,C)."""
        return predict_in_chunks(self, images)

    def trace(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Return the float32 output of every layer, computed plainly (``run`` never has the layers apart)."""
        return {layer.name: output for layer, _, output in forward(self._network, self.prepare(images))}


class FloatArithmetic:
    """Float32 numbers; outputs of some curves wait for their last factor in the next layer's weights."""

    def __init__(self, network: Network) -> None:
        self._weights: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        factor = 1.0
        for layer in network.layers:
            if layer.kind in WEIGHTED:
                before, after = GAINS[layer.activation]
                self._weights[layer.name] = (
                    layer.weight * np.float32(factor * before),
                    layer.bias * np.float32(before),
                )
                factor = after
        self._last, self._last_factor = network.layers[-1], np.float32(factor)

    def enter(self, destination: np.ndarray, source: np.ndarray) -> None:
        """Copy normalized pixels."""
        np.copyto(destination, source)

    def dtype(self, layer: Layer) -> np.dtype:
        """Return float32, whatever the layer."""
        del layer
        return np.dtype(np.float32)

    def weights(self, layer: Layer) -> tuple[np.ndarray, np.ndarray]:
        """Return the weights and the bias with the factors of :data:`GAINS`."""
        return self._weights[layer.name]

    def pools_first(self, layer: Layer) -> bool:
        """GELU and Swish are not monotone."""
        return layer.activation not in ("gelu", "swish")

    def mean_factor(self, layer: Layer, pixels: int) -> float:
        """Return 1 / pixels."""
        del layer
        return 1 / pixels

    def finish(self, layer: Layer, sums: np.ndarray, out: np.ndarray) -> list[Step]:
        """Return the steps of the layer's activation (its factor in :data:`GAINS` left out, but for the last layer)."""
        steps = _activation_steps(layer.activation, sums, out)
        if layer is self._last and self._last_factor != 1:
            steps.append(partial(np.multiply, out, self._last_factor, out))
        return steps


def _activation_steps(activation: str, sums: np.ndarray, out: np.ndarray) -> list[Step]:
    """Return the steps from ``sums`` to the activation's value over its second gain.

    Constants are arrays of the full shape: NumPy's loops are fastest when all operands are contiguous and alike.
    """
    match activation:
        case "relu":
            return [partial(np.maximum, sums, np.zeros_like(sums), out=out)]
        case "selu":
            zeros, scratch = np.zeros_like(sums), np.empty_like(sums)
            return [
                partial(np.minimum, sums, zeros, out=scratch),
                partial(np.exp, scratch, scratch),
                partial(np.subtract, scratch, np.ones_like(sums), scratch),
                partial(np.maximum, sums, zeros, out=sums),
                partial(np.multiply, sums, np.full_like(sums, 1 / SELU_ALPHA), sums),
                partial(np.add, sums, scratch, out),
            ]
        case "gelu":
            scratch = np.empty_like(sums)
            return [
                partial(np.multiply, sums, sums, scratch),
                partial(np.add, scratch, np.full_like(sums, GELU_SLOPE / GELU_GAIN), scratch),
                partial(np.multiply, scratch, sums, scratch),
                partial(np.tanh, scratch, scratch),
                partial(np.add, scratch, np.ones_like(sums), scratch),
                partial(np.multiply, scratch, sums, out),
            ]
        case "swish":
            scratch = np.empty_like(sums)
            return [
                partial(np.tanh, sums, scratch),
                partial(np.add, scratch, np.ones_like(sums), scratch),
                partial(np.multiply, scratch, sums, out),
            ]
    return [] if sums is out else [copying(out, sums)]


def open_model(path: Path, threads: int) -> FloatEngine:
    """Open the float network at ``path``; NumPy's BLAS uses the threads that were set before it was loaded."""
    del threads
    return FloatEngine(load(path))


def unavailable() -> str | None:
    """Say why this engine cannot run here: it always can."""
    return None
