"""PyTorch, eager, in float32 on the CPU.

Single images are contiguous, batches are channels-last, each the faster one for gapcnn on one AVX2 thread: 0.26 ms
against 0.31 ms for one image, 49 ms against 77 ms for 256 (torch 2.13).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from compresslab.data.preprocessing import Preprocessing
from compresslab.engines.contract import predict_in_chunks
from compresslab.engines.layout import layer_output, normalized_channels_first
from compresslab.models.torch.artifact import load
from compresslab.models.torch.layers import layer_outputs


class TorchEngine:
    """A network in evaluation mode."""

    def __init__(self, module: nn.Module, preprocessing: Preprocessing) -> None:
        self._module = module
        self._preprocessing = preprocessing

    def prepare(self, images: np.ndarray) -> torch.Tensor:
        """Turn uint8 images (N, H, W, C) into a normalized float32 tensor (N, C, H, W), in the faster memory format."""
        if len(images) == 1:
            return torch.from_numpy(normalized_channels_first(self._preprocessing, images))
        return torch.from_numpy(self._preprocessing.normalize(images)).permute(0, 3, 1, 2)

    def run(self, native: torch.Tensor) -> np.ndarray:
        """Return float32 logits (N, classes)."""
        with torch.inference_mode():
            logits: np.ndarray = self._module(native).numpy()
        return logits

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Return float32 logits (N, classes) of uint8 images (N, H, W, C), computed in chunks."""
        return predict_in_chunks(self, images)

    def trace(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Return the float32 output of every layer after its activation; feature maps are (N, H, W, C)."""
        return layer_values(self._module, self.prepare(images))


def open_model(path: Path, threads: int) -> TorchEngine:
    """Open a ``.safetensors`` network for ``threads`` threads; raises ArtifactError when it cannot be used."""
    torch.set_num_threads(threads)
    model = load(path)
    return TorchEngine(model.module, model.preprocessing)


def unavailable() -> str | None:
    """PyTorch runs wherever it can be imported."""
    return None


def layer_values(module: nn.Module, native: torch.Tensor) -> dict[str, np.ndarray]:
    """Run ``module`` and return the float32 output of every layer; feature maps are (N, H, W, C)."""
    return outputs_of_modules(module, layer_outputs(module), native)


def outputs_of_modules(module: nn.Module, layers: Mapping[str, str], native: torch.Tensor) -> dict[str, np.ndarray]:
    """Run ``module`` and return by layer the float32 (dequantized) output of the submodule that ``layers`` names."""
    with torch.inference_mode(), _recorded(module, set(layers.values())) as outputs:
        module(native)
    return {layer: layer_output(outputs[name]) for layer, name in layers.items()}


@contextmanager
def _recorded(module: nn.Module, names: set[str]) -> Iterator[dict[str, np.ndarray]]:
    outputs: dict[str, np.ndarray] = {}

    def record(name: str, _module: nn.Module, _inputs: Any, output: torch.Tensor) -> None:
        # An in-place activation would overwrite its input later.
        outputs[name] = (output.dequantize() if output.is_quantized else output).cpu().numpy().copy()

    hooks = [
        child.register_forward_hook(partial(record, name)) for name, child in module.named_modules() if name in names
    ]
    try:
        yield outputs
    finally:
        for hook in hooks:
            hook.remove()
