"""Mixed precision: layers of an ONNX model, quantized one at a time or left in float, by ONNX Runtime.

A layer is a convolution or matrix product together with what follows it up to the next one: its activation, the
addition of a shortcut, a pooling. So every operator is in one layer, and a layer that stays float is not rounded on its
way through them. An addition of two branches belongs to the longer one.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from compresslab.compress.onnx_file import COMPUTE, write_model
from compresslab.compress.ptq_onnx import Calibrated


@dataclass(frozen=True)
class Layer:
    """A convolution or matrix product, ``node``, and all ``nodes`` that are quantized with it, itself included.

    ``name`` is the one that comparisons of layers use, where the layer's output has one, or else the node's.
    """

    name: str
    operator: str
    node: str
    nodes: tuple[str, ...]


@dataclass
class _Found:
    compute: onnx.NodeProto
    depth: int
    members: list[onnx.NodeProto]


def layers_of(ready: Calibrated) -> list[Layer]:
    """Return the layers of a model, in the order of their execution."""
    layer_of_tensor = {tensor: layer for layer, tensor in json.loads(ready.metadata["layers"]).items()}
    return [_layer(found, layer_of_tensor) for found in _found(onnx.load(ready.model).graph)]


def check_count(layers: Sequence[Layer], float_layers: int) -> None:
    """Raise ValueError when so many float layers leave nothing to quantize."""
    if float_layers >= len(layers):
        raise ValueError(
            f"float_layers: {float_layers} leaves nothing to quantize, since the model has {len(layers)} layers; "
            f"choose {len(layers) - 1} at most"
        )


def write_alone(ready: Calibrated, layer: Layer, out: Path) -> None:
    """Write the model with one layer quantized, as it would be among the others, and everything else in float."""
    write_model(ready.quantized(layer.nodes), out, ready.metadata)


def write_mixed(ready: Calibrated, kept: Collection[Layer], out: Path) -> list[str]:
    """Write the model with all layers quantized but ``kept``, whose compute nodes its metadata name: ``float_nodes``.

    Returns these names, sorted.
    """
    in_float = {node for layer in kept for node in layer.nodes}
    names = [node.name for node in onnx.load(ready.model).graph.node]
    float_nodes = sorted(layer.node for layer in kept)
    quantized = ready.quantized([name for name in names if name not in in_float])
    write_model(quantized, out, ready.metadata | {"float_nodes": json.dumps(float_nodes)})
    return float_nodes


def _found(graph: onnx.GraphProto) -> list[_Found]:
    """Give every node to the deepest layer that it reads; depth is the longest path in layers from the images."""
    reached: dict[str, _Found] = {}
    layers: list[_Found] = []
    # ONNX keeps nodes in an order in which every input is made before it is used.
    for node in graph.node:
        sources = [reached[name] for name in node.input if name in reached]
        found = max(sources, key=lambda source: source.depth, default=None)
        if node.op_type in COMPUTE:
            found = _Found(node, found.depth + 1 if found else 1, [])
            layers.append(found)
        if found:
            found.members.append(node)
            reached |= dict.fromkeys(node.output, found)
    return layers


def _layer(found: _Found, layer_of_tensor: Mapping[str, str]) -> Layer:
    outputs = (output for node in found.members for output in node.output)
    name = next((layer_of_tensor[output] for output in outputs if output in layer_of_tensor), found.compute.name)
    return Layer(name, found.compute.op_type, found.compute.name, tuple(node.name for node in found.members))
