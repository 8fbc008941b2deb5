"""The training loop of every framework: batches, schedule, history, checkpoints; a framework only makes the steps.

The result depends on the recipe, the seed, the data and the library versions, and on nothing else: not on cores given
to the workflow (the thread count is the recipe's), not on how often the training was killed and started again.
"""

import math
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from tqdm import tqdm

from compresslab.config.training import Optimization
from compresslab.data.prepared import Split
from compresslab.data.preprocessing import Preprocessing
from compresslab.train import checkpoint
from compresslab.train.augmentation import augmented
from compresslab.train.schedules import learning_rate

Row = dict[str, float]
"""One epoch: the columns of training.csv."""


class TrainingError(ValueError):
    """A training that cannot go on; says why and what to change."""


@dataclass(frozen=True)
class TrainingResult:
    """The history (a row per epoch) and after how many epochs an interrupted training was taken up."""

    history: list[Row]
    resumed_after: int


@dataclass(frozen=True)
class Score:
    """Mean cross-entropy (smoothed as the recipe says) and accuracy over a number of images."""

    loss: float
    accuracy_percent: float


@dataclass(frozen=True)
class TrainingData:
    """What a training sees: two splits, and how pixels become numbers. The test split is never among them."""

    training: Split
    validation: Split
    preprocessing: Preprocessing


class Learner(Protocol):
    """A network that is being trained in one framework."""

    def show(self, images: np.ndarray) -> None:
        """Take ``images``, uint8 (N,H,W,C), in place of the training images: other views of them, in their order."""

    def step(self, positions: np.ndarray, learning_rate: float) -> None:
        """Update the weights once, by the training images at ``positions`` (int64)."""

    def running(self) -> Score:
        """Return the score over the steps since the last call, each image as it was seen before its update."""

    def validate(self) -> Score:
        """Return the score on the validation split."""

    def snapshot(self) -> bytes:
        """Return all that the next epoch depends on, in a form whose reading cannot execute code."""

    def restore(self, snapshot: bytes) -> None:
        """Go back to where a snapshot was taken."""


def log_line(line: str) -> None:
    """Write a line to standard error without tearing a progress bar."""
    tqdm.write(line, file=sys.stderr)


def run(
    learner: Learner,
    images: np.ndarray,
    recipe: Optimization,
    seed: int,
    state: Path,
    fingerprint: str,
    log: checkpoint.Log = log_line,
) -> TrainingResult:
    """Train on ``images``, uint8 (N,H,W,C), for the recipe's epochs.

    After every epoch the training's state goes to the folder ``state``, from which a training of the same
    ``fingerprint`` is taken up; call ``checkpoint.discard(state)`` when the results are written. ``learning_rate`` in
    the history is the one of the epoch's last step. Raises TrainingError when the loss is no longer finite.
    """
    samples = len(images)
    with checkpoint.locked(state, log):
        history = _taken_up(learner, state, fingerprint, recipe.epochs, log)
        resumed_after = len(history)
        steps_per_epoch = math.ceil(samples / recipe.batch)
        with _progress_bar(samples, resumed_after, recipe.epochs) as bar:
            for epoch in range(resumed_after + 1, recipe.epochs + 1):
                started = time.perf_counter()
                rate = 0.0
                if recipe.augmentation == "symmetries":
                    learner.show(augmented(images, seed, epoch))
                for step, positions in enumerate(batches(samples, recipe.batch, seed, epoch)):
                    rate = learning_rate(recipe, (epoch - 1) * steps_per_epoch + step, steps_per_epoch)
                    learner.step(positions, rate)
                    bar.update(len(positions))
                running = learner.running()
                if not math.isfinite(running.loss):
                    raise TrainingError(
                        f"the loss of epoch {epoch} is {running.loss}; lower the learning rate {recipe.optimizer.lr}"
                    )
                validation = learner.validate()
                history.append(
                    {
                        "epoch": epoch,
                        "train_loss": running.loss,
                        "train_accuracy_percent": running.accuracy_percent,
                        "validation_loss": validation.loss,
                        "validation_accuracy_percent": validation.accuracy_percent,
                        "learning_rate": rate,
                        "epoch_s": time.perf_counter() - started,
                    }
                )
                checkpoint.save(state, fingerprint, history, learner.snapshot())
                log(_epoch_line(history[-1], recipe.epochs, samples))
    return TrainingResult(history, resumed_after)


def batches(samples: int, batch: int, seed: int, epoch: int) -> Iterator[np.ndarray]:
    """Yield int64 positions, ``batch`` at a time, of a permutation that depends on the seed and the epoch only.

    The last batch holds what is left.
    """
    order = np.random.default_rng([seed, epoch]).permutation(samples)
    for start in range(0, samples, batch):
        yield order[start : start + batch]


def _taken_up(learner: Learner, state: Path, fingerprint: str, epochs: int, log: checkpoint.Log) -> list[Row]:
    """Restore the last checkpoint and return its history; an empty one where there is none."""
    saved = checkpoint.load(state, fingerprint, log)
    if saved is None:
        return []
    learner.restore(saved.snapshot)
    log(f"taking up the training after epoch {len(saved.history)} of {epochs}")
    return saved.history


def _progress_bar(samples: int, done: int, epochs: int) -> tqdm:
    """A bar with images/s and remaining time on a terminal; in a log file the line per epoch is enough."""
    return tqdm(
        total=epochs * samples,
        initial=done * samples,
        desc="training",
        unit=" images",
        disable=not sys.stderr.isatty(),
        file=sys.stderr,
    )


def _epoch_line(row: Row, epochs: int, samples: int) -> str:
    remaining = (epochs - row["epoch"]) * row["epoch_s"]
    return (
        f"epoch {row['epoch']:.0f}/{epochs}: loss {row['train_loss']:.4f}, "
        f"accuracy {row['train_accuracy_percent']:.2f} %, validation {row['validation_accuracy_percent']:.2f} %, "
        f"{samples / row['epoch_s']:.0f} images/s, {remaining:.0f} s left"
    )
