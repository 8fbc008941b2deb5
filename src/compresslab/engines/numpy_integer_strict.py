"""The integer engine, strictly: every intermediate between the int8 input and the int8 logits has an integer dtype.

It is the definition that the engine ``numpy-integer`` must reproduce bit for bit, written to be read: one layer after
the other, in the order of the network, int8 codes in, int32 accumulators, int8 codes out. NumPy has no fast integer
matrix product, so this engine is slow; nothing in it is approximate.
"""

from pathlib import Path

import numpy as np

from compresslab.compress.activations import Curve
from compresslab.compress.fixed_point import requantize
from compresslab.engines.contract import predict_in_chunks
from compresslab.models.numpy.affine import QMIN, Affine
from compresslab.models.numpy.forward import max_pool, weighted_sum
from compresslab.models.numpy.network import WEIGHTED, Layer, Network, load


class IntegerStrictEngine:
    """Integer-only inference of one integer network."""

    def __init__(self, network: Network) -> None:
        if network.arithmetic != "integer":
            raise ValueError(f"this engine needs a network in integer arithmetic, not {network.arithmetic}")
        self._network = network

    def prepare(self, images: np.ndarray) -> np.ndarray:
        """Turn uint8 pixels (N,H,W,C) into their int8 codes ``p - 128``, same shape: the top bit flips."""
        return pixel_codes(images)

    def run(self, native: np.ndarray) -> np.ndarray:
        """Turn int8 codes (N,H,W,C) into float32 logits (N, classes)."""
        return self._network.layers[-1].affine("output").dequantize(self.integer_logits(native))

    def integer_logits(self, native: np.ndarray) -> np.ndarray:
        """Turn int8 codes (N,H,W,C) into the int8 codes of the logits (N, classes)."""
        codes = native
        for layer, entering in zip(self._network.layers, self._network.input_affines, strict=True):
            codes = integer_layer(layer, entering, codes)
        return codes

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Return float32 logits (N, classes) of uint8 images (N,H,W,C)."""
        return predict_in_chunks(self, images)

    def trace(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Return the dequantized float32 output of every layer."""
        outputs = {}
        codes = self.prepare(images)
        affines = self._network.input_affines
        for layer, entering in zip(self._network.layers, affines, strict=True):
            codes = integer_layer(layer, entering, codes)
            leaving = layer.affine("output") if "output_scale" in layer.arrays else entering
            outputs[layer.name] = leaving.dequantize(codes)
        return outputs


def pixel_codes(images: np.ndarray) -> np.ndarray:
    """Return the int8 codes ``p - 128`` of uint8 pixels."""
    return (images ^ np.uint8(128)).view(np.int8)


def integer_layer(layer: Layer, entering: Affine, codes: np.ndarray) -> np.ndarray:
    """Return the int8 output codes of ``layer`` for int8 input ``codes`` with the affine map ``entering``."""
    if layer.kind == "max_pool":
        return max_pool(codes, layer.size, layer.stride)
    # Relative to the zero point, padding is the integer 0, and codes need nine bits.
    offsets = codes.astype(np.int16) - entering.zero_point.astype(np.int16)
    if layer.kind in WEIGHTED:
        weight = layer.weight.astype(np.int32)
        accumulators = weighted_sum(layer, offsets.astype(np.int32), weight, layer.bias)
    else:
        accumulators = offsets.sum((1, 2), dtype=np.int32)
    target = layer.affine("preactivation" if layer.curved else "output")
    lowest = target.zero_point if layer.activation == "relu" else np.int8(QMIN)
    requantized = requantize(
        accumulators, layer.arrays["multiplier"], layer.arrays["shift"], target.zero_point, np.asarray(lowest)
    )
    return bend(layer, requantized)


def bend(layer: Layer, codes: np.ndarray) -> np.ndarray:
    """Apply the layer's curve, if it has one, to the int8 ``codes`` of its pre-activations."""
    if not layer.curved:
        return codes
    if "table" in layer.arrays:
        return layer.arrays["table"][codes.astype(np.int16) - np.int16(QMIN)]
    return Curve(*(layer.arrays[name] for name in Curve._fields)).evaluate(codes)


def open_model(path: Path, threads: int) -> IntegerStrictEngine:
    """Open the integer network at ``path``; integer products in NumPy run on one thread whatever ``threads`` is."""
    del threads
    return IntegerStrictEngine(load(path))


def unavailable() -> str | None:
    """Say why this engine cannot run here: it always can."""
    return None
