"""TensorFlow, compiled by XLA to machine code for every batch size it meets, in float32 on the CPU."""

from functools import partial
from pathlib import Path

from compresslab.engines.keras_network import KerasEngine, compiled, open_network


def open_model(path: Path, threads: int) -> KerasEngine:
    """Open a ``.safetensors`` network for ``threads`` threads; raises ArtifactError when it cannot be used."""
    return open_network(path, threads, partial(compiled, jit_compile=True))


def unavailable() -> str | None:
    """XLA is part of TensorFlow and runs wherever that can be imported."""
    return None
