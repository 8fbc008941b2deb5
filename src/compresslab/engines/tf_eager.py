"""TensorFlow, eager, in float32 on the CPU: Keras calls its layers from Python, operation by operation."""

from functools import partial
from pathlib import Path

from compresslab.engines.keras_network import KerasEngine, open_network


def open_model(path: Path, threads: int) -> KerasEngine:
    """Open a ``.safetensors`` network for ``threads`` threads; raises ArtifactError when it cannot be used."""
    return open_network(path, threads, lambda network: partial(network, training=False))


def unavailable() -> str | None:
    """TensorFlow runs wherever it can be imported."""
    return None
