"""The operations of a LiteRT graph by the layers they belong to, and in which arithmetic they run.

The type of an operation's tensors decides its kernel: unlike other runtimes, LiteRT does not fall back to float by
itself. What stays float, the converter has left float.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from compresslab.models.litert.artifact import Graph, LiteRTModel, Operator

COMPUTE = {"CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "BATCH_MATMUL"}
"""Operations that multiply and accumulate."""

CONVERSIONS = {"QUANTIZE", "DEQUANTIZE"}
LAYOUT = {"RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE", "SHAPE", "STRIDED_SLICE", "PACK"}


@dataclass(frozen=True)
class NamedOperator:
    """An operation of a layer: named like the layer when it is the layer's first, else ``layer/operation``.

    ``runs_as`` is ``integer``, ``float``, or ``unfused``: a convolution or matrix product in float whose input or
    weights were dequantized for it.
    """

    name: str
    operator: Operator
    runs_as: str


def named_operators(model: LiteRTModel) -> Iterator[NamedOperator]:
    """Yield every operation that is no conversion and no change of layout, in the order of execution."""
    layers = {tensor: name for name, tensor in model.description.layers.items()}
    names = iter(model.description.layers)
    layer, used = next(names, "after"), set[str]()
    for operator in model.graph.operators:
        if operator.name not in CONVERSIONS | LAYOUT:
            name = _unused(layer if layer not in used else f"{layer}/{operator.name.lower()}", used)
            yield NamedOperator(name, operator, runs_as(model.graph, operator))
        if any(tensor in layers for tensor in operator.outputs):
            layer = next(names, "after")


def runs_as(graph: Graph, operator: Operator) -> str:
    """Return ``integer``, ``float`` or ``unfused``; see :class:`NamedOperator`."""
    tensors = [graph.tensors[number] for number in (*operator.inputs, *operator.outputs) if number >= 0]
    if all(np.issubdtype(tensor.dtype, np.integer) for tensor in tensors):
        return "integer"
    dequantized = {number for other in graph.operators if other.name == "DEQUANTIZE" for number in other.outputs}
    hybrid = any(np.issubdtype(tensor.dtype, np.integer) for tensor in tensors)
    if operator.name in COMPUTE and (hybrid or dequantized.intersection(operator.inputs)):
        return "unfused"
    return "float"


def _unused(name: str, used: set[str]) -> str:
    candidate, number = name, 2
    while candidate in used:
        candidate, number = f"{name}_{number}", number + 1
    used.add(candidate)
    return candidate
