"""PyTorch, compiled by TorchInductor to C++ for the CPU, in float32."""

import os
import shutil
import sysconfig
from pathlib import Path

import numpy as np
import torch
from torch import nn

from compresslab.data.preprocessing import Preprocessing
from compresslab.engines.contract import predict_in_chunks
from compresslab.engines.layout import normalized_channels_first
from compresslab.engines.torch import layer_values
from compresslab.models.torch.artifact import load

_COMPILERS = ("g++", "clang++", "c++", "cl")


class CompiledEngine:
    """A network that is compiled for every batch size it meets, on the first run with it (tens of seconds)."""

    def __init__(self, module: nn.Module, preprocessing: Preprocessing) -> None:
        self._preprocessing = preprocessing
        self._module = module
        # One kernel for all batch sizes would be measured as if a user with a fixed batch could not do better.
        self._compiled = torch.compile(module, dynamic=False)

    def prepare(self, images: np.ndarray) -> torch.Tensor:
        """Turn uint8 images (N, H, W, C) into a normalized float32 tensor (N, C, H, W)."""
        return torch.from_numpy(normalized_channels_first(self._preprocessing, images))

    def run(self, native: torch.Tensor) -> np.ndarray:
        """Return float32 logits (N, classes)."""
        with torch.inference_mode():
            logits: np.ndarray = self._compiled(native).numpy()
        return logits

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Return float32 logits (N, classes) of uint8 images (N, H, W, C), computed in chunks."""
        return predict_in_chunks(self, images)

    def trace(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Return the float32 output of every layer, of the network before compilation, which leaves no layers."""
        return layer_values(self._module, self.prepare(images))


def open_model(path: Path, threads: int) -> CompiledEngine:
    """Open a ``.safetensors`` network for ``threads`` threads; raises ArtifactError when it cannot be used."""
    torch.set_num_threads(threads)
    model = load(path)
    return CompiledEngine(model.module, model.preprocessing)


def unavailable() -> str | None:
    """Why networks cannot be compiled on this host: TorchInductor needs a C++ compiler and Python's headers."""
    compiler = os.environ.get("CXX")
    candidates = (compiler,) if compiler else _COMPILERS
    if not any(shutil.which(candidate) for candidate in candidates):
        return f"no C++ compiler ({', '.join(candidates)}) is installed; torch.compile needs one"
    if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
        return "Python's header files (Python.h) are not installed; torch.compile needs them"
    return None
