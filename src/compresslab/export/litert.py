"""Conversion of a Keras network to LiteRT: in float32, or with int8 weights and activations throughout.

An integer model takes int8 and returns float32: quantizing pixels belongs to preparing them, which an engine does
outside the timed part, while its few logits are dequantized faster in the graph than by NumPy.
"""

import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from compresslab.config.methods.export_litert import Parameters
from compresslab.data.preprocessing import Preprocessing
from compresslab.export.agreement import largest_accepted
from compresslab.models.litert import artifact
from compresslab.models.litert.operators import COMPUTE, CONVERSIONS, named_operators
from compresslab.models.litert.runtime import Runner, logits, native_input
from compresslab.models.quiet import quiet
from compresslab.models.tensorflow.artifact import TensorFlowModel
from compresslab.models.tensorflow.framework import keras, tf
from compresslab.models.tensorflow.layers import layer_outputs


@dataclass(frozen=True)
class Agreement:
    """A LiteRT model beside the network that it comes from, on the same images."""

    largest_logit_difference: float
    same_answers_percent: float
    largest_logit: float


def export(
    model: TensorFlowModel,
    out: Path,
    parameters: Parameters,
    sample: np.ndarray,
    calibration: np.ndarray | None = None,
) -> Agreement:
    """Write a trained network to ``out`` and compare both on ``sample``, uint8 images (N, H, W, C).

    ``calibration`` are the images for ``quantization: int8``. Raises ValueError when the logits of a float model differ
    by more than the tolerance.
    """
    converted = convert(
        *(model.network, layer_outputs(model.network), model.preprocessing, model.classes),
        integer=parameters.integer,
        calibration=calibration,
    )
    agreement = compare(converted, model.network, sample)
    accepted = largest_accepted(agreement.largest_logit, parameters.tolerance)
    if not parameters.integer and not agreement.largest_logit_difference <= accepted:
        raise ValueError(
            f"the LiteRT logits differ from TensorFlow's by up to {agreement.largest_logit_difference:.2g}, more than "
            f"the {accepted:.2g} that the tolerance of {parameters.tolerance:g} accepts for logits of this size"
        )
    artifact.save(out, converted)
    return agreement


def convert(
    network: keras.Model,
    layers: Iterable[str],
    preprocessing: Preprocessing,
    classes: tuple[str, ...],
    *,
    integer: bool = False,
    calibration: np.ndarray | None = None,
) -> artifact.LiteRTModel:
    """Return ``network``, whose ``layers`` are named in order, as a LiteRT model.

    With ``integer``, ranges come from the network's own fake quantization, or are those seen on ``calibration``, uint8
    images (N, H, W, C). Raises ValueError when the converter leaves a layer of an integer model in float, or merges
    layers so that one cannot be found.
    """
    converter = tf.lite.TFLiteConverter.from_keras_model(network)
    if integer:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.inference_input_type = tf.int8
    if calibration is not None:
        normalized = preprocessing.normalize(calibration)
        converter.representative_dataset = lambda: ([image[None]] for image in normalized)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    # It warns that ranges of the input are missing, which fake quantization brings along.
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        flatbuffer = converter.convert()
    graph = artifact.graph(flatbuffer)
    described = artifact.Description(
        tuple(network.input_shape[1:]), preprocessing, classes, _layer_outputs(graph, list(layers))
    )
    model = artifact.LiteRTModel(flatbuffer, graph, described)
    if integer and (floats := _computed_in_float(model)):
        raise ValueError(
            f"LiteRT would compute in float: {', '.join(floats)}; train with activation relu, or quantize after "
            "training (export-litert with quantization int8)"
        )
    return model


def compare(model: artifact.LiteRTModel, network: keras.Model, images: np.ndarray) -> Agreement:
    """Hold the model against ``network`` on uint8 images (N, H, W, C)."""
    runner = Runner(model, len(images), threads=1)
    found = logits(model, runner.run(native_input(model, images))[0])
    expected = network(model.description.preprocessing.normalize(images), training=False).numpy()
    return Agreement(
        float(np.abs(found - expected).max()),
        100 * float(np.mean(found.argmax(1) == expected.argmax(1))),
        float(np.abs(expected).max()),
    )


def _computed_in_float(model: artifact.LiteRTModel) -> list[str]:
    return [
        named.name for named in named_operators(model) if named.operator.name in COMPUTE and named.runs_as != "integer"
    ]


def _layer_outputs(graph: artifact.Graph, layers: list[str]) -> dict[str, int]:
    """Map every layer to the tensor that it puts out; the converter keeps layers' names in those of its tensors."""
    outputs: dict[str, int] = {}
    for operator in graph.operators:
        if operator.name in CONVERSIONS:
            continue
        (tensor,) = operator.outputs
        for layer in layers:
            if re.search(rf"/(quant_)?{re.escape(layer)}/", graph.tensors[tensor].name):
                outputs[layer] = tensor
    last = graph.operators[-1]
    # The converter gives the output of the whole network a name of its own.
    outputs[layers[-1]] = last.inputs[0] if last.name in CONVERSIONS else last.outputs[0]
    if missing := [layer for layer in layers if layer not in outputs]:
        raise ValueError(f"the LiteRT converter has left no output of layer {', '.join(missing)}")
    return {layer: outputs[layer] for layer in layers}
