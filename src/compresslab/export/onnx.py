"""From PyTorch to ONNX: one input ``images`` float32 (N, C, H, W), normalized, one output ``logits``, any N.

The file holds nothing of the place where it was made: equal networks give equal bytes. Its metadata holds what the
engines need: ``preprocessing``, ``classes``, and ``layers``, the tensor that is each layer's output.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

from compresslab.artifacts import written_whole
from compresslab.config.methods.export_onnx import Parameters
from compresslab.data.preprocessing import Preprocessing
from compresslab.export.agreement import largest_accepted
from compresslab.export.onnx_program import forget_the_place, name_after_modules, pool_globally, quiet_exporter
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
    and writes nothing, when a logit differs by more than ``parameters.tolerance`` accepts.
    """
    module = module.eval()
    # A copy in plain order: strides from which PyTorch concludes another layout would be exported as gathers.
    inputs = torch.from_numpy(preprocessing.normalize(sample_images).transpose(0, 3, 1, 2).copy(order="C"))
    with quiet_exporter():
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
    modules = name_after_modules(program.model)
    pool_globally(program.model)
    forget_the_place(program.model)
    model = program.model_proto
    # The exporter folds a batch normalization into the convolution before it: no tensor is left under its name.
    layers = {layer: modules[name] for layer, name in layer_outputs(module).items() if name in modules}
    # Not sorted: the layers stand in the order in which they are executed.
    metadata = {"preprocessing": preprocessing.to_json(), "classes": list(classes), "layers": layers}
    onnx.helper.set_model_props(model, {key: json.dumps(value) for key, value in metadata.items()})
    onnx.checker.check_model(model, full_check=True)

    expected, found = _answers(module, model, inputs)
    difference = float(np.abs(found - expected).max())
    accepted = largest_accepted(float(np.abs(expected).max()), parameters.tolerance)
    if not difference <= accepted:
        raise ExportError(
            f"the ONNX model's logits differ from PyTorch's by up to {difference:.3g}, which is more than the "
            f"{accepted:.3g} that the tolerance {parameters.tolerance:g} of export-onnx accepts for logits of this size"
        )
    with written_whole(path) as temporary:
        temporary.write_bytes(model.SerializeToString(deterministic=True))
    return difference


def _answers(module: nn.Module, model: onnx.ModelProto, inputs: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return the logits in PyTorch and in ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        expected = module(inputs).numpy()
    (found,) = session.run(["logits"], {"images": inputs.numpy()})
    return expected, found
