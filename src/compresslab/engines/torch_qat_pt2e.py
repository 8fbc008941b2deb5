"""PyTorch with torchao's fake quantization, in float32 on the CPU: what ``qat-pt2e`` trained."""

from pathlib import Path

import numpy as np
import torch

from compresslab.engines.layout import layer_output
from compresslab.engines.torch import TorchEngine
from compresslab.models.torch import pt2e_artifact
from compresslab.models.torch.artifact import TorchModel
from compresslab.models.torch.layers import layer_outputs
from compresslab.models.torch.pt2e_quantization import SimulatedGraph, outputs_of_modules
from compresslab.models.torch.rebuilt import float_form


class GraphEngine(TorchEngine):
    """A fake-quantized graph, whose nodes know the modules that they come from."""

    def __init__(self, model: TorchModel) -> None:
        assert isinstance(model.module, SimulatedGraph)
        super().__init__(model.module, model.preprocessing)
        self._graph = model.module
        self._layers = layer_outputs(float_form(model))

    def trace(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Return the float32 output of every layer after its activation, rounded; feature maps are (N, H, W, C)."""
        outputs = outputs_of_modules(self._graph, self.prepare(images).contiguous())
        return {layer: layer_output(outputs[module].numpy()) for layer, module in self._layers.items()}


def open_model(path: Path, threads: int) -> GraphEngine:
    """Open a fake-quantized ``.safetensors`` network for ``threads`` threads; ArtifactError when it cannot be used."""
    torch.set_num_threads(threads)
    return GraphEngine(pt2e_artifact.load(path))


def unavailable() -> str | None:
    """PyTorch runs wherever it can be imported."""
    return None
