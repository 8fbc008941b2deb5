"""LiteRT (the former TensorFlow Lite) on the CPU with XNNPACK, for float32 and for integer models."""

from pathlib import Path

import numpy as np

from compresslab.engines.contract import predict_in_chunks
from compresslab.models.litert.artifact import LiteRTModel, load
from compresslab.models.litert.runtime import Runner, logits, native_input


class LiteRTEngine:
    """A model with one interpreter for every batch size that it meets, since resizing one lays out its memory anew."""

    def __init__(self, model: LiteRTModel, threads: int) -> None:
        self._model = model
        self._threads = threads
        self._runners: dict[int, Runner] = {}

    def prepare(self, images: np.ndarray) -> np.ndarray:
        """Turn uint8 images (N, H, W, C) into normalized float32 (N, H, W, C), quantized to int8 for an int8 input."""
        return native_input(self._model, images)

    def run(self, native: np.ndarray) -> np.ndarray:
        """Return float32 logits (N, classes)."""
        runner = self._runners.get(len(native))
        if runner is None:
            runner = self._runners[len(native)] = Runner(self._model, len(native), self._threads)
        return logits(self._model, runner.run(native)[0])

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Return float32 logits (N, classes) of uint8 images (N, H, W, C), computed in chunks."""
        return predict_in_chunks(self, images)

    def trace(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Return the float32 (dequantized) output of every layer after its activation; feature maps are (N, H, W, C).

        A copy of the model with these tensors as outputs is run, by the same kernels.
        """
        layers, tensors = self._model.description.layers, self._model.graph.tensors
        runner = Runner(self._model, len(images), self._threads, tuple(layers.values()))
        values = runner.run(self.prepare(images))
        return {
            name: tensors[number].dequantized(value)
            for (name, number), value in zip(layers.items(), values, strict=True)
        }


def open_model(path: Path, threads: int) -> LiteRTEngine:
    """Open a ``.tflite`` model for ``threads`` threads; raises ArtifactError when it cannot be used."""
    return LiteRTEngine(load(path), threads)


def unavailable() -> str | None:
    """LiteRT runs wherever it can be imported."""
    return None
