"""Training with fake quantization (Jacob et al. 2018), the same for all ways to simulate integers in PyTorch.

In the last part of the training, ranges and the statistics of batch normalizations stand still. Until then both are
averages that run behind the weights. What runs in the end has one fixed range per activation and one fixed scale per
normalization, and the weights get some epochs to settle on these (Krishnamoorthi 2018).
"""

import math
from pathlib import Path
from typing import Any

import torch
from torch import nn

from compresslab.config.quantization_aware import QuantizationAwareTraining
from compresslab.config.training import FineTuning
from compresslab.train import checkpoint
from compresslab.train.loop import TrainingData, TrainingResult, log_line
from compresslab.train.torch.learner import fine_tune

RANGE_IMAGES = 32
"""Training images on which ranges start; the training moves them."""


def train(
    simulated: nn.Module,
    data: TrainingData,
    parameters: QuantizationAwareTraining,
    seed: int,
    state: Path,
    fingerprint: str,
    log: checkpoint.Log = log_line,
) -> TrainingResult:
    """Train a fake-quantized network in place, from the weights that it has; see ``train.torch`` for the rest.

    The network has a method ``stand_still``. The scores of the history are those with fake quantization.
    """
    late = begins_after_steps(parameters.epochs, len(data.training.images), parameters.batch, parameters.still_share)
    recipe = FineTuning.among(parameters.parameters())
    return fine_tune(LatePhase(simulated, late), data, recipe, seed, state, fingerprint, log)


def images_of_ranges(data: TrainingData) -> torch.Tensor:
    """Return the images on which ranges start, normalized float32 (N, C, H, W)."""
    images = data.preprocessing.normalize(data.training.images[:RANGE_IMAGES])
    return torch.from_numpy(images.transpose(0, 3, 1, 2).copy(order="C"))


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
        self.simulated.stand_still()  # type: ignore[operator]


def begins_after_steps(epochs: int, images: int, batch: int, share: float) -> int:
    """Return the step after which the last ``share`` of the ``epochs`` begins, in whole epochs."""
    return (epochs - round(share * epochs)) * math.ceil(images / batch)
