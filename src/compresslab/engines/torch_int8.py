"""PyTorch's integer kernels (qnnpack) on the CPU, for networks of ``convert-eager``."""

from pathlib import Path

import torch

from compresslab.engines.torch_qat_eager import QuantizedEngine
from compresslab.models.torch.eager_artifact import load_integer
from compresslab.models.torch.eager_quantization import ENGINE


def open_model(path: Path, threads: int) -> QuantizedEngine:
    """Open an integer ``.safetensors`` network for ``threads`` threads; ArtifactError when it cannot be used."""
    torch.set_num_threads(threads)
    return QuantizedEngine(load_integer(path))


def unavailable() -> str | None:
    """Why integer networks cannot run on this host: PyTorch was built without the kernels."""
    if ENGINE in torch.backends.quantized.supported_engines:
        return None
    return f"this build of PyTorch has no {ENGINE} kernels"
