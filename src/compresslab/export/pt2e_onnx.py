"""From a network that was fake-quantized by torchao to an ONNX file in QDQ form, which ONNX Runtime runs in integers.

Input, output and metadata are those of a float export (``export.onnx``). Every quantized tensor stands in the file as
ONNX Runtime's own quantizer would write it: ``x_QuantizeLinear_Output`` and ``x_DequantizeLinear_Output`` of tensor
``x``, and ``module.weight`` in int8. Biases are float32 in the file; the runtime rounds them to int32 as it opens it.
"""

import json
from pathlib import Path
from typing import Any

import onnx
import torch

from compresslab.artifacts import written_whole
from compresslab.export.onnx_program import forget_the_place, name_after_modules, pool_globally, quiet_exporter
from compresslab.models.torch.artifact import TorchModel
from compresslab.models.torch.layers import layer_outputs
from compresslab.models.torch.pt2e_quantization import SimulatedGraph, converted
from compresslab.models.torch.rebuilt import float_form

_WEIGHTED = ("Conv", "Gemm", "MatMul")


def export(simulated: TorchModel, path: Path, opset: int) -> None:
    """Write the integer form of a network of ``qat-pt2e`` to ``path``, for any number of images of its shape."""
    assert isinstance(simulated.module, SimulatedGraph)
    height, width, channels = simulated.image_shape
    graph = converted(simulated.module)
    with quiet_exporter():
        program = torch.onnx.export(
            graph,
            (torch.zeros(2, channels, height, width),),
            dynamo=True,
            opset_version=opset,
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
    assert program is not None, "torch.onnx.export(dynamo=True) returns the program"
    modules = name_after_modules(program.model)
    pool_globally(program.model)
    _name_weights(program.model)
    rounded = _name_roundings(program.model)
    forget_the_place(program.model)
    model = program.model_proto
    layers = {
        layer: rounded.get(modules[name], modules[name])
        for layer, name in layer_outputs(float_form(simulated)).items()
        if name in modules
    }
    metadata = {
        "preprocessing": simulated.preprocessing.to_json(),
        "classes": list(simulated.classes),
        "layers": layers,
    }
    onnx.helper.set_model_props(model, {key: json.dumps(value) for key, value in metadata.items()})
    onnx.checker.check_model(model, full_check=True)
    with written_whole(path) as temporary:
        temporary.write_bytes(model.SerializeToString(deterministic=True))


def _name_weights(model: Any) -> None:
    """Name the int8 weights of an onnx_ir model after the modules that they belong to, and their scales as well."""
    for node in model.graph:
        dequantization = node.inputs[1].producer() if node.op_type in _WEIGHTED else None
        if dequantization is None or dequantization.op_type != "DequantizeLinear":
            continue
        weight = f"{node.name}.weight"
        dequantization.name = f"{weight}_DequantizeLinear"
        dequantization.outputs[0].name = f"{weight}_DequantizeLinear_Output"
        _rename(model, dequantization.inputs[0], weight)


def _name_roundings(model: Any) -> dict[str, str]:
    """Name every pair of quantization and dequantization after its tensor; return the rounded tensor by the tensor."""
    rounded: dict[str, str] = {}
    outputs = set(model.graph.outputs)
    for node in model.graph:
        if node.op_type != "QuantizeLinear":
            continue
        tensor = node.inputs[0].name
        node.name, node.outputs[0].name = f"{tensor}_QuantizeLinear", f"{tensor}_QuantizeLinear_Output"
        for number, use in enumerate(node.outputs[0].uses()):
            # One for every reader, so that each of them is fused with its own.
            name = f"{tensor}_DequantizeLinear" + (f"_{number}" if number else "")
            use.node.name = name
            if use.node.outputs[0] not in outputs:
                use.node.outputs[0].name = name.replace("_DequantizeLinear", "_DequantizeLinear_Output", 1)
        rounded[tensor] = next(use.node.outputs[0].name for use in node.outputs[0].uses())
    return rounded


def _rename(model: Any, value: Any, name: str) -> None:
    """Rename an initializer, which the graph also knows by its name."""
    model.graph.initializers.pop(value.name)
    value.name = name
    model.graph.initializers[name] = value
