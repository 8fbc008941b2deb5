"""Cost of a TensorFlow artifact, counted by its Keras layers and checked against TensorFlow's own FLOP counter."""

from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from compresslab.measure.cost import Costs, ImageShape, LayerCost, Storage, sparse_bytes, total
from compresslab.models.tensorflow.artifact import arrays, load
from compresslab.models.tensorflow.framework import keras, tf

IN_PLACE = (
    *(keras.layers.Activation, keras.layers.ReLU, keras.layers.BatchNormalization, keras.layers.Dropout),
    *(keras.layers.Flatten, keras.layers.Reshape, keras.layers.Add, keras.layers.InputLayer),
)
"""Layers that need no memory beside their input."""

PRODUCTS = {
    *("Conv2D", "Conv2DBackpropInput", "DepthwiseConv2dNative", "Conv3D", "MatMul", "BatchMatMul", "BatchMatMulV2"),
    *("BatchMatMulV3", "Einsum"),
}
"""Operations whose floating-point operations are multiply-accumulates, two each."""


def count(path: Path, image_shape: ImageShape) -> Costs:
    """Count a ``model.safetensors`` for images of ``image_shape`` (H, W, C).

    Raises ArtifactError (a ValueError) for a file that is not a compresslab network, and ValueError when TensorFlow's
    counter disagrees with the sum of the layers.
    """
    network = load(path).network
    layers = count_layers(network, image_shape)
    # Rows are what makes one output, which Keras keeps last.
    sparse = sum(sparse_bytes(np.moveaxis(tensor, -1, 0)) for tensor in arrays(network).values())
    return total(layers, Storage(sparse), _peak_bytes(network), Path(path))


def count_layers(network: keras.Model, image_shape: ImageShape) -> list[LayerCost]:
    """Count every layer of a network, without its inputs, for images of ``image_shape`` (H, W, C).

    Raises ValueError when TensorFlow's counter disagrees with the sum of the layers.
    """
    layers = [_layer_cost(layer) for layer in network.layers if not isinstance(layer, keras.layers.InputLayer)]
    macs, counted = sum(layer.macs for layer in layers), counted_by_tensorflow(network, image_shape)
    if macs != counted:
        raise ValueError(
            f"the layers of this network add up to {macs:,} MACs, TensorFlow counts {counted:,}: "
            "a layer computes products that compresslab.measure.cost_tensorflow has no rule for"
        )
    return layers


def counted_by_tensorflow(network: keras.Model, image_shape: ImageShape) -> int:
    """Return the multiply-accumulates of one image as TensorFlow's profiler finds them in the traced graph."""
    function = tf.function(lambda images: network(images, training=False), autograph=False)
    graph = function.get_concrete_function(tf.TensorSpec((1, *image_shape), tf.float32)).graph
    options = tf.compat.v1.profiler.ProfileOptionBuilder(tf.compat.v1.profiler.ProfileOptionBuilder.float_operation())
    profile = tf.compat.v1.profiler.profile(graph, cmd="op", options=options.with_empty_output().build())
    return sum(node.float_ops for node in _chain(profile) if node.name in PRODUCTS) // 2


def _chain(node: Any) -> Iterator[Any]:
    """Yield the nodes below a profile by operation, each of which hangs on the one before."""
    for child in node.children:
        yield child
        yield from _chain(child)


def _layer_cost(layer: Any) -> LayerCost:
    return LayerCost(
        layer=layer.name,
        operator=type(layer).__name__,
        output_shape=tuple(layer.output_shape[1:]),
        parameters=sum(int(tf.size(weight)) for weight in layer.trainable_weights),
        nonzero_parameters=sum(int(np.count_nonzero(weight)) for weight in layer.trainable_weights),
        macs=_macs(layer),
        weight_bytes=sum(weight.numpy().nbytes for weight in layer.weights),
        activation_bytes=0 if isinstance(layer, IN_PLACE) else _bytes(layer.output_shape),
    )


def _macs(layer: Any) -> int:
    outputs = prod(layer.output_shape[1:])
    match layer:
        case keras.layers.DepthwiseConv2D():
            return outputs * prod(layer.kernel_size)
        case keras.layers.Conv2DTranspose():
            return prod(layer.input_shape[1:]) * prod(layer.kernel_size) * layer.filters
        case keras.layers.Conv2D():
            return outputs * prod(layer.kernel.shape[:-1])
        case keras.layers.Dense():
            return outputs * layer.kernel.shape[0]
        case _:
            return 0


def _peak_bytes(network: keras.Model) -> int:
    """Return the largest input and output of a layer together; a tensor that waits for later is not part of it."""
    working = [layer for layer in network.layers if not isinstance(layer, IN_PLACE)]
    return max(_bytes(layer.input_shape) + _bytes(layer.output_shape) for layer in working)


def _bytes(shape: Any) -> int:
    """Return the bytes of one image's float32 tensor, or of a list of them; the batch leads each shape."""
    if isinstance(shape, list):
        return sum(map(_bytes, shape))
    return prod(size for size in shape[1:] if size is not None) * np.dtype(np.float32).itemsize
