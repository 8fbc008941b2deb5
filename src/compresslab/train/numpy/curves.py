"""Activations that can be trained through: the function, and its derivative times the gradient that arrives."""

from abc import ABC, abstractmethod

import numpy as np

from compresslab.models.numpy.activations import GELU_CUBIC, GELU_SLOPE, SELU_ALPHA, SELU_SCALE

MONOTONE = ("relu", "selu")
"""Activations that a max-pooling may come before: the largest value and the gradient's way stay the same."""


class Activation(ABC):
    """An activation of the array ``source``; see ``layers.Trainable``."""

    def __init__(self, source: np.ndarray) -> None:
        self._source = source
        self.output = np.empty_like(source)
        self._slope = np.empty_like(source)
        self._gradient = np.empty_like(source)

    @abstractmethod
    def forward(self) -> None:
        """Compute ``output``."""

    @abstractmethod
    def _differentiate(self) -> None:
        """Compute ``_slope``, the derivative at every value of the source."""

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        """Multiply by the derivative."""
        self._differentiate()
        return np.multiply(gradient, self._slope, out=self._gradient)


class Relu(Activation):
    """``max(x, 0)``; its derivative at 0 is 0."""

    def forward(self) -> None:
        """Compute ``output``."""
        np.maximum(self._source, 0, out=self.output)

    def _differentiate(self) -> None:
        np.sign(self.output, out=self._slope)


class Swish(Activation):
    """``x s(x)`` with the logistic function s; its derivative is ``s + x s (1 - s)``."""

    def __init__(self, source: np.ndarray) -> None:
        super().__init__(source)
        self._logistic = np.empty_like(source)

    def forward(self) -> None:
        """Compute ``output``."""
        logistic = self._logistic
        np.multiply(self._source, 0.5, out=logistic)
        np.tanh(logistic, out=logistic)
        np.add(logistic, 1, out=logistic)
        np.multiply(logistic, 0.5, out=logistic)
        np.multiply(self._source, logistic, out=self.output)

    def _differentiate(self) -> None:
        np.subtract(1, self._logistic, out=self._slope)
        np.multiply(self._slope, self.output, out=self._slope)
        np.add(self._slope, self._logistic, out=self._slope)


class Selu(Activation):
    """``scale (max(x, 0) + alpha (exp(min(x, 0)) - 1))``; below 0 its derivative is ``output + scale alpha``."""

    def forward(self) -> None:
        """Compute ``output``."""
        np.minimum(self._source, 0, out=self._slope)
        np.expm1(self._slope, out=self._slope)
        np.multiply(self._slope, SELU_ALPHA, out=self._slope)
        np.maximum(self._source, 0, out=self.output)
        np.add(self.output, self._slope, out=self.output)
        np.multiply(self.output, SELU_SCALE, out=self.output)

    def _differentiate(self) -> None:
        np.add(self.output, SELU_SCALE * SELU_ALPHA, out=self._slope)
        np.copyto(self._slope, SELU_SCALE, where=self._source > 0)


class Gelu(Activation):
    """``x (1 + tanh u) / 2`` with ``u = a (x + b x**3)``."""

    def __init__(self, source: np.ndarray) -> None:
        super().__init__(source)
        self._square, self._tanh = np.empty_like(source), np.empty_like(source)

    def forward(self) -> None:
        """Compute ``output``."""
        np.multiply(self._source, self._source, out=self._square)
        np.multiply(self._square, GELU_SLOPE * GELU_CUBIC, out=self._tanh)
        np.add(self._tanh, GELU_SLOPE, out=self._tanh)
        np.multiply(self._tanh, self._source, out=self._tanh)
        np.tanh(self._tanh, out=self._tanh)
        np.add(self._tanh, 1, out=self.output)
        np.multiply(self.output, self._source, out=self.output)
        np.multiply(self.output, 0.5, out=self.output)

    def _differentiate(self) -> None:
        """``(1 + tanh u)/2 + x (1 - tanh(u)**2) (a + 3 a b x**2)/2``."""
        bend, slope = self._square, self._slope
        np.multiply(bend, 1.5 * GELU_SLOPE * GELU_CUBIC, out=bend)
        np.add(bend, 0.5 * GELU_SLOPE, out=bend)
        np.multiply(bend, self._source, out=bend)
        np.multiply(self._tanh, self._tanh, out=slope)
        np.subtract(1, slope, out=slope)
        np.multiply(slope, bend, out=slope)
        np.multiply(self._tanh, 0.5, out=bend)
        np.add(slope, bend, out=slope)
        np.add(slope, 0.5, out=slope)


KINDS: dict[str, type[Activation]] = {"relu": Relu, "selu": Selu, "gelu": Gelu, "swish": Swish}
