"""Eager PyTorch with fake quantization, in float32 on the CPU: what ``qat-eager`` trained, before it is converted."""

from pathlib import Path

import numpy as np
import torch

from compresslab.engines.torch import TorchEngine, outputs_of_modules
from compresslab.models.torch.artifact import TorchModel
from compresslab.models.torch.eager_artifact import load_simulated
from compresslab.models.torch.layers import layer_outputs
from compresslab.models.torch.rebuilt import float_form


class QuantizedEngine(TorchEngine):
    """A quantized copy of a network, whose modules have kept their names."""

    def __init__(self, model: TorchModel) -> None:
        super().__init__(model.module, model.preprocessing)
        self._layers = layer_outputs(float_form(model))

    def trace(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Return the float32 (dequantized) output of every layer after its activation; maps are (N, H, W, C)."""
        body = {layer: f"body.{name}" for layer, name in self._layers.items()}
        return outputs_of_modules(self._module, body, self.prepare(images))


def open_model(path: Path, threads: int) -> QuantizedEngine:
    """Open a fake-quantized ``.safetensors`` network for ``threads`` threads; ArtifactError when it cannot be used."""
    torch.set_num_threads(threads)
    return QuantizedEngine(load_simulated(path))


def unavailable() -> str | None:
    """PyTorch runs wherever it can be imported."""
    return None
