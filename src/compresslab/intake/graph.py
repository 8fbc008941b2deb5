"""A user's ONNX graph in the form of this house: input ``images``, output ``logits``, any batch, names and metadata.

Only operators of the ONNX standard, in one graph without branches or loops, and float32 all through: what a runtime
then executes is what stands there. That the graph still answers as the user's file does is tried, on images alone and
together, before it is written.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import NodeProto, TensorProto, helper, numpy_helper, shape_inference, version_converter

from compresslab.artifacts import written_whole
from compresslab.intake.terms import ImportRefusedError, Say, Terms

OLDEST_OPSET = 13
"""Quantization per channel begins there."""

OLDEST_FORMAT = 7
"""Version of the file format that came with that set of operators."""

TOLERANCE = 1e-3
"""Largest accepted difference of logits, of 1 plus their size: other batches are summed in another order."""

LARGEST_BATCH = 1024
"""A model for more images at once is not tried."""

_STANDARD = ("", "ai.onnx")
_QUANTIZED = re.compile(r"QuantizeLinear|DequantizeLinear|DynamicQuantizeLinear|QLinear\w+|ConvInteger|MatMulInteger")
_OTHER_FLOATS = {TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE}
_LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
_ACTIVATIONS = {
    *("Clip", "Elu", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Mish", "PRelu", "Relu", "Selu", "Sigmoid"),
    *("Softplus", "Softsign", "Swish", "Tanh", "ThresholdedRelu"),
}
_ERRORS_ONLY = 3


@dataclass
class Changes:
    """What was changed in a user's graph, for the card."""

    input: str
    output: str
    opset: tuple[int, int]
    static_batch: int | None
    named_nodes: int = 0
    layers: list[str] = field(default_factory=list)


def bring(path: Path, out: Path, terms: Terms, sample_images: np.ndarray, say: Say) -> Changes:
    """Write the model at ``path`` to ``out`` as engines of this house take it.

    ``sample_images``, uint8 (3, H, W, C), are what both are tried on. Raises ImportRefusedError, and writes nothing,
    for whatever cannot be taken, and when the two do not answer alike.
    """
    model = _read(path)
    _require_plain(path, model)
    model, opset = _with_recent_opset(path, model, say)
    changes = Changes(model.graph.input[0].name, model.graph.output[0].name, opset, _static_batch(path, model))
    changes.named_nodes = _name_nodes(model.graph)
    original = model.SerializeToString()
    _require_shapes(path, model, terms)
    _rename_ends(model.graph)
    if changes.static_batch is not None:
        _free_batch(model, changes.static_batch)
        say(f"the batch of {changes.static_batch} becomes a batch of any size")
    model = _cleaned(path, model, terms)
    inputs = terms.preprocessing.normalize(sample_images).transpose(0, 3, 1, 2).copy()
    _require_same_answers(path, original, model, inputs, changes)
    if terms.permuted:
        _reorder(model.graph, terms.outputs)
    layers = _layer_outputs(model.graph)
    changes.layers = list(layers)
    metadata = {"preprocessing": terms.preprocessing.to_json(), "classes": list(terms.classes), "layers": layers}
    helper.set_model_props(model, {key: json.dumps(value) for key, value in metadata.items()})
    _check(path, model)
    with written_whole(out) as temporary:
        temporary.write_bytes(model.SerializeToString(deterministic=True))
    return changes


def _read(path: Path) -> onnx.ModelProto:
    """Read and check a model, without the files that it may point to."""
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # Protobuf's errors differ between its implementations.
        raise ImportRefusedError(f"{path}: truncated, damaged or not an ONNX model") from error
    if not model.graph.node:
        raise ImportRefusedError(f"{path}: not an ONNX model, or one without a node")
    if outside := [tensor.name for tensor in _tensors(model) if tensor.data_location == TensorProto.EXTERNAL]:
        raise ImportRefusedError(
            f"{path}: keeps its weights in other files ({_few(outside)}); save it as one file, "
            "such as with onnx.save(onnx.load(path), path, save_as_external_data=False)"
        )
    return model


def _tensors(model: onnx.ModelProto) -> Iterator[TensorProto]:
    """All constants of a model, those of attributes included."""
    yield from model.graph.initializer
    for sparse in model.graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in model.graph.node:
        for attribute in node.attribute:
            yield from (*attribute.tensors, *([attribute.t] if attribute.HasField("t") else []))


