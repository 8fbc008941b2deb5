"""The reference's method A: int8 codes in memory, floats in the arithmetic.

``y = Dequantize(W_q) * Dequantize(x_q) + Dequantize(b_q)``; activations are int8 codes between layers. The curves
act on codes, by the stored table, or as ``Q(f_approx(Dequantize(q)))`` with a piecewise-linear ``f_approx``; of the
latter the 256 results are tabulated when the network is opened. The last layer's output stays real.

Weights and biases become floats when the network is opened. The scale of x is multiplied into the weights then, so that
what is carried between layers are the codes ``q - Z`` themselves.
"""

from functools import partial
from pathlib import Path

import numpy as np

from compresslab.compress.activations import CODES, approximate
from compresslab.engines.contract import predict_in_chunks
from compresslab.engines.numpy_integer_strict import pixel_codes
from compresslab.engines.numpy_program import Programs, look_up, round_to_codes
from compresslab.engines.phase_planes import Step
from compresslab.models.numpy.activations import activate
from compresslab.models.numpy.affine import QMIN, Affine
from compresslab.models.numpy.forward import max_pool, weighted_sum
from compresslab.models.numpy.network import Layer, Network, load


class DequantizedEngine:
    """Inference of one network in dequantized arithmetic."""

    def __init__(self, network: Network) -> None:
        if network.arithmetic != "dequantized":
            raise ValueError(f"this engine needs a network in dequantized arithmetic, not {network.arithmetic}")
        self._network = network
        self._tables = {layer.name: _table(network, layer) for layer in network.layers if layer.curved}
        self._programs = Programs(network, DequantizedArithmetic(network, self._tables))

    def prepare(self, images: np.ndarray) -> np.ndarray:
        """Turn uint8 pixels (N,H,W,C) into their int8 codes ``p - 128``, same shape."""
        return pixel_codes(images)

    def run(self, native: np.ndarray) -> np.ndarray:
        """Turn int8 codes (N,H,W,C) into float32 logits (N, classes)."""
        return self._programs(native).copy()

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Return float32 logits (N, classes) of uint8 images (N,H,W,C)."""
        return predict_in_chunks(self, images)

    def trace(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Return the dequantized float32 output of every layer, computed plainly, one layer after the other.

        ``run`` adds in another order, so a value on the edge between two codes may fall to the other one there.
        """
        outputs = {}
        values = self.prepare(images)
        for layer, entering in zip(self._network.layers, self._network.input_affines, strict=True):
            values = self._layer(layer, entering, values)
            leaving = layer.affine("output") if "output_scale" in layer.arrays else entering
            outputs[layer.name] = values if values.dtype == np.float32 else leaving.dequantize(values)
        return outputs

    def _layer(self, layer: Layer, entering: Affine, codes: np.ndarray) -> np.ndarray:
        """Return the layer's int8 output codes, or the real output of the last layer."""
        if layer.kind == "max_pool":
            return max_pool(codes, layer.size, layer.stride)
        values = entering.dequantize(codes)
        if layer.kind == "global_average_pool":
            outputs = values.mean((1, 2), dtype=np.float32)
        else:
            outputs = weighted_sum(layer, values, *_dequantized(layer))
        if layer.curved:
            return self._tables[layer.name][layer.affine("preactivation").quantize(outputs).astype(np.intp) - QMIN]
        outputs = activate(outputs, layer.activation)
        return layer.affine("output").quantize(outputs) if "output_scale" in layer.arrays else outputs


class DequantizedArithmetic:
    """Float32 sums of codes ``q - Z`` times dequantized weights, rounded to codes again after each layer."""

    def __init__(self, network: Network, tables: dict[str, np.ndarray]) -> None:
        assert network.input_affine is not None
        self._input_zero = network.input_affine.zero_point.astype(np.float32)[:, np.newaxis, np.newaxis]
        self._tables = {
            layer.name: tables[layer.name].astype(np.float32) - np.float32(layer.affine("output").zero_point)
            for layer in network.layers
            if layer.curved
        }
        self._last = network.layers[-1]
        entering = zip(network.layers, network.input_affines, strict=True)
        self._steps_in = {layer.name: np.float32(affine.scale) for layer, affine in entering}

    def enter(self, destination: np.ndarray, source: np.ndarray) -> None:
        """Subtract the input's zero points from int8 codes."""
        np.subtract(source, self._input_zero, destination)

    def dtype(self, layer: Layer) -> np.dtype:
        """Return float32, whatever the layer."""
        del layer
        return np.dtype(np.float32)

    def weights(self, layer: Layer) -> tuple[np.ndarray, np.ndarray]:
        """Return the dequantized weights, times the scale of what enters, and the dequantized bias."""
        weight, bias = _dequantized(layer)
        return weight * self._steps_in[layer.name], bias

    def pools_first(self, layer: Layer) -> bool:
        """Rounding is monotone; a curve is where its table is."""
        return not layer.curved or bool(np.all(np.diff(self._tables[layer.name]) >= 0))

    def mean_factor(self, layer: Layer, pixels: int) -> float:
        """Return the scale of what enters, over ``pixels``."""
        return float(self._steps_in[layer.name]) / pixels

    def finish(self, layer: Layer, sums: np.ndarray, out: np.ndarray) -> list[Step]:
        """Return the steps that apply the activation and round to codes ``q - Z``; the last layer's sums stay real."""
        if "output_scale" not in layer.arrays:
            return [partial(_activate, layer.activation, sums, out)]
        target = layer.affine("preactivation" if layer.curved else "output")
        scale = partial(np.multiply, sums, np.full_like(sums, 1 / float(target.scale)), sums)
        if not layer.curved:
            return [scale, *round_to_codes(layer, sums, out)]
        first = partial(np.add, sums, np.full_like(sums, 0.5 - layer.codes[0]), sums)
        steps: list[Step] = [scale, first, *look_up(self._tables[layer.name], sums, out)]
        if layer is self._last:
            steps.append(partial(np.multiply, out, layer.affine("output").scale, out))
        return steps


def _activate(activation: str, sums: np.ndarray, out: np.ndarray) -> None:
    out[...] = activate(sums, activation)


def _table(network: Network, layer: Layer) -> np.ndarray:
    """Return the int8 output codes of the layer's curve for all 256 codes that may enter it."""
    if "table" in layer.arrays:
        return layer.arrays["table"]
    reals = layer.affine("preactivation").dequantize(CODES)
    return layer.affine("output").quantize(approximate(reals, layer.activation, int(network.segments or 1)))


def _dequantized(layer: Layer) -> tuple[np.ndarray, np.ndarray]:
    """Return the float32 weights and bias of a convolution or linear layer."""
    return layer.affine("weight").dequantize(layer.weight), layer.affine("bias").dequantize(layer.bias)


def open_model(path: Path, threads: int) -> DequantizedEngine:
    """Open the dequantized network at ``path``; NumPy's BLAS uses the threads that were set before it was loaded."""
    del threads
    return DequantizedEngine(load(path))


def unavailable() -> str | None:
    """Say why this engine cannot run here: it always can."""
    return None
