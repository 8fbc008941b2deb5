"""The integer engine, fast: the bits of ``numpy-integer-strict``, carried through floating-point registers.

Floating point is exact on integers below 2**24 (float32) and 2**53 (float64). For every layer the weights bound what
an accumulator, and every partial sum of it, can reach; within that bound BLAS adds integers without rounding, in any
order. What follows is proven too, when the network is opened: the requantization on both sides of each of its steps
(see ``proven_rounding``), the curves by tabulating all 256 codes. Where single precision does not suffice for a layer
it gets double precision, and where a requantization cannot be proven it is done in int64.

Values between layers are ``q - Z``, so padding is zero. Max-pooling comes before a requantization and a curve where
both are monotone.
"""

from functools import partial
from pathlib import Path

import numpy as np

from compresslab.compress.activations import CODES
from compresslab.compress.fixed_point import multiply
from compresslab.engines.contract import predict_in_chunks
from compresslab.engines.numpy_integer_strict import IntegerStrictEngine, bend, pixel_codes
from compresslab.engines.numpy_program import Programs, look_up, round_to_codes
from compresslab.engines.phase_planes import Step
from compresslab.engines.proven_rounding import Rounding, prove
from compresslab.models.numpy.network import Layer, Network, load


class IntegerEngine:
    """Integer-only inference of one integer network, at the speed of BLAS."""

    def __init__(self, network: Network) -> None:
        if network.arithmetic != "integer":
            raise ValueError(f"this engine needs a network in integer arithmetic, not {network.arithmetic}")
        self._network = network
        self._programs = Programs(network, IntegerArithmetic(network))
        leaving = network.layers[-1].affine("output")
        self._scale, self._zero_point = np.float32(leaving.scale), float(leaving.zero_point)

    def prepare(self, images: np.ndarray) -> np.ndarray:
        """Turn uint8 pixels (N,H,W,C) into their int8 codes ``p - 128``, same shape: the top bit flips."""
        return pixel_codes(images)

    def run(self, native: np.ndarray) -> np.ndarray:
        """Turn int8 codes (N,H,W,C) into float32 logits (N, classes)."""
        return np.multiply(self._programs(native), self._scale, dtype=np.float32, casting="same_kind")

    def integer_logits(self, native: np.ndarray) -> np.ndarray:
        """Turn int8 codes (N,H,W,C) into the int8 codes of the logits (N, classes)."""
        return (self._programs(native) + self._zero_point).astype(np.int8)

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Return float32 logits (N, classes) of uint8 images (N,H,W,C)."""
        return predict_in_chunks(self, images)

    def trace(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Return the dequantized float32 output of every layer, from the strict engine: the bits are the same."""
        return IntegerStrictEngine(self._network).trace(images)


class IntegerArithmetic:
    """Integers ``q - Z`` in float32, or in float64 where a layer's bound or its requantization asks for it."""

    def __init__(self, network: Network) -> None:
        assert network.input_affine is not None
        self._input_zero = network.input_affine.zero_point.astype(np.float32)[:, np.newaxis, np.newaxis]
        self._tables = {layer.name: _table(layer) for layer in network.layers if layer.curved}
        bounds = zip(network.layers, network.accumulator_bounds, strict=True)
        self._roundings = {
            layer.name: _rounding(layer, bound) for layer, bound in bounds if "multiplier" in layer.arrays
        }

    def enter(self, destination: np.ndarray, source: np.ndarray) -> None:
        """Subtract the input's zero points from int8 codes."""
        np.subtract(source, self._input_zero, destination)

    def dtype(self, layer: Layer) -> np.dtype:
        """Return the floating-point type that holds every partial sum of ``layer`` exactly."""
        if layer.kind == "max_pool":
            return np.dtype(np.float32)
        rounding = self._roundings[layer.name]
        return np.dtype(np.float64) if rounding is None else rounding.dtype

    def weights(self, layer: Layer) -> tuple[np.ndarray, np.ndarray]:
        """Return the int8 weights, and the int32 bias with the ``starts`` of the layer's rounding added."""
        rounding = self._roundings[layer.name]
        return layer.weight, layer.bias if rounding is None else layer.bias + rounding.starts.astype(np.float64)

    def pools_first(self, layer: Layer) -> bool:
        """Requantization is monotone; a curve is where its table is."""
        return layer.name not in self._tables or bool(np.all(np.diff(self._tables[layer.name]) >= 0))

    def mean_factor(self, layer: Layer, pixels: int) -> float:
        """Return 1: the mean's division is part of its requantization."""
        del layer, pixels
        return 1.0

    def finish(self, layer: Layer, sums: np.ndarray, out: np.ndarray) -> list[Step]:
        """Return the steps that requantize ``sums`` and apply the layer's curve."""
        rounding, table = self._roundings[layer.name], self._tables.get(layer.name)
        if rounding is None:
            target = sums if table is not None else out
            steps: list[Step] = [partial(_requantize_exactly, layer, sums, target)]
            return steps if table is None else [*steps, *look_up(table, sums, out)]
        scale = partial(np.multiply, sums, _full(rounding.factors, sums), sums)
        if table is not None:
            return [scale, *look_up(table, sums, out)]
        return [scale, *round_to_codes(layer, sums, out)]


def _rounding(layer: Layer, bound: int) -> Rounding | None:
    return prove(layer.arrays["multiplier"], layer.arrays["shift"], layer.codes, bound, as_index=layer.curved)


def _table(layer: Layer) -> np.ndarray:
    """Return ``q - Z`` of the output for each of the 256 codes that enter the layer's curve, int64."""
    return bend(layer, CODES).astype(np.int64) - int(layer.affine("output").zero_point)


def _full(factors: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """Return the channels' factors in the shape of ``sums``: NumPy's loops are fastest on operands that are alike."""
    by_channel = factors[:, np.newaxis] if sums.ndim > 2 else factors
    return np.ascontiguousarray(np.broadcast_to(by_channel, sums.shape))


def _requantize_exactly(layer: Layer, sums: np.ndarray, out: np.ndarray) -> None:
    """Requantize in int64, as the strict engine does; to an index from 0 where a curve follows."""
    multiplier, shift = layer.arrays["multiplier"], layer.arrays["shift"]
    if sums.ndim > 2:
        multiplier, shift = multiplier[:, np.newaxis], shift[:, np.newaxis]
    codes = layer.codes
    saturated = np.clip(multiply(sums.astype(np.int64), multiplier, shift), codes[0], codes[-1])
    out[...] = saturated - codes[0] if layer.curved else saturated


def open_model(path: Path, threads: int) -> IntegerEngine:
    """Open the integer network at ``path``; NumPy's BLAS uses the threads that were set before it was loaded."""
    del threads
    return IntegerEngine(load(path))


def unavailable() -> str | None:
    """Say why this engine cannot run here: it always can."""
    return None
