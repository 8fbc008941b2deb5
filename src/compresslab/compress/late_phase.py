"""The last part of a quantization-aware training: ranges and statistics of batch normalizations stand still.

Until then both are averages that run behind the weights. What runs in the end has one fixed range per activation and
one fixed scale per normalization, and the weights get some epochs to settle on these (Krishnamoorthi 2018).
"""

import math
from typing import Any, Protocol

import torch
from torch import nn


class Simulated(Protocol):
    """A fake-quantized network."""

    def stand_still(self) -> None:
        """Keep ranges and statistics from here on."""

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Map normalized images (N, C, H, W) to logits."""


class LatePhase(nn.Module):
    """A fake-quantized network that stands still from a certain step of its training on.

    The steps made are part of its state, so that a training that was interrupted goes on as one that never was.
    """

    def __init__(self, simulated: nn.Module, begins_after_steps: int) -> None:
        super().__init__()
        self.simulated = simulated
        self.begins_after_steps = begins_after_steps
        self.steps = 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map normalized images (N, C, H, W) to logits, and count the step where it is one."""
        if self.training:
            if self.steps == self.begins_after_steps:
                self._stand_still()
            self.steps += 1
        logits: torch.Tensor = self.simulated(images)
        return logits

    def get_extra_state(self) -> int:
        """Return the steps made, for the state dict."""
        return self.steps

    def set_extra_state(self, state: Any) -> None:
        """Go back to where a state was taken."""
        self.steps = int(state)
        if self.steps > self.begins_after_steps:
            self._stand_still()

    def _stand_still(self) -> None:
        simulated: Simulated = self.simulated  # type: ignore[assignment]
        simulated.stand_still()


def begins_after_steps(epochs: int, images: int, batch: int, share: float) -> int:
    """Return the step after which the last ``share`` of the ``epochs`` begins, in whole epochs."""
    return (epochs - round(share * epochs)) * math.ceil(images / batch)