def _require_plain(path: Path, model: onnx.ModelProto) -> None:
    """Refuse what the other stages could not follow; each reason names what it found."""
    nodes = model.graph.node
    foreign = {f"{node.domain}.{node.op_type}" for node in nodes if node.domain not in _STANDARD}
    foreign |= {f"function {function.name}" for function in model.functions}
    kinds = (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)
    nested = {node.op_type for node in nodes if any(attribute.type in kinds for attribute in node.attribute)}
    quantized = {node.op_type for node in nodes if _QUANTIZED.fullmatch(node.op_type)}
    other_floats = {tensor.name for tensor in _tensors(model) if tensor.data_type in _OTHER_FLOATS}
    stored = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in stored]
    outputs = [value.name for value in model.graph.output]
    last = [node.op_type for node in nodes if set(node.output).intersection(outputs)]
    reasons = [
        (foreign, "operators outside the ONNX standard", "export it with standard operators only"),
        (nested, "branches or loops", "export it for fixed shapes"),
        (quantized, "quantized already", "import the float model and quantize it here"),
        (other_floats, "weights that are not float32", "export it in float32"),
        (model.graph.sparse_initializer and {"sparse"}, "sparse weights", "export them dense"),
        ({"Softmax"}.intersection(last), "probabilities as its output", "export the logits, without the last softmax"),
    ]
    found = [f"{what} ({_few(sorted(names))}): {advice}" for names, what, advice in reasons if names]
    if len(inputs) != 1 or len(outputs) != 1:
        names = ", ".join(value.name for value in inputs)
        found.append(f"inputs {names} and outputs {', '.join(outputs)}: one of each is needed, images and logits")
    if found:
        raise ImportRefusedError(f"{path}: cannot be imported; it has {'; and '.join(found)}")
    # The standard goes by two names, of which the checker knows one.
    for named in (*nodes, *model.opset_import):
        named.domain = "" if named.domain in _STANDARD else named.domain
    _check(path, model)
    # Files of the oldest versions of the format list their weights among the inputs.
    model.ir_version = max(model.ir_version, OLDEST_FORMAT)
    del model.graph.input[:]
    model.graph.input.extend(inputs)


def _check(path: Path, model: onnx.ModelProto) -> None:
    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # The checker and the inference of shapes raise errors without a common base.
        raise ImportRefusedError(f"{path}: not a valid ONNX model ({_first_line(error)})") from error


def _with_recent_opset(path: Path, model: onnx.ModelProto, say: Say) -> tuple[onnx.ModelProto, tuple[int, int]]:
    version = next((opset.version for opset in model.opset_import if opset.domain in _STANDARD), 1)
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("", version))
    if version >= OLDEST_OPSET:
        return model, (version, version)
    try:
        converted = version_converter.convert_version(model, OLDEST_OPSET)
    except Exception as error:  # The converter has no error of its own.
        raise ImportRefusedError(
            f"{path}: opset {version} cannot be raised to {OLDEST_OPSET} ({_first_line(error)}); export it anew"
        ) from error
    say(f"opset {version} is raised to {OLDEST_OPSET}, where quantization per channel begins")
    return converted, (version, OLDEST_OPSET)


def _require_shapes(path: Path, model: onnx.ModelProto, terms: Terms) -> None:
    """One float32 input (N, C, H, W), one float32 output (N, classes); what is not said is settled by trying."""
    inferred = shape_inference.infer_shapes(model, strict_mode=True).graph
    height, width, channels = terms.image_shape
    for value, expected, meaning in (
        (inferred.input[0], ("N", channels, height, width), "input"),
        (inferred.output[0], ("N", len(terms.classes)), "output"),
    ):
        kind, found = value.type.tensor_type.elem_type, _dimensions(value)
        fits = len(found) == len(expected) and all(
            isinstance(given, str) or position == 0 or given == wanted
            for position, (given, wanted) in enumerate(zip(found, expected, strict=True))
        )
        if kind != TensorProto.FLOAT or not fits:
            raise ImportRefusedError(
                f"{path}: its {meaning} {value.name} is {_type(kind)} {_shape(found)}, "
                f"and this dataset needs float32 {_shape(expected)}"
            )


def _static_batch(path: Path, model: onnx.ModelProto) -> int | None:
    first = next(iter(_dimensions(model.graph.input[0])), "N")
    if isinstance(first, str):
        return None
    if not 1 <= first <= LARGEST_BATCH:
        raise ImportRefusedError(f"{path}: takes batches of {first}; export it with a dynamic batch")
    return first


