"""What a training takes of its host: one device, the precision that it computes in, and memory that it keeps."""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch

from compresslab.models.torch.float32 import keep_float32
from compresslab.train import checkpoint, gpus
from compresslab.train.loop import TrainingError

Precision = Literal["float32", "bfloat16"]

memory: Any = torch.utils.deterministic
"""PyTorch makes its setting a property of the module, which type checkers do not see."""

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Names of mallopt's parameters, from malloc.h."""

KEPT_BYTES, OLDER_LIMIT_BYTES = 1 << 30, 1 << 25
"""Blocks up to the first size stay with the process; some versions of glibc take no more than the second."""


@contextmanager
def one_device(name: str, log: checkpoint.Log) -> Iterator[torch.device]:
    """Yield the device called ``name``; of several GPUs one that no other process holds, alone.

    Only GPUs that ``CUDA_VISIBLE_DEVICES`` shows are taken. Raises TrainingError as :func:`choose_device` does.
    """
    device = choose_device(name)
    if device.type == "cpu":
        yield device
        return
    keep_float32()
    with gpus.one_alone([gpu.uuid for gpu in gpus.visible()], log) as index, torch.cuda.device(index):
        yield torch.device("cuda", index)


def choose_device(name: str) -> torch.device:
    """Return the device called ``cpu`` or ``cuda``, or for ``auto`` the GPU where there is one.

    Raises TrainingError when a GPU is asked for that PyTorch does not see.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise TrainingError("device: cuda, but PyTorch sees no GPU on this host; use device: cpu or auto")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def choose_precision(name: str, device: torch.device) -> Precision:
    """Return the precision called ``name``, or for ``auto`` bfloat16 where ``device`` computes it in hardware.

    A CPU without such hardware computes in bfloat16 as well, slowly. Raises TrainingError for a GPU that cannot.
    """
    if name == "float32":
        return "float32"
    if _computes_bfloat16(device):
        return "bfloat16"
    if name == "bfloat16" and device.type == "cuda":
        gpu = torch.cuda.get_device_name(device)
        raise TrainingError(f"precision: bfloat16, but {gpu} does not compute in it; use precision: float32 or auto")
    return "bfloat16" if name == "bfloat16" else "float32"


def _computes_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    found = torch.cpu.get_capabilities()
    return bool(found.get("avx512_bf16") or found.get("amx_bf16"))


def keep_freed_memory() -> None:
    """Let glibc keep what a step frees for the next one; process-wide and for good, and nothing elsewhere.

    By default glibc gives large blocks back to the kernel at once, and every step waits for the same pages anew, empty:
    a quarter of the time of a small network.
    """
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    if library is None or not hasattr(library, "mallopt"):
        return
    if not library.mallopt(M_MMAP_THRESHOLD, KEPT_BYTES):
        library.mallopt(M_MMAP_THRESHOLD, OLDER_LIMIT_BYTES)
    library.mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)


@contextmanager
def deterministic(threads: int) -> Iterator[None]:
    """Use ``threads`` threads and only algorithms that give the same bits every time, and go back afterwards.

    See https://pytorch.org/docs/stable/notes/randomness.html.
    """
    # cuBLAS reads it when it starts; without it PyTorch refuses deterministic matrix products.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    filling = memory.fill_uninitialized_memory
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    # Else PyTorch first fills every new tensor with NaN, for networks that read what nobody wrote.
    memory.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])
        torch.backends.cudnn.benchmark = before[2]
        memory.fill_uninitialized_memory = filling
