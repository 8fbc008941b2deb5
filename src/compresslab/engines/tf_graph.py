"""TensorFlow, traced to one graph (``tf.function``) that TensorFlow's own executor runs, in float32 on the CPU."""

from functools import partial
from pathlib import Path

from compresslab.engines.keras_network import KerasEngine, compiled, open_network


def open_model(path: Path, threads: int) -> KerasEngine:
    """Open a ``.safetensors`` network for ``threads`` threads; raises ArtifactError when it cannot be used."""
    return open_network(path, threads, partial(compiled, jit_compile=False))


def unavailable() -> str | None:
    """TensorFlow runs wherever it can be imported."""
    return None
