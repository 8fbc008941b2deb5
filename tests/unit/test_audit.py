"""The audit: what runs in float although it should not is found in the optimized graph, and named."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from compresslab.measure.audit import AuditError, Row, audit


def constant(name: str, values: np.ndarray) -> onnx.TensorProto:
    return numpy_helper.from_array(values, name)


def quantized_pair(tensor: str, name: str, nodes: list[onnx.NodeProto]) -> str:
    """Append a quantization and a dequantization of ``tensor`` and return the result's name."""
    nodes.append(helper.make_node("QuantizeLinear", [tensor, "scale", "zero"], [f"{name}_q"], name=f"{name}_q"))
    nodes.append(
        helper.make_node("DequantizeLinear", [f"{name}_q", "scale", "zero"], [f"{name}_dq"], name=f"{name}_dq")
    )
    return f"{name}_dq"


def write(path: Path, quantize_output_of: set[str], quantize_input: bool = True) -> Path:
    """Write two convolutions with a SELU between; the ones that are not named lack the output that makes them fuse."""
    generator = np.random.default_rng(0)
    nodes: list[onnx.NodeProto] = []
    weights = [constant("scale", np.float32(0.1)), constant("zero", np.uint8(128))]
    weights += [constant("weight_scale", np.float32(0.01)), constant("weight_zero", np.int8(0))]
    tensor = quantized_pair("images", "images", nodes) if quantize_input else "images"
    for name in ("conv1", "conv2"):
        weights.append(constant(f"{name}_w", generator.integers(-60, 60, (4, 4, 3, 3)).astype(np.int8)))
        inputs = [f"{name}_w", "weight_scale", "weight_zero"]
        nodes.append(helper.make_node("DequantizeLinear", inputs, [f"{name}_wf"], name=f"{name}_w_dq"))
        nodes.append(helper.make_node("Conv", [tensor, f"{name}_wf"], [name], name=name))
        tensor = quantized_pair(name, name, nodes) if name in quantize_output_of else name
        if name == "conv1":
            nodes.append(helper.make_node("Selu", [tensor], ["selu1"], name="selu1"))
            tensor = quantized_pair("selu1", "selu1", nodes)
    nodes.append(helper.make_node("Identity", [tensor], ["logits"], name="out"))
    sides = [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 4, 8, 8])]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 4, 4, 4])]
    graph = helper.make_graph(nodes, "audited", sides, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    return path


def test_fused_convolutions_are_integer_and_selu_is_an_expected_float(tmp_path: Path) -> None:
    rows = audit(write(tmp_path / "model.onnx", {"conv1", "conv2"}), [])
    assert rows == [
        Row("conv1", "QLinearConv", "integer", True),
        Row("selu1", "Selu", "float", True),
        Row("conv2", "QLinearConv", "integer", True),
    ]


def test_an_unfused_convolution_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "model.onnx", {"conv2"})
    with pytest.raises(
        AuditError, match=r"computes in float: conv1 \(\w*Conv, unfused\); quantize with uint8"
    ) as error:
        audit(path, [])
    assert "conv2" not in str(error.value)
    assert "\n" not in str(error.value)


def test_every_unfused_convolution_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(AuditError) as error:
        audit(write(tmp_path / "model.onnx", set()), [])
    assert "conv1" in str(error.value)
    assert "conv2" in str(error.value)


def test_a_convolution_may_stay_float_where_that_is_allowed(tmp_path: Path) -> None:
    rows = {row.node: row for row in audit(write(tmp_path / "model.onnx", {"conv2"}), ["conv1"])}
    assert (rows["conv1"].runs_as, rows["conv1"].expected) == ("unfused", True)
    assert (rows["conv2"].runs_as, rows["conv2"].expected) == ("integer", True)


