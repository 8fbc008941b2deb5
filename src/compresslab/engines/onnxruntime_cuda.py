"""ONNX Runtime on one NVIDIA GPU, for float32 networks.

A timed call begins and ends in the memory of the host: ONNX Runtime copies the images to the GPU and the logits back.
Products are float32 and not TF32, and cuDNN takes the kernels that its rules name instead of trying all. No node may
land on the CPU, where ONNX Runtime puts without a word what its GPU provider does not know; sizes alone belong there.

Quantized networks are not for this engine: its provider has no integer kernels, and would compute them in float.
"""

from pathlib import Path

import onnxruntime

from compresslab.engines.onnxruntime import OnnxRuntimeEngine
from compresslab.train import gpus

DEVICE = "cuda"

PROVIDER = "CUDAExecutionProvider"

OF_SIZES = frozenset(("Shape", "Size", "Gather", "Slice", "Squeeze", "Unsqueeze", "Cast"))
"""Operators by which a graph finds out the size of a tensor; these numbers belong on the CPU."""


class OnnxRuntimeCudaEngine(OnnxRuntimeEngine):
    """A session whose nodes all lie on the GPU."""

    def _options(self) -> onnxruntime.SessionOptions:
        options = super()._options()
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        return options

    def _open(self, model: str | bytes) -> onnxruntime.InferenceSession:
        session = super()._open(model)
        require_all_nodes(session, PROVIDER, self._path)
        return session


def open_model(path: Path, threads: int) -> OnnxRuntimeCudaEngine:
    """Open an ``.onnx`` model on a GPU that no other job has, with ``threads`` threads on the CPU.

    Raises ValueError for a damaged model, one of another program, or one that the GPU would not compute alone;
    NoGpuError without a GPU.
    """
    # The libraries of CUDA lie in wheels of their own, where the loader does not look.
    onnxruntime.preload_dlls()
    settings = {"device_id": gpus.one_until_the_end(), "use_tf32": 0, "cudnn_conv_algo_search": "HEURISTIC"}
    return OnnxRuntimeCudaEngine(path, threads, ((PROVIDER, settings),))


def unavailable() -> str | None:
    """Why ONNX Runtime has no GPU on this host: there is none, or this is its build for the CPU."""
    if reason := gpus.absence():
        return reason
    if PROVIDER not in onnxruntime.get_available_providers():
        return f"onnxruntime-gpu is not installed: this build of ONNX Runtime has no {PROVIDER}"
    return None


def require_all_nodes(session: onnxruntime.InferenceSession, provider: str, path: Path) -> None:
    """Raise ValueError when ``provider`` does not compute every node of a session of the model at ``path``.

    The session has to record where its nodes lie (``session.record_ep_graph_assignment_info``).
    """
    if provider not in session.get_providers():
        raise ValueError(
            f"{path}: ONNX Runtime could not load {provider} and would compute on the CPU; "
            "install the CUDA and cuDNN that its build asks for"
        )
    elsewhere = sorted(
        {
            f"{node.op_type} ({subgraph.ep_name})"
            for subgraph in session.get_provider_graph_assignment_info()
            if subgraph.ep_name != provider
            for node in subgraph.get_nodes()
            if node.op_type not in OF_SIZES
        }
    )
    if elsewhere:
        raise ValueError(f"{path}: {provider} does not compute these operators: {', '.join(elsewhere)}")
