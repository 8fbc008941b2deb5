"""Layers of Keras's own networks add up to what is published of them and to what TensorFlow's profiler counts."""

from functools import cache

import numpy as np
import pytest

from compresslab.measure import cost_tensorflow
from compresslab.measure.cost import LayerCost
from compresslab.models.tensorflow.framework import keras, tf

PHOTOS = (224, 224, 3)

# Parameters of https://keras.io/api/applications/ and, of the original papers, millions of multiply-accumulates.
# ResNet-50 has its strides in the 1 x 1 convolutions here, as in He et al. 2016 (3.8 billion), not as in torchvision.
PUBLISHED = {
    "MobileNet": (4_253_864, 569),
    "MobileNetV2": (3_538_984, 301),
    "ResNet50": (25_636_712, 3_858),
}
HOLDING = {"Conv2D", "DepthwiseConv2D", "Dense", "MaxPooling2D", "GlobalAveragePooling2D", "ZeroPadding2D"}


@cache
def network(name: str) -> keras.Model:
    return getattr(keras.applications, name)(weights=None)


@cache
def layers(name: str) -> list[LayerCost]:
    return cost_tensorflow.count_layers(network(name), PHOTOS)


@pytest.mark.parametrize("name", PUBLISHED)
def test_counts_are_the_published_ones(name: str) -> None:
    parameters, mega_macs = PUBLISHED[name]
    # Keras counts the running statistics of normalizations as parameters that are not trained.
    statistics = sum(int(tf.size(weight)) for weight in network(name).non_trainable_weights)
    assert sum(layer.parameters for layer in layers(name)) + statistics == parameters
    assert sum(layer.weight_bytes for layer in layers(name)) == 4 * parameters
    assert round(sum(layer.macs for layer in layers(name)) / 1e6) == mega_macs


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_profiler_counts_the_same_products(name: str) -> None:
    assert cost_tensorflow.counted_by_tensorflow(network(name), PHOTOS) == sum(layer.macs for layer in layers(name))


@pytest.mark.parametrize("name", PUBLISHED)
def test_additions_and_activations_hold_nothing_of_their_own(name: str) -> None:
    assert {layer.operator for layer in layers(name) if layer.activation_bytes} <= HOLDING
    assert all(layer.activation_bytes for layer in layers(name) if layer.operator in HOLDING)


def test_zeros_are_seen_in_their_layer() -> None:
    small = keras.Sequential([keras.layers.Dense(3, name="first"), keras.layers.Dense(2, name="second")])
    small.build((None, 4))
    for layer, kernel in zip(small.layers, (np.eye(4, 3), np.ones((3, 2))), strict=True):
        layer.set_weights([kernel, np.zeros(kernel.shape[1])])
    counted = {layer.layer: layer for layer in cost_tensorflow.count_layers(small, (4,))}
    assert {name: (layer.parameters, layer.nonzero_parameters) for name, layer in counted.items()} == {
        "first": (15, 3),
        "second": (8, 6),
    }
