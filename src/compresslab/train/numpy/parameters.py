"""The weights of a network that is being trained: one vector, so that an optimizer is a few calls in all."""

from dataclasses import dataclass, replace

import numpy as np

from compresslab.models.numpy.network import WEIGHTED, Layer, Network, Shape


@dataclass(frozen=True)
class Weights:
    """A layer's part of the vectors, as views: weight (out, C * kh * kw), bias (out,) and the gradients of both."""

    weight: np.ndarray
    bias: np.ndarray
    weight_gradient: np.ndarray
    bias_gradient: np.ndarray


class Parameters:
    """All weights and biases of a float network, and the gradient of the loss with respect to them.

    ``values`` and ``gradient`` are vectors of ``dtype``, whose parts the layers read and write as :class:`Weights`.
    """

    def __init__(self, network: Network, dtype: type[np.floating] = np.float32) -> None:
        self._network = network
        self.values = np.zeros(network.parameters, dtype)
        self.gradient = np.zeros(network.parameters, dtype)
        self._weights: dict[str, Weights] = {}
        start = 0
        for layer in network.layers:
            if layer.kind in WEIGHTED:
                self._weights[layer.name] = self._parts(layer, start)
                start += layer.weight.size + layer.bias.size
        for layer, kernel in self._kernels():
            weights = self._weights[layer.name]
            weights.weight[...] = layer.weight.reshape(*kernel).transpose(3, 2, 0, 1).reshape(weights.weight.shape)
            weights.bias[...] = layer.bias

    def of(self, layer: Layer) -> Weights:
        """Return the part of a convolution or linear layer."""
        return self._weights[layer.name]

    def network(self) -> Network:
        """Return the network with the weights as they are now, float32."""
        kernels = {layer.name: kernel for layer, kernel in self._kernels()}
        return replace(self._network, layers=tuple(self._layer(layer, kernels) for layer in self._network.layers))

    def _parts(self, layer: Layer, start: int) -> Weights:
        outputs, size = len(layer.bias), layer.weight.size
        parts = []
        for vector in (self.values, self.gradient):
            parts.append(vector[start : start + size].reshape(outputs, -1))
            parts.append(vector[start + size : start + size + outputs])
        return Weights(*parts)

    def _layer(self, layer: Layer, kernels: dict[str, Shape]) -> Layer:
        if layer.kind not in WEIGHTED:
            return layer
        weights, (height, width, channels, outputs) = self._weights[layer.name], kernels[layer.name]
        weight = weights.weight.reshape(outputs, channels, height, width).transpose(2, 3, 1, 0)
        arrays = {"weight": weight.reshape(layer.weight.shape), "bias": weights.bias}
        return replace(layer, arrays={name: np.array(array, np.float32, order="C") for name, array in arrays.items()})

    def _kernels(self) -> list[tuple[Layer, Shape]]:
        """Return the weighted layers with the shape (H, W, C, out) of a kernel that does what the layer does.

        That of a linear layer covers the whole feature map; a vector of features is a map of one pixel.
        """
        shapes: list[Shape] = [self._network.input_shape, *self._network.shapes.values()]
        kernels = []
        for layer, shape in zip(self._network.layers, shapes, strict=False):
            if layer.kind == "conv2d":
                kernels.append((layer, layer.weight.shape))
            elif layer.kind == "linear":
                entering = shape if len(shape) == 3 else (1, 1, *shape)
                kernels.append((layer, (*entering, layer.weight.shape[1])))
        return kernels
