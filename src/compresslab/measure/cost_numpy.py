"""Cost of a NumPy network, float or quantized, from the shapes of its layers."""

from itertools import pairwise
from math import prod
from pathlib import Path

from compresslab.measure.cost import Costs, ImageShape, LayerCost, Storage, sparse_bytes, total
from compresslab.models.numpy.network import Layer, Network, Shape, load


def count(path: Path, image_shape: ImageShape) -> Costs:
    """Count a ``model.npz`` for images of ``image_shape`` (H, W, C).

    Raises ValueError for a file that is not a NumPy network, or one for images of another shape.
    """
    network = load(path)
    if network.input_shape != tuple(image_shape):
        raise ValueError(f"{path} is for images of shape {network.input_shape}, not {tuple(image_shape)}")
    layers = [_layer_cost(network, layer) for layer in network.layers]
    storage = Storage(_sparse_bytes(network), network.table_bytes, network.quantization_bytes)
    return total(layers, storage, _peak_bytes(network, layers), Path(path))


def _layer_cost(network: Network, layer: Layer) -> LayerCost:
    output_shape = network.shapes[layer.name]
    weights = [array for name, array in layer.arrays.items() if name in ("weight", "bias")]
    return LayerCost(
        layer=layer.name,
        operator=layer.kind if layer.activation == "none" else f"{layer.kind}+{layer.activation}",
        output_shape=output_shape,
        parameters=sum(array.size for array in weights),
        nonzero_parameters=layer.nonzero_parameters,
        macs=_macs(layer, output_shape),
        weight_bytes=sum(array.nbytes for array in weights),
        activation_bytes=prod(output_shape) * _item_bytes(network, layer),
    )


def _macs(layer: Layer, output_shape: Shape) -> int:
    if "weight" not in layer.arrays:
        return 0
    return prod(output_shape) * prod(layer.weight.shape[:-1])


def _sparse_bytes(network: Network) -> int:
    """Return the bytes of weights and biases in the smaller form each; a row holds what makes one output."""
    weighted = [layer for layer in network.layers if "weight" in layer.arrays]
    weights = sum(
        sparse_bytes(layer.weight.reshape(-1, layer.weight.shape[-1]).T, int(layer.arrays.get("weight_zero_point", 0)))
        for layer in weighted
    )
    return weights + sum(layer.bias.nbytes for layer in weighted)


def _item_bytes(network: Network, layer: Layer) -> int:
    """Return the bytes of one activation that leaves ``layer``: float32, or an int8 code.

    Dequantized arithmetic keeps codes between its layers, but its logits stay real.
    """
    real = network.arithmetic == "float" or (network.arithmetic == "dequantized" and layer is network.layers[-1])
    return 4 if real else 1


def _peak_bytes(network: Network, layers: list[LayerCost]) -> int:
    input_bytes = prod(network.input_shape) * (4 if network.arithmetic == "float" else 1)
    held = [input_bytes, *(layer.activation_bytes for layer in layers)]
    return max(before + after for before, after in pairwise(held))
