"""What a training in PyTorch asks of a network: one class of each image, or the class of every pixel."""

from typing import Protocol

import numpy as np
import torch
from torch import nn

from compresslab.config.training import Loss, Optimization
from compresslab.data.confusion import mean_intersection_over_union
from compresslab.data.masks import VOID
from compresslab.data.prepared import Split
from compresslab.train.loop import Score, TrainingError
from compresslab.train.torch.losses import weighted


class Tally(Protocol):
    """A score over many batches; it stays on the device until it is asked for, so that no batch waits."""

    def add(self, loss: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor) -> None:
        """Take a batch, with its mean loss."""

    def score(self) -> Score:
        """Return the score over all batches, in which every image counts alike, or every pixel that is not void."""


class Objective(Protocol):
    """What is asked of a network, and how its answers are scored."""

    def loss(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the mean loss of a batch. Raises TrainingError for logits that are no answers to these labels."""

    def tally(self) -> Tally:
        """Return a score that has seen nothing yet."""


def objective_of(split: Split, recipe: Optimization) -> Objective:
    """Return what the labels of a split ask: classes (N,), or masks (N, H, W).

    Raises TrainingError for settings of the recipe that mean nothing there.
    """
    task = "classification" if split.labels.ndim == 1 else "segmentation"
    for _, message in recipe.unknown_in(task):
        raise TrainingError(message)
    return Classification(recipe.label_smoothing) if task == "classification" else Segmentation(recipe)


class Classification:
    """One class of each image: cross-entropy and accuracy of logits (N, classes) and int64 labels (N,)."""

    def __init__(self, label_smoothing: float) -> None:
        self._loss = nn.CrossEntropyLoss(label_smoothing=label_smoothing)

    def loss(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the mean cross-entropy."""
        if logits.ndim != 2:
            raise TrainingError(
                f"the network answers {_shape(logits)} numbers for an image, but the dataset asks for one class of it; "
                "take an architecture for classification"
            )
        return self._loss(logits, labels)

    def tally(self) -> "_Correct":
        """Return a score that has seen nothing yet."""
        return _Correct()


class Segmentation:
    """The class of every pixel: the recipe's losses and the mean intersection over union.

    Logits are (N, classes, H, W) and labels int64 masks (N, H, W), with ``VOID`` where nothing is asked.
    """

    def __init__(self, recipe: Optimization) -> None:
        self._weights: Loss = recipe.loss
        self._smoothing = recipe.label_smoothing

    def loss(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the weighted sum of the losses, in float32 whatever the logits are."""
        if logits.ndim != 4 or logits.shape[2:] != labels.shape[1:]:
            raise TrainingError(
                f"the network answers {_shape(logits)} numbers for an image, but the dataset asks for the class of "
                f"every one of {_shape(labels)} pixels; take an architecture for segmentation"
            )
        with torch.autocast(logits.device.type, enabled=False):
            return weighted(logits, labels, self._weights, self._smoothing)

    def tally(self) -> "_Confused":
        """Return a score that has seen nothing yet."""
        return _Confused()


class _Losses:
    """The mean loss over images, of mean losses over batches."""

    def __init__(self) -> None:
        self._losses: list[torch.Tensor] = []
        self._counts: list[int] = []

    def add(self, loss: torch.Tensor, images: int) -> None:
        self._losses.append(loss.detach())
        self._counts.append(images)

    @property
    def images(self) -> int:
        return sum(self._counts)

    def mean(self) -> float:
        losses = torch.stack(self._losses).double().cpu().numpy()
        return float(losses @ np.array(self._counts)) / self.images


class _Correct:
    """Loss and accuracy over many batches of images."""

    def __init__(self) -> None:
        self._losses = _Losses()
        self._correct: list[torch.Tensor] = []

    def add(self, loss: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor) -> None:
        self._losses.add(loss, len(labels))
        self._correct.append((logits.argmax(1) == labels).sum())

    def score(self) -> Score:
        return Score(self._losses.mean(), 100 * int(torch.stack(self._correct).sum()) / self._losses.images)


class _Confused:
    """Loss, and one confusion matrix of all pixels of many batches of images."""

    def __init__(self) -> None:
        self._losses = _Losses()
        self._confusion: list[torch.Tensor] = []

    def add(self, loss: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor) -> None:
        self._losses.add(loss, len(labels))
        classes = logits.shape[1]
        # Void pixels are counted behind the matrix, so that none has to be chosen.
        cells = torch.where(labels == VOID, classes**2, labels * classes + logits.detach().argmax(1))
        self._confusion.append(torch.bincount(cells.flatten(), minlength=classes**2 + 1)[:-1].view(classes, classes))

    def score(self) -> Score:
        confusion = torch.stack(self._confusion).sum(0).cpu().numpy()
        if not confusion.any():
            raise TrainingError("all pixels are void, so there is nothing to score; give the split masks with classes")
        accuracy = float(confusion.trace() / confusion.sum())
        return Score(self._losses.mean(), 100 * accuracy, 100 * float(mean_intersection_over_union(confusion)))


def _shape(numbers: torch.Tensor) -> str:
    return " x ".join(map(str, numbers.shape[1:]))
