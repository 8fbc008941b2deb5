"""Training of a classifier in PyTorch: one loop, the whole data set as one tensor, the same bits every time.

The result depends on the recipe, the seed, the data and the library versions, and on nothing else: not on cores given
to the workflow (the thread count is the recipe's), not on how often the training was killed and started again.
"""

import math
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler
from tqdm import tqdm

from compresslab.config.training import Optimizer, Recipe
from compresslab.data.prepared import Split
from compresslab.data.preprocessing import Preprocessing
from compresslab.train import checkpoint
from compresslab.train.schedules import make_schedule

Row = dict[str, float]
"""One epoch: the columns of training.csv."""

EVALUATION_BATCH = 1000


class TrainingError(ValueError):
    """A training that cannot go on; says why and what to change."""


@dataclass(frozen=True)
class TrainingResult:
    """The history (a row per epoch) and after how many epochs an interrupted training was taken up."""

    history: list[Row]
    resumed_after: int


@dataclass(frozen=True)
class _Samples:
    """A split on the training device: uint8 images (N, C, H, W), int64 labels (N,), mean and std (C, 1, 1)."""

    images: torch.Tensor
    labels: torch.Tensor
    mean: torch.Tensor
    std: torch.Tensor

    @classmethod
    def of(cls, split: Split, preprocessing: Preprocessing, device: torch.device) -> "_Samples":
        mean, std = (torch.tensor(values)[:, None, None] for values in (preprocessing.mean, preprocessing.std))
        images = torch.from_numpy(split.images.transpose(0, 3, 1, 2).copy())
        labels = torch.from_numpy(split.labels.astype(np.int64))
        return cls(*(tensor.to(device) for tensor in (images, labels, mean, std)))

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, choice: torch.Tensor | slice) -> tuple[torch.Tensor, torch.Tensor]:
        """Return normalized images (on the CPU bit for bit those of ``Preprocessing.normalize``) and labels."""
        # The images stay uint8 until here: four times less memory, and faster to gather than float32.
        return (self.images[choice].float() / 255 - self.mean) / self.std, self.labels[choice]


class _Mean:
    """Loss and accuracy over an epoch; sums stay on the device, so that no batch waits for them."""

    def __init__(self, device: torch.device) -> None:
        self._loss = torch.zeros((), dtype=torch.float64, device=device)
        self._correct = torch.zeros((), dtype=torch.int64, device=device)
        self._count = 0

    def add(self, loss: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor) -> None:
        self._loss += loss.detach().double() * len(labels)
        self._correct += (logits.argmax(1) == labels).sum()
        self._count += len(labels)

    def loss(self) -> float:
        return self._loss.item() / self._count

    def accuracy_percent(self) -> float:
        return 100 * self._correct.item() / self._count


def log_line(line: str) -> None:
    """Write a line to standard error without tearing a progress bar."""
    tqdm.write(line, file=sys.stderr)


def train(
    module: nn.Module,
    train_split: Split,
    validation_split: Split,
    preprocessing: Preprocessing,
    recipe: Recipe,
    seed: int,
    state: Path,
    fingerprint: str,
    log: checkpoint.Log = log_line,
) -> TrainingResult:
    """Initialize ``module`` from ``seed`` and train it in place; it ends on the CPU, in evaluation mode.

    The module takes normalized float32 (N, C, H, W) and returns logits (N, classes). After every epoch the training's
    state goes to the folder ``state``, from which a training of the same ``fingerprint`` is taken up; call
    ``checkpoint.discard(state)`` when the results are written. Train loss (mean cross-entropy, smoothed as the recipe
    says) and accuracy are running ones over the epoch; those of validation are of the epoch's end. ``learning_rate``
    is the one of the epoch's last step. Raises TrainingError when the loss is no longer finite or a GPU is asked for
    that is not there.
    """
    device = choose_device(recipe.device)
    # With `auto` a restart may find another device, whose sums have other bits.
    fingerprint = f"{fingerprint} on {device.type}"
    with deterministic(recipe.threads), checkpoint.locked(state, log):
        initialize(module, seed)
        module.to(device)
        training, validation = (_Samples.of(split, preprocessing, device) for split in (train_split, validation_split))
        optimizer = make_optimizer(module, recipe.optimizer)
        schedule = make_schedule(optimizer, recipe, math.ceil(len(training) / recipe.batch))
        history = _restore(checkpoint.load(state, fingerprint, log), module, optimizer, schedule)
        resumed_after = len(history)
        if resumed_after:
            log(f"taking up the training after epoch {resumed_after} of {recipe.epochs}")
        loss_function = nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)

        with _progress_bar(len(training), resumed_after, recipe.epochs) as bar:
            for epoch in range(resumed_after + 1, recipe.epochs + 1):
                started = time.perf_counter()
                running = _Mean(device)
                module.train()
                for choice in batches(len(training), recipe.batch, seed, epoch):
                    images, labels = training.batch(choice.to(device))
                    logits = module(images)
                    loss = loss_function(logits, labels)
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                    learning_rate = float(schedule.get_last_lr()[0])
                    schedule.step()
                    running.add(loss, logits, labels)
                    bar.update(len(labels))

                if not math.isfinite(running.loss()):
                    raise TrainingError(
                        f"the loss of epoch {epoch} is {running.loss()}; lower the learning rate {recipe.optimizer.lr}"
                    )
                held_out = _evaluate(module, validation, loss_function, device)
                history.append(
                    {
                        "epoch": epoch,
                        "train_loss": running.loss(),
                        "train_accuracy_percent": running.accuracy_percent(),
                        "validation_loss": held_out.loss(),
                        "validation_accuracy_percent": held_out.accuracy_percent(),
                        "learning_rate": learning_rate,
                        "epoch_s": time.perf_counter() - started,
                    }
                )
                checkpoint.save(state, fingerprint, _snapshot(module, optimizer, schedule, history))
                log(_epoch_line(history[-1], recipe.epochs, len(training)))
        module.eval().cpu()
    return TrainingResult(history, resumed_after)


