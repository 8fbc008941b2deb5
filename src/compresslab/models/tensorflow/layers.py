"""Which tensor of a Keras network is the output of a layer, so that all engines compare the same tensors."""

from typing import Any

from compresslab.models.tensorflow.framework import keras

_PART_OF_THE_LAYER_BEFORE = (keras.layers.Activation, keras.layers.ReLU, keras.layers.BatchNormalization)
_NO_LAYER = (keras.layers.InputLayer, keras.layers.Flatten, keras.layers.Reshape, keras.layers.Dropout)


def layer_outputs(network: keras.Model) -> dict[str, Any]:
    """Map every layer that computes something to its symbolic output, after its normalization and activation."""
    outputs: dict[str, Any] = {}
    name = None
    for layer in network.layers:
        if isinstance(layer, _NO_LAYER):
            continue
        if name is None or not isinstance(layer, _PART_OF_THE_LAYER_BEFORE):
            name = layer.name
        outputs[name] = layer.output
    return outputs


def tracer(network: keras.Model) -> keras.Model:
    """Return a network of the same weights whose output is a dict of the outputs of all layers, in order."""
    return keras.Model(network.inputs, layer_outputs(network))
