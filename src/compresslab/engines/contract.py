"""What every engine offers, and how one is opened by its name.

An engine splits inference where a latency session needs the cut: :meth:`Engine.prepare` turns pixels into the
engine's native input (not timed), :meth:`Engine.run` turns native input into logits (timed). Logits are float32: one
per class, (N, classes), or for a network that segments one per class and pixel, (N, classes, H, W), in every engine.

This module imports no framework, not even NumPy: :func:`set_threads` only works before one is loaded.
"""

import importlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    import numpy as np

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)

CHUNK = 256
"""Images that :func:`predict_in_chunks` gives an engine at once."""


class Engine(Protocol):
    """A runtime that has one variant open."""

    def prepare(self, images: "np.ndarray") -> Any:
        """Turn uint8 images (N,H,W,C) into the native input: normalized float NCHW, quantized int8 NHWC, ..."""

    def run(self, native: Any) -> "np.ndarray":
        """Turn native input into float32 logits (N, classes) or (N, classes, H, W). Latency sessions time this."""

    def predict(self, images: "np.ndarray") -> "np.ndarray":
        """Return float32 logits (N, classes) or (N, classes, H, W) of uint8 images (N,H,W,C), computed in chunks."""

    def trace(self, images: "np.ndarray") -> "dict[str, np.ndarray]":
        """Return the float32 (dequantized) output of every named layer after its activation; feature maps are NHWC."""


class _Module(Protocol):
    """What a module ``compresslab.engines.<name>`` defines."""

    def open_model(self, path: Path, threads: int) -> Engine: ...

    def unavailable(self) -> str | None: ...


def set_threads(count: int) -> None:
    """Set every thread variable to ``count``; call it before any framework is imported.

    OpenBLAS, OpenMP and MKL read these variables once, when their library is loaded.
    """
    if count < 1:
        raise ValueError(f"threads must be at least 1, got {count}")
    for variable in THREAD_VARIABLES:
        os.environ[variable] = str(count)


def open_engine(name: str, path: Path, threads: int) -> Engine:
    """Open the artifact at ``path`` with the engine called ``name`` in the configuration (``numpy-integer``, ...).

    Raises ValueError when no such engine exists, RuntimeError with the reason when it cannot run on this host.
    """
    module = _engine_module(name)
    if reason := module.unavailable():
        raise RuntimeError(f"engine {name} cannot run on this host: {reason}")
    return module.open_model(Path(path), threads)


def unavailable(name: str) -> str | None:
    """Why the engine called ``name`` cannot run on this host, in words; None when it can."""
    return _engine_module(name).unavailable()


def predict_in_chunks(engine: Engine, images: "np.ndarray", chunk: int = CHUNK) -> "np.ndarray":
    """Return the logits of all ``images`` (N,H,W,C), ``chunk`` at a time, so that only they grow with N.

    Maps of logits are large: who wants them gives few images, and takes what it needs of them.
    """
    import numpy as np

    starts = range(0, max(len(images), 1), chunk)
    return np.concatenate([engine.run(engine.prepare(images[start : start + chunk])) for start in starts])


def _engine_module(name: str) -> _Module:
    module_name = f"compresslab.engines.{name.replace('-', '_')}"
    try:
        return cast(_Module, importlib.import_module(module_name))
    except ModuleNotFoundError as error:
        if error.name != module_name:
            raise
        raise ValueError(f"there is no engine called {name!r}") from error
