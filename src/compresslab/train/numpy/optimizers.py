"""Optimizers over one vector of parameters; formulas, order of operations and constants are PyTorch's."""

from typing import Protocol

import numpy as np

from compresslab.config.training import Optimizer

FIRST_DECAY, SECOND_DECAY, EPSILON = 0.9, 0.999, 1e-8
"""Of Adam and AdamW; PyTorch's defaults."""


class Updates(Protocol):
    """What an optimizer remembers and how it moves the parameters."""

    state: dict[str, np.ndarray]

    def update(self, values: np.ndarray, gradient: np.ndarray, rate: float) -> None:
        """Move ``values`` in place; ``gradient`` may be overwritten."""


class Sgd:
    """Stochastic gradient descent with momentum: ``b = m b + g + decay p``, ``p -= rate b``."""

    def __init__(self, settings: Optimizer, like: np.ndarray) -> None:
        self._momentum, self._decay = settings.momentum, settings.weight_decay
        self.state = {"momentum": np.zeros_like(like)}
        self._scratch = np.empty_like(like)

    def update(self, values: np.ndarray, gradient: np.ndarray, rate: float) -> None:
        """Move ``values`` in place."""
        if self._decay:
            gradient += np.multiply(values, self._decay, out=self._scratch)
        momentum = self.state["momentum"]
        momentum *= self._momentum
        momentum += gradient
        values -= np.multiply(momentum, rate, out=self._scratch)


class Adam:
    """Adam (Kingma & Ba 2015), the decay added to the gradient; ``decoupled``: AdamW (Loshchilov & Hutter 2019)."""

    def __init__(self, settings: Optimizer, like: np.ndarray) -> None:
        self._decoupled, self._decay = settings.name == "adamw", settings.weight_decay
        self.state = {
            "first_moment": np.zeros_like(like),
            "second_moment": np.zeros_like(like),
            "updates": np.zeros((), np.int64),
        }
        self._scratch, self._denominator = np.empty_like(like), np.empty_like(like)

    def update(self, values: np.ndarray, gradient: np.ndarray, rate: float) -> None:
        """Move ``values`` in place."""
        scratch, denominator = self._scratch, self._denominator
        first, second, updates = self.state["first_moment"], self.state["second_moment"], self.state["updates"]
        updates += 1
        if self._decoupled:
            values *= 1 - rate * self._decay
        elif self._decay:
            gradient += np.multiply(values, self._decay, out=scratch)
        np.subtract(gradient, first, out=scratch)
        scratch *= 1 - FIRST_DECAY
        first += scratch
        second *= SECOND_DECAY
        np.multiply(gradient, gradient, out=scratch)
        scratch *= 1 - SECOND_DECAY
        second += scratch
        np.sqrt(second, out=denominator)
        denominator /= (1 - SECOND_DECAY ** int(updates)) ** 0.5
        denominator += EPSILON
        np.divide(first, denominator, out=scratch)
        scratch *= rate / (1 - FIRST_DECAY ** int(updates))
        values -= scratch


def make_optimizer(settings: Optimizer, like: np.ndarray) -> Updates:
    """Return the optimizer that the recipe names, for parameters ``like`` these."""
    return Sgd(settings, like) if settings.name == "sgd" else Adam(settings, like)
