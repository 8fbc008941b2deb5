"""ONNX Runtime on a GPU: no node lands on the CPU without a word, and a host that cannot run it says why."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
from fake_gpus import FIRST, see, see_no_driver
from onnx import TensorProto, helper

from compresslab.engines import onnxruntime_cuda
from compresslab.engines.onnxruntime_cuda import PROVIDER, require_all_nodes

CPU = "CPUExecutionProvider"
MODEL = Path("model.onnx")


def recorded(nodes: Sequence[Any]) -> onnxruntime.InferenceSession:
    """A session on the CPU that records where its nodes lie."""
    shape = ["batch", 3]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=[CPU])


class Claiming:
    """A session that says it has the GPU's provider, and lies where it lies."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self.get_provider_graph_assignment_info = session.get_provider_graph_assignment_info

    def get_providers(self) -> list[str]:
        return [PROVIDER, CPU]


def node(operator: str, before: str, after: str) -> Any:
    return helper.make_node(operator, [before], [after])


def test_a_provider_that_was_not_loaded_is_told() -> None:
    session = recorded([node("Relu", "images", "logits")])
    require_all_nodes(session, CPU, MODEL)
    with pytest.raises(ValueError, match=r"model\.onnx: ONNX Runtime could not load CUDAExecutionProvider and would"):
        require_all_nodes(session, PROVIDER, MODEL)


def test_every_operator_on_the_cpu_is_named() -> None:
    session = recorded([node("Gelu", "images", "hidden"), node("Selu", "hidden", "logits")])
    said = r"does not compute these operators: Gelu \(CPUExecutionProvider\), Selu \(CPUExecutionProvider\)"
    with pytest.raises(ValueError, match=said):
        require_all_nodes(Claiming(session), PROVIDER, MODEL)


def test_sizes_may_be_computed_on_the_cpu() -> None:
    cast = helper.make_node("Cast", ["sizes"], ["logits"], to=TensorProto.FLOAT)
    require_all_nodes(Claiming(recorded([node("Shape", "images", "sizes"), cast])), PROVIDER, MODEL)


def test_a_host_that_cannot_run_it_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    see_no_driver(monkeypatch)
    assert onnxruntime_cuda.unavailable() == "no NVIDIA GPU is visible: this host has no NVIDIA driver"
    see(monkeypatch, FIRST)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CPU])
    assert onnxruntime_cuda.unavailable() == (
        "onnxruntime-gpu is not installed: this build of ONNX Runtime has no CUDAExecutionProvider"
    )
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [PROVIDER, CPU])
    assert onnxruntime_cuda.unavailable() is None
