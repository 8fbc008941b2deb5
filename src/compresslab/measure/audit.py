"""What ONNX Runtime really runs in integers: the nodes of its optimized graph, not those of the file.

A quantized file in QDQ form holds only float operators between dequantization and quantization; the runtime fuses the
patterns it knows into integer operators, and silently runs the others in float.

A model may say itself which nodes were left in float on purpose: ``float_nodes`` in its metadata, a JSON list that
``ptq-onnx-mixed`` writes. They are as expected as those that ``allow_float`` names, and no other node is; nothing was
to be fused there, so they count as float, not as unfused.
"""

import json
import re
import tempfile
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

import onnx
import onnxruntime

from compresslab.measure.audit_row import AuditError, Row
from compresslab.models.onnx.artifact import read_model

__all__ = ["AuditError", "Row", "audit", "optimized"]

_COMPUTE = {"Conv", "ConvTranspose", "FusedConv", "Gemm", "FusedGemm", "MatMul", "FusedMatMul"}
_INTEGER_COMPUTE = {"QGemm", "ConvInteger", "MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul"}
_CONVERSIONS = {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"}
_LAYOUT = {"Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "ReorderInput", "ReorderOutput", "Identity"}
_FLOAT_OUTPUT = {"DequantizeLinear", "MatMulIntegerToFloat", "DynamicQuantizeMatMul"}
_ERRORS_ONLY = 3


def audit(model: Path, allow_float: list[str]) -> list[Row]:
    """Return a row for every operator that ONNX Runtime runs for ``model``; ``allow_float`` holds names or patterns.

    Conversions between integer and float, and changes of layout alone, are left out. Activations and poolings may run
    in either. Raises AuditError when a convolution or matrix product of a quantized model runs in float
    unexpectedly, and when a name or pattern of ``allow_float`` fits no node of the model; never for a float model.
    """
    source = read_model(model)
    names = {node.name for node in source.graph.node}
    allowed, kept = _matching(model, allow_float, names), _left_in_float(source)
    quantized = any(node.op_type in _CONVERSIONS or _is_integer(node) for node in source.graph.node)
    rows = _rows(optimized(model).graph, allowed, kept, names, quantized)
    if surprises := [f"{row.node} ({row.operator}, {row.runs_as})" for row in rows if not row.expected]:
        raise AuditError(
            f"{model}: ONNX Runtime computes in float: {', '.join(surprises)}; quantize with uint8 activations, "
            "or name these nodes in allow_float"
        )
    return rows


def optimized(model: Path) -> onnx.ModelProto:
    """Return the graph that ONNX Runtime makes of ``model`` for this CPU, with all optimizations."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = 1
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "optimized.onnx"
        options.optimized_model_filepath = str(path)
        onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        return onnx.load(path)


def _matching(model: Path, patterns: Iterable[str], names: set[str]) -> set[str]:
    """Return the nodes that the patterns of a shell fit; one that fits none is an AuditError."""
    found = {pattern: {name for name in names if fnmatchcase(name, pattern)} for pattern in patterns}
    if unknown := sorted(pattern for pattern, matches in found.items() if not matches):
        raise AuditError(f"{model}: allow_float names {', '.join(unknown)}, which the model does not have")
    return set().union(*found.values())


def _left_in_float(model: onnx.ModelProto) -> set[str]:
    """Return the nodes that the model itself says are in float on purpose."""
    return {name for entry in model.metadata_props if entry.key == "float_nodes" for name in json.loads(entry.value)}


def _rows(graph: onnx.GraphProto, allowed: set[str], kept: set[str], names: set[str], quantized: bool) -> list[Row]:
    integers: set[str] = set()
    dequantized: set[str] = set()
    rows = []
    # ONNX keeps nodes in an order in which every input is made before it is used.
    for node in graph.node:
        runs_as = _runs_as(node, integers, dequantized)
        if node.op_type == "DequantizeLinear":
            dequantized.update(node.output)
        elif node.op_type in _CONVERSIONS or (runs_as == "integer" and not _returns_float(node)):
            # DynamicQuantizeLinear makes a scale and a zero point as well; what multiplies scales is no integer.
            integers.update(node.output[:1])
        elif node.op_type in _LAYOUT and dequantized.intersection(node.input):
            dequantized.update(node.output)
        if node.op_type in _CONVERSIONS | _LAYOUT | {"Cast"}:
            continue
        name = _name_in_the_file(node.name, names)
        computes_in_float = node.op_type in _COMPUTE and runs_as != "integer"
        expected = not (quantized and computes_in_float) or name in allowed | kept
        rows.append(Row(name, node.op_type, "float" if computes_in_float and name in kept else runs_as, expected))
    return rows


def _runs_as(node: onnx.NodeProto, integers: set[str], dequantized: set[str]) -> str:
    if _is_integer(node) or (node.op_type not in _CONVERSIONS and integers.intersection(node.input)):
        return "integer"
    if node.op_type in _COMPUTE and node.input[0] in dequantized:
        return "unfused"
    return "float"


def _is_integer(node: onnx.NodeProto) -> bool:
    return node.op_type in _INTEGER_COMPUTE or node.op_type.startswith("QLinear")


def _returns_float(node: onnx.NodeProto) -> bool:
    if node.op_type == "Cast":
        return any(attribute.name == "to" and attribute.i == onnx.TensorProto.FLOAT for attribute in node.attribute)
    # QGemm returns float when it has no scale and zero point for its output.
    return node.op_type in _FLOAT_OUTPUT or (node.op_type == "QGemm" and len(node.input) < 9)


def _name_in_the_file(name: str, names: set[str]) -> str:
    """Return the name of the node that an optimized one was made of: the optimizer puts words before and behind it."""
    shortened = name.removeprefix("fused ")
    while shortened and shortened not in names:
        shortened = re.sub(r"[_.]?[^_.]*$", "", shortened)
    return shortened or name
