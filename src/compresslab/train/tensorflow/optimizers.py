"""Adam, AdamW and SGD by PyTorch's formulas, so that one recipe means one training in every framework.

Keras has the same names for other rules: its Adam adds epsilon before the second moment is corrected (and 1e-7 of it),
its weight decay never goes through the gradient, and its momentum holds learning rates of the past. Formulas:
https://docs.pytorch.org/docs/stable/generated/torch.optim.Adam.html, AdamW.html and SGD.html.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from compresslab.config.training import Optimizer as Settings
from compresslab.models.tensorflow.framework import tf

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


class Optimizer(Protocol):
    """An update rule over fixed weights."""

    state: list[Any]
    """Variables that the next update depends on, beside the weights."""

    def apply(self, gradients: Sequence[Any], rate: Any) -> None:
        """Update the weights by their gradients (in their order) and the learning rate, a float64 scalar."""


class Adam:
    """Kingma & Ba, 2015; ``decoupled`` takes the weight decay off the weights, not through the gradient (AdamW)."""

    def __init__(self, weights: Sequence[Any], weight_decay: float, decoupled: bool) -> None:
        self._weights, self._decay, self._decoupled = weights, weight_decay, decoupled
        self._steps = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._first = _zeros_like(weights)
        self._second = _zeros_like(weights)
        self.state = [self._steps, *self._first, *self._second]

    def apply(self, gradients: Sequence[Any], rate: Any) -> None:
        """Update the weights once."""
        steps = tf.cast(self._steps.assign_add(1), tf.float64)
        step_size = _single(rate / (1 - tf.pow(tf.constant(BETA1, tf.float64), steps)))
        correction = _single(tf.sqrt(1 - tf.pow(tf.constant(BETA2, tf.float64), steps)))
        for weight, gradient, first, second in zip(self._weights, gradients, self._first, self._second, strict=True):
            if self._decay and self._decoupled:
                weight.assign(weight * _single(1 - rate * self._decay))
            elif self._decay:
                gradient = gradient + self._decay * weight
            first.assign_add((gradient - first) * (1 - BETA1))
            second.assign(BETA2 * second + (1 - BETA2) * tf.square(gradient))
            weight.assign_sub(step_size * first / (tf.sqrt(second) / correction + EPSILON))


class MomentumDescent:
    """Stochastic gradient descent with PyTorch's momentum, which sums gradients and not steps."""

    def __init__(self, weights: Sequence[Any], weight_decay: float, momentum: float) -> None:
        self._weights, self._decay, self._momentum = weights, weight_decay, momentum
        self.state = _zeros_like(weights)

    def apply(self, gradients: Sequence[Any], rate: Any) -> None:
        """Update the weights once."""
        for weight, gradient, velocity in zip(self._weights, gradients, self.state, strict=True):
            if self._decay:
                gradient = gradient + self._decay * weight
            velocity.assign(self._momentum * velocity + gradient)
            weight.assign_sub(_single(rate) * velocity)


def make_optimizer(weights: Sequence[Any], settings: Settings) -> Optimizer:
    """Return the optimizer that the recipe names, over ``weights``."""
    if settings.name == "sgd":
        return MomentumDescent(weights, settings.weight_decay, settings.momentum)
    return Adam(weights, settings.weight_decay, decoupled=settings.name == "adamw")


def _zeros_like(weights: Sequence[Any]) -> list[Any]:
    return [tf.Variable(tf.zeros_like(weight), trainable=False) for weight in weights]


def _single(value: Any) -> Any:
    return tf.cast(value, tf.float32)
