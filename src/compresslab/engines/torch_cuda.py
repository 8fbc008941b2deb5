"""PyTorch, eager, in float32 on one NVIDIA GPU.

A timed call begins and ends in the memory of the host, as one of an engine on the CPU does: it copies the images to the
GPU and the logits back, for which it waits until the GPU has finished. Products are float32 and not TF32. cuDNN takes
the kernels that its rules name, of those that repeat their bits, and tries none out.
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from compresslab.data.preprocessing import Preprocessing
from compresslab.engines.contract import predict_in_chunks
from compresslab.engines.layout import normalized_channels_first
from compresslab.engines.torch import layer_values
from compresslab.models.torch.artifact import load
from compresslab.models.torch.float32 import keep_float32
from compresslab.train import gpus

DEVICE = "cuda"


class TorchCudaEngine:
    """A network in evaluation mode on ``device``."""

    def __init__(self, module: nn.Module, preprocessing: Preprocessing, device: torch.device) -> None:
        self._module = module.to(device)
        self._preprocessing = preprocessing
        self._device = device

    def prepare(self, images: np.ndarray) -> torch.Tensor:
        """Turn uint8 images (N, H, W, C) into a normalized float32 tensor (N, C, H, W) in the memory of the host."""
        return torch.from_numpy(normalized_channels_first(self._preprocessing, images))

    def run(self, native: torch.Tensor) -> np.ndarray:
        """Return float32 logits (N, classes) in the memory of the host."""
        with torch.inference_mode():
            # The way back waits for the GPU, so that no work is left when the clock stops.
            logits: np.ndarray = self._module(native.to(self._device)).cpu().numpy()
        return logits

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Return float32 logits (N, classes) of uint8 images (N, H, W, C), computed in chunks."""
        return predict_in_chunks(self, images)

    def trace(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Return the float32 output of every layer after its activation; feature maps are (N, H, W, C)."""
        return layer_values(self._module, self.prepare(images).to(self._device))


def open_model(path: Path, threads: int) -> TorchCudaEngine:
    """Open a ``.safetensors`` network on a GPU that no other job has, with ``threads`` threads on the CPU.

    Raises ArtifactError when the network cannot be used, NoGpuError without a GPU.
    """
    torch.set_num_threads(threads)
    keep_float32()
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    device = torch.device("cuda", gpus.one_until_the_end())
    torch.cuda.set_device(device)
    model = load(path)
    return TorchCudaEngine(model.module, model.preprocessing, device)


def unavailable() -> str | None:
    """Why PyTorch has no GPU on this host: there is none, or its build does not fit."""
    if reason := gpus.absence():
        return reason
    if not torch.backends.cuda.is_built():
        return "this PyTorch is built without CUDA"
    if not torch.cuda.is_available():
        return (
            f"PyTorch, built for CUDA {torch.version.cuda}, cannot use the GPU with a driver for CUDA "
            f"{gpus.cuda_version()}; install a newer driver, or a PyTorch for an older CUDA"
        )
    return None