def _dimensions(value: onnx.ValueInfoProto) -> tuple[int | str, ...]:
    """Sizes of a tensor; ``?`` or a name where a size is not said."""
    return tuple(
        size.dim_value if size.HasField("dim_value") else size.dim_param or "?"
        for size in value.type.tensor_type.shape.dim
    )


def _rename_ends(graph: onnx.GraphProto) -> None:
    """Call the input ``images`` and the output ``logits``, and whatever had these names something else."""
    names = {graph.input[0].name: "images", graph.output[0].name: "logits"}
    taken = {name for node in graph.node for name in (*node.input, *node.output)}
    for name in {"images", "logits"} - set(names):
        if name in taken:
            names[name] = _unused(f"{name}_inside", taken)
    for node in graph.node:
        for side in (node.input, node.output):
            side[:] = [names.get(name, name) for name in side]
    for value in (*graph.input, *graph.output, *graph.initializer):
        value.name = names.get(value.name, value.name)


def _unused(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    return name


def _free_batch(model: onnx.ModelProto, batch: int) -> None:
    """Let a fixed first dimension be any: in the input, in the output, and in the shapes that reshapes are given."""
    shapes = {value.name: _dimensions(value) for value in shape_inference.infer_shapes(model).graph.value_info}
    graph = model.graph
    shapes[graph.input[0].name] = _dimensions(graph.input[0])
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    constants |= {
        node.output[0]: numpy_helper.to_array(attribute.t)
        for node in graph.node
        for attribute in node.attribute
        if node.op_type == "Constant" and attribute.name == "value"
    }
    taken = {*constants, *(name for node in graph.node for name in (*node.input, *node.output))}
    for node in graph.node:
        target = constants.get(node.input[1]) if node.op_type == "Reshape" else None
        if target is None or target.size == 0 or target[0] != batch or shapes.get(node.input[0], ("?",))[0] != batch:
            continue
        # 0 copies the size of the tensor that is reshaped, unless allowzero gives it its literal meaning.
        name = _unused(f"{node.output[0]}_shape", taken)
        taken.add(name)
        graph.initializer.append(numpy_helper.from_array(np.array([0, *target[1:]], np.int64), name))
        node.input[1] = name
        _remove_attribute(node, "allowzero")


def _remove_attribute(node: NodeProto, name: str) -> None:
    kept = [attribute for attribute in node.attribute if attribute.name != name]
    del node.attribute[:]
    node.attribute.extend(kept)


def _name_nodes(graph: onnx.GraphProto) -> int:
    """Give every node a name of its own, of characters that tables and reports can show; return how many are new."""
    seen: set[str] = set()
    new = 0
    for number, node in enumerate(graph.node):
        name = re.sub(r"[^\w./:-]", "_", node.name, flags=re.ASCII) or f"{node.op_type}_{number}"
        name = name if name not in seen else f"{name}_{number}"
        name = _unused(name, seen)
        new += name != node.name
        node.name = name
        seen.add(name)
    return new


def _cleaned(path: Path, model: onnx.ModelProto, terms: Terms) -> onnx.ModelProto:
    """The same computation in a model that holds nothing else: no notes, no stale shapes, no unused weights."""
    graph = model.graph
    used = {name for node in graph.node for name in node.input}
    height, width, channels = terms.image_shape
    cleaned = helper.make_graph(
        [_without_notes(node) for node in graph.node],
        "imported",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", channels, height, width])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(terms.classes)])],
        [tensor for tensor in graph.initializer if tensor.name in used],
    )
    for tensor in cleaned.initializer:
        tensor.doc_string = ""
        del tensor.metadata_props[:]
        # A lone number may be a bound, such as that of a clip.
        if (
            tensor.data_type == TensorProto.FLOAT
            and tensor.dims
            and not np.isfinite(numpy_helper.to_array(tensor)).all()
        ):
            raise ImportRefusedError(f"{path}: {tensor.name} is not finite; such a model answers nothing")
    return helper.make_model(cleaned, ir_version=model.ir_version, opset_imports=model.opset_import)


def _without_notes(node: NodeProto) -> NodeProto:
    node.doc_string = ""
    del node.metadata_props[:]
    return node


def _require_same_answers(
    path: Path, original: bytes, model: onnx.ModelProto, inputs: np.ndarray, changes: Changes
) -> None:
    """Run images alone and together, and the user's model on as many as it takes; all must answer alike."""
    session = _session(path, model.SerializeToString())
    together = _run(path, session, inputs)
    alone = np.concatenate([_run(path, session, image[None]) for image in inputs])
    if not np.isfinite(together).all():
        raise ImportRefusedError(f"{path}: its answers to images of the dataset are not finite")
    if not _alike(alone, together):
        raise ImportRefusedError(
            f"{path}: it answers an image otherwise when others are beside it; export it with a dynamic batch"
        )
    count = changes.static_batch or len(inputs)
    batch = np.resize(inputs, (count, *inputs.shape[1:]))
    expected = _run(path, _session(path, original), batch)
    if not _alike(expected, together[np.arange(count) % len(inputs)]):
        raise ImportRefusedError(
            f"{path}: with a batch of any size it answers otherwise; export it with a dynamic batch"
        )


def _session(path: Path, model: bytes) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own errors share no base class that it exports.
        raise ImportRefusedError(f"{path}: ONNX Runtime cannot open it ({_first_line(error)})") from error


def _run(path: Path, session: Any, inputs: np.ndarray) -> np.ndarray:
    try:
        (logits,) = session.run(None, {session.get_inputs()[0].name: inputs})
    except Exception as error:
        raise ImportRefusedError(
            f"{path}: ONNX Runtime cannot run it on {len(inputs)} images ({_first_line(error)}); "
            "export it with a dynamic batch"
        ) from error
    return np.asarray(logits)


def _alike(some: np.ndarray, others: np.ndarray) -> bool:
    return some.shape == others.shape and bool(np.all(np.abs(some - others) <= TOLERANCE * (1 + np.abs(others))))


def _reorder(graph: onnx.GraphProto, outputs: tuple[int, ...]) -> None:
    """Gather the logits in the dataset's order, behind the node that made them."""
    names = {name for node in graph.node for name in (*node.output, node.name)} | {t.name for t in graph.initializer}
    inside, indices = _unused("logits_before_order", names), _unused("order_of_classes", names)
    for node in graph.node:
        for side in (node.input, node.output):
            side[:] = [inside if name == "logits" else name for name in side]
    graph.initializer.append(numpy_helper.from_array(np.array(outputs, np.int64), indices))
    graph.node.append(
        helper.make_node("Gather", [inside, indices], ["logits"], name=_unused("in_order", names), axis=1)
    )


def _layer_outputs(graph: onnx.GraphProto) -> dict[str, str]:
    """Map every convolution and matrix product, in order of execution, to the tensor that is its output.

    To a layer belong, as in ``models.torch.layers``, the bias, the normalization and the activation that follow it and
    that nothing else reads around.
    """
    constants = {tensor.name for tensor in graph.initializer}
    constants |= {node.output[0] for node in graph.node if node.op_type == "Constant"}
    readers: dict[str, list[NodeProto]] = {}
    for node in graph.node:
        for name in set(node.input):
            readers.setdefault(name, []).append(node)
    layers = {}
    for node in graph.node:
        if node.op_type in _LAYERS and not constants.issuperset(node.input):
            tensor = node.output[0]
            while tensor != "logits" and len(found := readers.get(tensor, [])) == 1 and _belongs(found[0], constants):
                tensor = found[0].output[0]
                if found[0].op_type in _ACTIVATIONS:
                    break
            layers[node.name] = tensor
    return layers


def _belongs(node: NodeProto, constants: set[str]) -> bool:
    """Whether a node is the bias, the normalization, the activation or the order of the layer before it."""
    if node.op_type == "Add" or (node.op_type == "Gather" and "logits" in node.output):
        return len(constants.intersection(node.input)) == 1
    return node.op_type == "BatchNormalization" or node.op_type in _ACTIVATIONS


def _few(names: list[str]) -> str:
    counted = Counter(names)
    shown = list(counted)[:10]
    return ", ".join(shown) + (f" and {len(counted) - len(shown)} more" if len(counted) > len(shown) else "")


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _type(kind: int) -> str:
    return "float32" if kind == TensorProto.FLOAT else str(TensorProto.DataType.Name(kind)).lower()


def _shape(sizes: tuple[int | str, ...]) -> str:
    return f"({', '.join(map(str, sizes))})"