def batches(samples: int, batch: int, seed: int, epoch: int) -> Iterator[torch.Tensor]:
    """Yield int64 positions, ``batch`` at a time, of a permutation that depends on the seed and the epoch only.

    The last batch holds what is left.
    """
    order = torch.from_numpy(np.random.default_rng([seed, epoch]).permutation(samples))
    yield from order.split(batch)


def initialize(module: nn.Module, seed: int) -> None:
    """Set all weights as PyTorch initializes new modules, from ``seed``, whatever they were before.

    Raises TypeError for a module that holds parameters and cannot initialize them itself.
    """
    torch.manual_seed(seed)
    for name, child in module.named_modules():
        if hasattr(child, "reset_parameters"):
            child.reset_parameters()
        elif next(child.parameters(recurse=False), None) is not None:
            raise TypeError(f"module {name or 'at the top'} ({type(child).__name__}) has no reset_parameters method")


def make_optimizer(module: nn.Module, settings: Optimizer) -> torch.optim.Optimizer:
    """Return the optimizer that the recipe names, over all parameters."""
    parameters = module.parameters()
    if settings.name == "sgd":
        return torch.optim.SGD(
            parameters, lr=settings.lr, momentum=settings.momentum, weight_decay=settings.weight_decay
        )
    adaptive = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[settings.name]
    return adaptive(parameters, lr=settings.lr, weight_decay=settings.weight_decay)


def choose_device(name: str) -> torch.device:
    """Return the device called ``cpu`` or ``cuda``, or for ``auto`` the GPU where there is one.

    Raises TrainingError when a GPU is asked for that PyTorch does not see.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise TrainingError("device: cuda, but PyTorch sees no GPU on this host; use device: cpu or auto")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


@contextmanager
def deterministic(threads: int) -> Iterator[None]:
    """Use ``threads`` threads and only algorithms that give the same bits every time, and go back afterwards.

    See https://pytorch.org/docs/stable/notes/randomness.html.
    """
    # cuBLAS reads it when it starts; without it PyTorch refuses deterministic matrix products.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])
        torch.backends.cudnn.benchmark = before[2]


@torch.no_grad()
def _evaluate(module: nn.Module, samples: _Samples, loss_function: nn.Module, device: torch.device) -> _Mean:
    module.eval()
    mean = _Mean(device)
    for start in range(0, len(samples), EVALUATION_BATCH):
        images, labels = samples.batch(slice(start, start + EVALUATION_BATCH))
        logits = module(images)
        mean.add(loss_function(logits, labels), logits, labels)
    return mean


def _snapshot(
    module: nn.Module, optimizer: torch.optim.Optimizer, schedule: LRScheduler, history: list[Row]
) -> dict[str, object]:
    """Everything the next epoch depends on; batches need no state, being functions of seed and epoch."""
    return {
        "module": module.state_dict(),
        "optimizer": optimizer.state_dict(),
        "schedule": schedule.state_dict(),
        "history": history,
        "random": torch.get_rng_state(),
        "random_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def _restore(
    snapshot: dict | None, module: nn.Module, optimizer: torch.optim.Optimizer, schedule: LRScheduler
) -> list[Row]:
    """Put a snapshot back into its owners and return its history; nothing and an empty one without a snapshot."""
    if snapshot is None:
        return []
    module.load_state_dict(snapshot["module"])
    optimizer.load_state_dict(snapshot["optimizer"])
    schedule.load_state_dict(snapshot["schedule"])
    torch.set_rng_state(snapshot["random"])
    if snapshot["random_cuda"]:
        torch.cuda.set_rng_state_all(snapshot["random_cuda"])
    history: list[Row] = snapshot["history"]
    return history


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
