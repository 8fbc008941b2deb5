"""From PyTorch to ONNX: one input ``images`` float32 (N, C, H, W), normalized, one output ``logits``, any N.

The file holds nothing of the place where it was made: equal networks give equal bytes. Its metadata holds what the
engines need: ``preprocessing``, ``classes``, and ``layers``, the tensor that is each layer's output.
"""

import ast
import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

from compresslab.artifacts import written_whole
from compresslab.config.methods.export_onnx import Parameters
from compresslab.data.preprocessing import Preprocessing
from compresslab.models.torch.layers import layer_outputs

_ERRORS_ONLY = 3


class ExportError(ValueError):
    """An export whose answers are not those of PyTorch; says how far apart they are."""


def export(
    module: nn.Module,
    path: Path,
    parameters: Parameters,
    preprocessing: Preprocessing,
    classes: Sequence[str],
    sample_images: np.ndarray,
) -> float:
    """Write ``module`` to ``path`` and return the largest difference between its logits there and in PyTorch.

    ``sample_images``, uint8 (N, H, W, C) with N of at least 2, are what both are compared on. Raises ExportError,
    and writes nothing, when a logit differs by more than ``parameters.tolerance``.
    """
    module = module.eval()
    # A copy in plain order: strides from which PyTorch concludes another layout would be exported as gathers.
    inputs = torch.from_numpy(preprocessing.normalize(sample_images).transpose(0, 3, 1, 2).copy(order="C"))
    with _quiet():
        program = torch.onnx.export(
            module,
            (inputs,),
            dynamo=True,
            opset_version=parameters.opset,
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
    assert program is not None, "torch.onnx.export(dynamo=True) returns the program"
    modules = _name_after_modules(program.model)
    _pool_globally(program.model)
    _forget_the_place(program.model)
    model = program.model_proto
    # The exporter folds a batch normalization into the convolution before it: no tensor is left under its name.
    layers = {layer: modules[name] for layer, name in layer_outputs(module).items() if name in modules}
    # Not sorted: the layers stand in the order in which they are executed.
    metadata = {"preprocessing": preprocessing.to_json(), "classes": list(classes), "layers": layers}
    onnx.helper.set_model_props(model, {key: json.dumps(value) for key, value in metadata.items()})
    onnx.checker.check_model(model, full_check=True)

    difference = _worst_difference(module, model, inputs)
    if not difference <= parameters.tolerance:
        raise ExportError(
            f"the ONNX model's logits differ from PyTorch's by up to {difference:.3g}, "
            f"which is more than the tolerance {parameters.tolerance:g} of export-onnx"
        )
    with written_whole(path) as temporary:
        temporary.write_bytes(model.SerializeToString(deterministic=True))
    return difference


def _name_after_modules(model: Any) -> dict[str, str]:
    """Name nodes and tensors of an onnx_ir model after the PyTorch modules they come from.

    A module's last node and its output take the module's name; the ones before it, where an operator is made of
    several, take ``module/operator_number``. The graph's output keeps its own. Returns the output tensor by module.
    """
    nodes_of: dict[str, list[Any]] = {}
    for node in model.graph:
        nodes_of.setdefault(_module_of(node), []).append(node)
    outputs = set(model.graph.outputs)
    tensors = {}
    for module, nodes in nodes_of.items():
        names = [f"{module}/{node.op_type}_{number}" for number, node in enumerate(nodes[:-1], 1)] + [module]
        for name, node in zip(names, nodes, strict=True):
            node.name = name
            if node.outputs[0] not in outputs:
                node.outputs[0].name = name
        tensors[module] = nodes[-1].outputs[0].name
    return tensors


def _module_of(node: Any) -> str:
    """Return the path of the module that a node comes from, or the node's own name where that is the whole network.

    The exporter keeps it as ``['', 'block', 'block.conv', 'conv2d_1']``: the modules from the outside in, then the
    operation.
    """
    scopes: list[str] = ast.literal_eval(node.metadata_props.get("pkg.torch.onnx.name_scopes", "['', '']"))
    return scopes[-2] or str(node.name)


def _pool_globally(model: Any) -> None:
    """Write means over height and width as what they are; runtimes quantize and lay out GlobalAveragePool only."""
    for node in model.graph:
        if node.op_type != "ReduceMean" or len(node.inputs) != 2 or node.inputs[1].const_value is None:
            continue
        axes = node.inputs[1]
        rank = len(node.inputs[0].shape)
        keeps_rank = node.attributes.get_int("keepdims", 1) == 1
        if keeps_rank and rank == 4 and {axis % rank for axis in axes.const_value.numpy().ravel().tolist()} == {2, 3}:
            node.resize_inputs(1)
            node.attributes.clear()
            node.op_type = "GlobalAveragePool"
            if not axes.uses():
                model.graph.initializers.pop(axes.name, None)


def _forget_the_place(model: Any) -> None:
    """Remove stack traces and documentation, which hold the paths of this machine."""
    model.metadata_props.clear()
    model.doc_string = None
    model.graph.metadata_props.clear()
    model.graph.doc_string = None
    for node in model.graph:
        node.metadata_props.clear()
        node.doc_string = None
        for value in node.outputs:
            value.metadata_props.clear()
            value.doc_string = None
    for value in (*model.graph.inputs, *model.graph.initializers.values()):
        value.metadata_props.clear()
        value.doc_string = None


def _worst_difference(module: nn.Module, model: onnx.ModelProto, inputs: torch.Tensor) -> float:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        expected = module(inputs).numpy()
    (found,) = session.run(["logits"], {"images": inputs.numpy()})
    return float(np.abs(found - expected).max())


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's notes about absent packages and its own deprecations out of the log."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
