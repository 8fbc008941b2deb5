"""The training loop of every framework: batches, schedule, history, checkpoints; a framework only makes the steps.

The result depends on the recipe, the seed, the data and the library versions, and on nothing else: not on cores given
to the workflow (the thread count is the recipe's), not on how often the training was killed and started again.
"""

import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from tqdm import tqdm

from compresslab.config.training import Optimization
from compresslab.data.prepared import Split
from compresslab.data.preprocessing import Preprocessing
from compresslab.train import checkpoint
from compresslab.train.augmentation import VIEWS
from compresslab.train.schedules import learning_rate

Row = dict[str, Any]
"""One epoch: the columns of training.csv, numbers, and None for a score that the task does not have."""


class TrainingError(ValueError):
    """A training that cannot go on; says why and what to change."""


@dataclass(frozen=True)
class TrainingResult:
    """The history (a row per epoch) and after how many epochs an interrupted training was taken up.

    ``kept`` is true in the row whose weights the learner ended with. ``conditions`` are what the host decided: the
    device, and in PyTorch the precision.
    """

    history: list[Row]
    resumed_after: int
    conditions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Score:
    """Mean loss, as the recipe weights and smooths it, and accuracy over a number of images.

    Of a segmentation, accuracy is that of pixels, and ``miou_percent`` the mean intersection over union.
    """

    loss: float
    accuracy_percent: float
    miou_percent: float | None = None


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
    """Train on ``images``, uint8 (N,H,W,C), for the recipe's epochs, or until its patience is at an end.

    The learner ends with the weights of the epoch that the recipe keeps. After every epoch the training's state goes to
    the folder ``state``, from which a training of the same ``fingerprint`` is taken up; call
    ``checkpoint.discard(state)`` when the results are written. ``learning_rate`` in the history is the one of the
    epoch's last step. Raises TrainingError when the loss is no longer finite.
    """
    samples = len(images)
    with checkpoint.locked(state, log):
        history, kept = _taken_up(learner, state, fingerprint, recipe.epochs, log)
        resumed_after = len(history)
        with _progress_bar(samples, resumed_after, recipe.epochs) as bar:
            while len(history) < recipe.epochs and not _out_of_patience(history, recipe):
                history.append(_epoch(learner, images, recipe, seed, len(history) + 1, bar))
                snapshot = learner.snapshot()
                kept = snapshot if kept_epoch(history, recipe.keep) == len(history) else kept
                checkpoint.save(state, fingerprint, _standing(history, snapshot, kept))
                log(_epoch_line(history[-1], recipe.epochs, samples))
        epoch = kept_epoch(history, recipe.keep)
        if epoch < len(history):
            assert kept is not None, "an epoch was the best when it ended"
            learner.restore(kept)
            log(f"keeping the weights of epoch {epoch}, the best of {len(history)} on the validation split")
    return TrainingResult([_marked(row, epoch) for row in history], resumed_after)


def kept_epoch(history: Sequence[Row], keep: str) -> int:
    """Return the number of the epoch whose weights are kept: the last, or the best on the validation split.

    The best has the highest mean intersection over union, or accuracy where there is none; of equals, the lowest loss,
    then the earliest.
    """
    if keep == "last":
        return len(history)

    def quality(row: Row) -> tuple[float, float, float]:
        miou = row.get("validation_miou_percent")
        answered = row["validation_accuracy_percent"] if miou is None else miou
        return answered, -row["validation_loss"], -row["epoch"]

    return int(max(history, key=quality)["epoch"])


def batches(samples: int, batch: int, seed: int, epoch: int) -> Iterator[np.ndarray]:
    """Yield int64 positions, ``batch`` at a time, of a permutation that depends on the seed and the epoch only.

    The last batch holds what is left.
    """
    order = np.random.default_rng([seed, epoch]).permutation(samples)
    for start in range(0, samples, batch):
        yield order[start : start + batch]


def _taken_up(
    learner: Learner, state: Path, fingerprint: str, epochs: int, log: checkpoint.Log
) -> tuple[list[Row], bytes | None]:
    """Restore the last checkpoint; return its history and the kept snapshot, or nothing of both where there is none."""
    saved = checkpoint.load(state, fingerprint, log)
    if saved is None:
        return [], None
    learner.restore(saved.snapshot)
    log(f"taking up the training after epoch {len(saved.history)} of {epochs}")
    return saved.history, saved.kept or saved.snapshot


def _standing(history: list[Row], snapshot: bytes, kept: bytes | None) -> checkpoint.Checkpoint:
    return checkpoint.Checkpoint(history, snapshot, None if kept is snapshot else kept)


def _marked(row: Row, kept: int) -> Row:
    """Say of an epoch whether its weights are kept, before its time, which alone differs from one run to another."""
    seconds = row["epoch_s"]
    same = {name: value for name, value in row.items() if name != "epoch_s"}
    return {**same, "kept": row["epoch"] == kept, "epoch_s": seconds}


def _out_of_patience(history: Sequence[Row], recipe: Optimization) -> bool:
    if recipe.patience is None or not history:
        return False
    return len(history) - kept_epoch(history, recipe.keep) >= recipe.patience


def _epoch(learner: Learner, images: np.ndarray, recipe: Optimization, seed: int, epoch: int, bar: tqdm) -> Row:
    """Train for one epoch, counted from 1, and validate; return its row of the history."""
    started = time.perf_counter()
    rate = _steps(learner, images, recipe, seed, epoch, bar)
    running = learner.running()
    if not math.isfinite(running.loss):
        raise TrainingError(
            f"the loss of epoch {epoch} is {running.loss}; lower the learning rate {recipe.optimizer.lr}"
        )
    validation = learner.validate()
    return {
        "epoch": epoch,
        "train_loss": running.loss,
        "train_accuracy_percent": running.accuracy_percent,
        "train_miou_percent": running.miou_percent,
        "validation_loss": validation.loss,
        "validation_accuracy_percent": validation.accuracy_percent,
        "validation_miou_percent": validation.miou_percent,
        "learning_rate": rate,
        "epoch_s": time.perf_counter() - started,
    }


def _steps(learner: Learner, images: np.ndarray, recipe: Optimization, seed: int, epoch: int, bar: tqdm) -> float:
    """Make the updates of one epoch; return the learning rate of the last one."""
    steps_per_epoch = math.ceil(len(images) / recipe.batch)
    rate = 0.0
    if views := VIEWS.get(recipe.augmentation):
        learner.show(views(images, seed, epoch))
    for step, positions in enumerate(batches(len(images), recipe.batch, seed, epoch)):
        rate = learning_rate(recipe, (epoch - 1) * steps_per_epoch + step, steps_per_epoch)
        learner.step(positions, rate)
        bar.update(len(positions))
    return rate


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
    name, score = ("accuracy", "accuracy") if row["train_miou_percent"] is None else ("mIoU", "miou")
    return (
        f"epoch {row['epoch']:.0f}/{epochs}: loss {row['train_loss']:.4f}, "
        f"{name} {row[f'train_{score}_percent']:.2f} %, validation {row[f'validation_{score}_percent']:.2f} %, "
        f"{samples / row['epoch_s']:.0f} images/s, {remaining:.0f} s left"
    )
