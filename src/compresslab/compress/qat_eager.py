"""Quantization-aware training in PyTorch's eager mode, and the conversion to integers.

The method is that of Jacob et al., 2018; ``models.torch.eager_quantization`` has the networks.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from compresslab.compress.late_phase import LatePhase, begins_after_steps
from compresslab.config.methods.qat_eager import Parameters
from compresslab.config.training import FineTuning
from compresslab.data.preprocessing import Preprocessing
from compresslab.models.torch import eager_quantization as eager
from compresslab.models.torch.artifact import TorchModel
from compresslab.models.torch.eager_artifact import made_of
from compresslab.train import checkpoint
from compresslab.train.loop import TrainingData, TrainingResult, log_line
from compresslab.train.torch.classifier import fine_tune

RANGE_IMAGES = 32
"""Training images on which ranges start; the training moves them."""


@dataclass(frozen=True)
class Difference:
    """How far the answers of the integer network lie from those of the fake-quantized one, over some images."""

    largest_percent: float
    """Largest difference of a logit, in percent of the range of all logits."""
    mean_percent: float
    same_answers_percent: float
    """Images, or pixels, that both give the same class."""


def train(
    model: TorchModel,
    data: TrainingData,
    parameters: Parameters,
    seed: int,
    state: Path,
    fingerprint: str,
    log: checkpoint.Log = log_line,
) -> tuple[TorchModel, TrainingResult]:
    """Train the network of ``model`` on with fake quantization.

    The scores of the history are those with fake quantization. Raises ArtifactError for a network with an operation
    that PyTorch has no integer kernel for, before the training.
    """
    simulated = eager.simulate(model.module, model.image_shape, parameters.granularity)
    images = data.training.images
    eager.observe(simulated, _normalized(data.preprocessing, images[:RANGE_IMAGES]))
    # A kernel that is missing is told of now, not after hours of training.
    eager.integer(simulated, model.image_shape)
    late = begins_after_steps(parameters.epochs, len(images), parameters.batch, parameters.still_share)
    recipe = FineTuning.among(parameters.parameters())
    result = fine_tune(LatePhase(simulated, late), data, recipe, seed, state, fingerprint, log)
    return made_of(model, simulated), result


def convert(simulated: TorchModel) -> TorchModel:
    """Return a network of :func:`train` in integers."""
    assert isinstance(simulated.module, eager.SimulatedNetwork)
    return made_of(simulated, eager.integer(simulated.module, simulated.image_shape))


@torch.no_grad()
def difference(simulated: TorchModel, converted: TorchModel, images: np.ndarray) -> Difference:
    """Hold both networks against each other on uint8 images (N, H, W, C)."""
    native = _normalized(simulated.preprocessing, images)
    expected, found = simulated.module(native), converted.module(native)
    errors = 100 * (found - expected).abs() / (expected.max() - expected.min())
    same = (found.argmax(1) == expected.argmax(1)).double().mean()
    return Difference(float(errors.max()), float(errors.mean()), 100 * float(same))


def _normalized(preprocessing: Preprocessing, images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(preprocessing.normalize(images).transpose(0, 3, 1, 2).copy(order="C"))
