"""A network compiled for training on a fixed number of images: forward, and backward to the parameters."""

import numpy as np

from compresslab.models.numpy.network import Layer, Network
from compresslab.train.numpy.curves import KINDS, MONOTONE
from compresslab.train.numpy.layers import Convolution, GlobalAveragePool, Linear, MaxPool, Trainable
from compresslab.train.numpy.parameters import Parameters


class Passes:
    """The layers of ``network`` for batches of ``images``, with the weights of ``parameters``.

    Fill ``entering``, the normalized images (C, H, W, N), before each :meth:`forward`.
    """

    def __init__(self, network: Network, parameters: Parameters, images: int) -> None:
        height, width, channels = network.input_shape
        self.entering = np.empty((channels, height, width, images), parameters.values.dtype)
        self._parameters = parameters
        self._steps: list[Trainable] = []
        waiting: Layer | None = None
        for layer in network.layers:
            if waiting is not None and not (layer.kind == "max_pool" and waiting.activation in MONOTONE):
                self._activate(waiting)
                waiting = None
            self._steps.append(self._step(layer))
            if layer.activation != "none":
                waiting = layer
        if waiting is not None:
            self._activate(waiting)

    def forward(self) -> np.ndarray:
        """Return the last layer's output (classes, N), in an array that the next call overwrites."""
        for step in self._steps:
            step.forward()
        return self._steps[-1].output

    def backward(self, gradient: np.ndarray) -> None:
        """Write the gradient of all parameters, from that of the loss with respect to the last output."""
        arriving: np.ndarray | None = gradient
        for step in reversed(self._steps):
            assert arriving is not None
            arriving = step.backward(arriving)
            if arriving is None:
                break

    @property
    def _source(self) -> np.ndarray:
        return self._steps[-1].output if self._steps else self.entering

    def _step(self, layer: Layer) -> Trainable:
        # Images have no gradient: the first layer with weights is the last one that a gradient reaches.
        with_gradient = any(isinstance(step, Convolution | Linear) for step in self._steps)
        match layer.kind:
            case "conv2d":
                return Convolution(self._source, layer, self._parameters.of(layer), with_gradient)
            case "linear":
                return Linear(self._source, self._parameters.of(layer), with_gradient)
            case "max_pool":
                return MaxPool(self._source, layer)
        return GlobalAveragePool(self._source)

    def _activate(self, layer: Layer) -> None:
        self._steps.append(KINDS[layer.activation](self._source))