@pytest.mark.parametrize(
    ("patterns", "allowed"),
    [(["*"], {"conv1", "conv2"}), (["*1"], {"conv1"}), (["c*2"], {"conv2"})],
    ids=["all", "first", "second"],
)
def test_a_pattern_allows_what_it_fits_and_the_rows_say_float_all_the_same(
    tmp_path: Path, patterns: list[str], allowed: set[str]
) -> None:
    left_out = {"conv1", "conv2"} - allowed
    rows = audit(write(tmp_path / "model.onnx", left_out), patterns)
    assert {row.node for row in rows if row.runs_as == "unfused"} == allowed
    assert all(row.expected for row in rows)


def test_a_pattern_allows_nothing_beside_what_it_fits(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match=r"computes in float: conv2 "):
        audit(write(tmp_path / "model.onnx", set()), ["*1"])


def with_float_nodes(path: Path, names: list[str]) -> Path:
    model = onnx.load(path)
    helper.set_model_props(model, {"float_nodes": json.dumps(names)})
    onnx.save(model, path)
    return path


def test_a_model_may_say_itself_what_it_left_in_float(tmp_path: Path) -> None:
    path = with_float_nodes(write(tmp_path / "model.onnx", {"conv2"}), ["conv1"])
    assert {row.node: row.runs_as for row in audit(path, []) if row.expected}["conv1"] == "float"
    other = with_float_nodes(write(tmp_path / "other.onnx", {"conv2"}), ["conv2"])
    with pytest.raises(AuditError, match=r"computes in float: conv1 "):
        audit(other, [])


def test_a_product_with_its_activation_keeps_its_name(tmp_path: Path) -> None:
    constants = [constant("w", np.ones((4, 4), np.float32)), constant("s", np.float32(0.1)), constant("z", np.uint8(0))]
    nodes = [
        helper.make_node("QuantizeLinear", ["images", "s", "z"], ["q"], name="quantize"),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"], name="dequantize"),
        helper.make_node("Gemm", ["d", "w"], ["g"], name="fc2"),
        helper.make_node("Relu", ["g"], ["logits"], name="relu"),
    ]
    sides = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 4]) for name in ("images", "logits")]
    graph = helper.make_graph(nodes, "kept", sides[:1], sides[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, tmp_path / "model.onnx")
    (row,) = audit(with_float_nodes(tmp_path / "model.onnx", ["fc2"]), [])
    assert (row.node, row.operator, row.runs_as) == ("fc2", "FusedGemm", "float")


def test_a_convolution_of_plain_float_input_is_float(tmp_path: Path) -> None:
    path = write(tmp_path / "model.onnx", {"conv1", "conv2"}, quantize_input=False)
    rows = {row.node: row.runs_as for row in audit(path, ["conv1"])}
    assert rows == {"conv1": "float", "selu1": "float", "conv2": "integer"}


def test_a_permission_for_a_node_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match="allow_float names conv9, which the model does not have"):
        audit(write(tmp_path / "model.onnx", {"conv1", "conv2"}), ["conv9", "conv1"])
    with pytest.raises(AuditError, match=r"allow_float names fc\*, which the model does not have"):
        audit(write(tmp_path / "model.onnx", {"conv1", "conv2"}), ["fc*", "*"])


def test_a_float_model_may_compute_in_float(tmp_path: Path) -> None:
    weight = constant("w", np.ones((4, 4), np.float32))
    nodes = [helper.make_node("Gemm", ["images", "w"], ["logits"], name="linear")]
    sides = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 4]) for name in ("images", "logits")]
    graph = helper.make_graph(nodes, "float", sides[:1], sides[1:], [weight])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), tmp_path / "model.onnx"
    )
    assert [(row.node, row.runs_as, row.expected) for row in audit(tmp_path / "model.onnx", [])] == [
        ("linear", "float", True)
    ]


def test_a_damaged_model_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"\x08\x0aGIF89a")
    with pytest.raises(ValueError, match=r"model\.onnx: truncated, damaged or not an ONNX model") as error:
        audit(tmp_path / "model.onnx", [])
    assert "\n" not in str(error.value)
