"""Cost of a LiteRT artifact, float or quantized, from the tensors and operations of its flatbuffer."""

from math import prod
from pathlib import Path

import numpy as np

from compresslab.measure.cost import Costs, ImageShape, LayerCost, Storage, sparse_bytes, total
from compresslab.models.litert.artifact import Graph, LiteRTModel, Operator, Tensor, load
from compresslab.models.litert.operators import COMPUTE, CONVERSIONS, LAYOUT, NamedOperator, named_operators

IN_PLACE = {"ADD", "ELU", "GELU", "HARD_SWISH", "LEAKY_RELU", "LOGISTIC", "MUL", "PRELU", "RELU", "RELU6", "TANH"}
"""Operations that need no memory beside their input."""

PRODUCTS_WITHOUT_RULE = {"CONV_3D", "LSTM", "SVDF", "RNN", "STABLEHLO_DOT_GENERAL", "UNIDIRECTIONAL_SEQUENCE_LSTM"}
"""Operations that multiply matrices and that nobody taught this module to count: an error rather than 0 MACs."""


def count(path: Path, image_shape: ImageShape) -> Costs:
    """Count a ``model.tflite`` for images of ``image_shape`` (H, W, C).

    What a convolution or a matrix product reads as a constant is a parameter, also through a dequantization. Raises
    ArtifactError (a ValueError) for a file that is not a compresslab model, and ValueError for other images or an
    operation that multiplies but has no rule here.
    """
    model = load(path)
    if model.description.image_shape != tuple(image_shape):
        raise ValueError(f"{path}: this model takes images of {model.description.image_shape}, not {image_shape}")
    graph, seen = model.graph, set[int]()
    layers, sparse = [], 0
    for named in named_operators(model):
        numbers = [number for number in _parameters(graph, named.operator) if number not in seen]
        seen.update(numbers)
        parameters = [graph.tensors[number] for number in numbers]
        sparse += sum(sparse_bytes(_values(parameter), _zero(parameter)) for parameter in parameters)
        layers.append(_layer_cost(graph, named, parameters))
    storage = Storage(sparse, quantization_bytes=_quantization_bytes(graph))
    return total(layers, storage, _peak_bytes(model), Path(path))


def _layer_cost(graph: Graph, named: NamedOperator, parameters: list[Tensor]) -> LayerCost:
    output = graph.tensors[named.operator.outputs[0]]
    return LayerCost(
        layer=named.name,
        operator=named.operator.name,
        output_shape=output.shape[1:],
        parameters=sum(_values(parameter).size for parameter in parameters),
        nonzero_parameters=sum(_nonzero(parameter) for parameter in parameters),
        macs=_macs(graph, named),
        weight_bytes=sum(_values(parameter).nbytes for parameter in parameters),
        activation_bytes=0 if named.operator.name in IN_PLACE else _bytes(output),
    )


def _parameters(graph: Graph, operator: Operator) -> list[int]:
    """Return the constant inputs of a convolution or a product, as the file stores them."""
    if operator.name not in COMPUTE | {"PRELU"}:
        return []
    sources = {other.outputs[0]: other.inputs[0] for other in graph.operators if other.name == "DEQUANTIZE"}
    stored = [sources.get(number, number) for number in operator.inputs if number >= 0]
    return [number for number in stored if graph.tensors[number].values is not None]


def _macs(graph: Graph, named: NamedOperator) -> int:
    operator = named.operator
    if operator.name in PRODUCTS_WITHOUT_RULE:
        raise ValueError(f"layer {named.name}: compresslab.measure.cost_litert has no rule to count {operator.name}")
    if operator.name not in COMPUTE:
        return 0
    features, weights = (graph.tensors[number].shape for number in operator.inputs[:2])
    outputs = prod(graph.tensors[operator.outputs[0]].shape)
    match operator.name:
        case "CONV_2D":
            # (out, kh, kw, in); in a grouped convolution ``in`` is that of one group.
            return outputs * prod(weights[1:])
        case "DEPTHWISE_CONV_2D":
            return outputs * prod(weights[1:3])
        case "TRANSPOSE_CONV":
            # Its first input is the shape of its output, its third one the features.
            return prod(graph.tensors[operator.inputs[2]].shape) * prod(weights[:3])
        case _:
            return outputs * (weights[-1] if operator.name == "FULLY_CONNECTED" else features[-1])


def _values(tensor: Tensor) -> np.ndarray:
    assert tensor.values is not None, "parameters are constants"
    return tensor.values


def _zero(tensor: Tensor) -> np.ndarray | int:
    """Return the codes that stand for the real number zero, in a shape that fits the values."""
    if len(tensor.zero_points) <= 1:
        return int(tensor.zero_points[0]) if len(tensor.zero_points) else 0
    return tensor.zero_points.reshape([-1 if axis == tensor.axis else 1 for axis in range(_values(tensor).ndim)])


def _nonzero(tensor: Tensor) -> int:
    return int(np.count_nonzero(_values(tensor) != _zero(tensor)))


def _quantization_bytes(graph: Graph) -> int:
    """Return the bytes of scales (float32) and zero points, which LiteRT stores as int64."""
    return sum(len(tensor.scales) * 4 + len(tensor.zero_points) * 8 for tensor in graph.tensors)


def _peak_bytes(model: LiteRTModel) -> int:
    """Return the largest input and output of an operation together; conversions, views and activations hold nothing."""
    graph = model.graph
    return max(
        sum(_bytes(graph.tensors[number]) for number in (*_computed(graph, operator), *operator.outputs))
        for operator in graph.operators
        if operator.name not in CONVERSIONS | LAYOUT | IN_PLACE
    )


def _computed(graph: Graph, operator: Operator) -> list[int]:
    return [number for number in operator.inputs if number >= 0 and graph.tensors[number].values is None]


def _bytes(tensor: Tensor) -> int:
    return prod(tensor.shape) * tensor.dtype.itemsize
