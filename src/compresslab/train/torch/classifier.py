"""Training of a classifier in PyTorch: the whole data set as one tensor, the same bits every time."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from compresslab.config.training import Optimization, Optimizer, Recipe
from compresslab.data.prepared import Split
from compresslab.data.preprocessing import Preprocessing
from compresslab.train import checkpoint
from compresslab.train.initialization import he_normal
from compresslab.train.loop import Score, TrainingData, TrainingError, TrainingResult, log_line, run

EVALUATION_BATCH = 1000


def train(
    module: nn.Module,
    data: TrainingData,
    recipe: Recipe,
    seed: int,
    state: Path,
    fingerprint: str,
    log: checkpoint.Log = log_line,
) -> TrainingResult:
    """Initialize ``module`` from ``seed`` and train it in place; it ends on the CPU, in evaluation mode.

    The module takes normalized float32 (N, C, H, W) and returns logits (N, classes). See ``loop.run`` for state,
    fingerprint and history. Raises TrainingError when a GPU is asked for that is not there.
    """
    initialize(module, seed)
    if recipe.initialization == "he":
        initialize_he(module, data.training.images.shape[1:], seed)
    return fine_tune(module, data, recipe, seed, state, fingerprint, log)


def fine_tune(
    module: nn.Module,
    data: TrainingData,
    recipe: Optimization,
    seed: int,
    state: Path,
    fingerprint: str,
    log: checkpoint.Log = log_line,
) -> TrainingResult:
    """Train ``module`` on from the weights that it has, as :func:`train` does."""
    device = choose_device(recipe.device)
    torch.manual_seed(seed)
    with deterministic(recipe.threads):
        learner = TorchLearner(module.to(device), data, recipe, device)
        # With `auto` a restart may find another device, whose sums have other bits.
        fingerprint = f"{fingerprint} on {device.type}"
        result = run(learner, data.training.images, recipe, seed, state, fingerprint, log)
        module.eval().cpu()
    return result


class TorchLearner:
    """A module on its device, with its optimizer and both data."""

    def __init__(self, module: nn.Module, data: TrainingData, recipe: Optimization, device: torch.device) -> None:
        self._module = module
        self._training = _Samples.of(data.training, data.preprocessing, device)
        self._validation = _Samples.of(data.validation, data.preprocessing, device)
        self._optimizer = make_optimizer(module, recipe.optimizer)
        self._loss = nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
        self._device = device
        self._mean = _Mean(device)
        self._module.train()

    def show(self, images: np.ndarray) -> None:
        """Take other views of the training images, uint8 (N, H, W, C)."""
        self._training = replace(self._training, images=_channels_first(images).to(self._device))

    def step(self, positions: np.ndarray, learning_rate: float) -> None:
        """Update the weights once, by the training images at ``positions`` (int64)."""
        images, labels = self._training.batch(torch.from_numpy(positions).to(self._device))
        logits = self._module(images)
        loss = self._loss(logits, labels)
        self._optimizer.zero_grad()
        loss.backward()
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate
        self._optimizer.step()
        self._mean.add(loss, logits, labels)

    def running(self) -> Score:
        """Return the score over the steps since the last call."""
        score, self._mean = self._mean.score(), _Mean(self._device)
        return score

    @torch.no_grad()
    def validate(self) -> Score:
        """Return the score on the validation split, with the module in evaluation mode."""
        self._module.eval()
        mean = _Mean(self._device)
        for start in range(0, len(self._validation), EVALUATION_BATCH):
            images, labels = self._validation.batch(slice(start, start + EVALUATION_BATCH))
            logits = self._module(images)
            mean.add(self._loss(logits, labels), logits, labels)
        self._module.train()
        return mean.score()

    def snapshot(self) -> bytes:
        """Return weights, optimizer and random states; batches need no state, being functions of seed and epoch."""
        buffer = io.BytesIO()
        owned = {
            "module": self._module.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }
        torch.save(owned, buffer)
        return buffer.getvalue()

    def restore(self, snapshot: bytes) -> None:
        """Go back to where a snapshot was taken; it is read with ``weights_only``, which executes nothing."""
        owned = torch.load(io.BytesIO(snapshot), map_location="cpu", weights_only=True)
        self._module.load_state_dict(owned["module"])
        self._optimizer.load_state_dict(owned["optimizer"])
        torch.set_rng_state(owned["random"])
        if owned["random_cuda"]:
            torch.cuda.set_rng_state_all(owned["random_cuda"])


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
        images = _channels_first(split.images)
        labels = torch.from_numpy(split.labels.astype(np.int64))
        return cls(*(tensor.to(device) for tensor in (images, labels, mean, std)))

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, choice: torch.Tensor | slice) -> tuple[torch.Tensor, torch.Tensor]:
        """Return normalized images (on the CPU bit for bit those of ``Preprocessing.normalize``) and labels."""
        # The images stay uint8 until here: four times less memory, and faster to gather than float32.
        return (self.images[choice].float() / 255 - self.mean) / self.std, self.labels[choice]


def _channels_first(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(images.transpose(0, 3, 1, 2).copy())


class _Mean:
    """Loss and accuracy over many batches; sums stay on the device, so that no batch waits for them."""

    def __init__(self, device: torch.device) -> None:
        self._loss = torch.zeros((), dtype=torch.float64, device=device)
        self._correct = torch.zeros((), dtype=torch.int64, device=device)
        self._count = 0

    def add(self, loss: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor) -> None:
        self._loss += loss.detach().double() * len(labels)
        self._correct += (logits.argmax(1) == labels).sum()
        self._count += len(labels)

    def score(self) -> Score:
        return Score(self._loss.item() / self._count, 100 * self._correct.item() / self._count)


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


@torch.no_grad()
def initialize_he(module: nn.Module, image_shape: tuple[int, ...], seed: int) -> None:
    """Give every convolution and linear layer the weights of ``he_normal``, and zeros as bias.

    The first linear layer after a flattened feature map reads it in (C, H, W) order: its rows are permuted, so that the
    network computes what a network in (H, W, C) order computes from the same weights.
    """
    flattened = _flattened_shapes(module, image_shape)
    for name, child in module.named_modules():
        if isinstance(child, nn.Conv2d):
            out, channels, height, width = child.weight.shape
            drawn = he_normal(name, (height, width, channels, out), seed)
            child.weight.copy_(torch.from_numpy(drawn).permute(3, 2, 0, 1))
        elif isinstance(child, nn.Linear):
            drawn = he_normal(name, (child.in_features, child.out_features), seed)
            if name in flattened:
                channels, height, width = flattened[name]
                drawn = drawn.reshape(height, width, channels, -1).transpose(2, 0, 1, 3).reshape(drawn.shape)
            child.weight.copy_(torch.from_numpy(drawn).T)
        else:
            continue
        if child.bias is not None:
            child.bias.zero_()


def _flattened_shapes(module: nn.Module, image_shape: tuple[int, ...]) -> dict[str, tuple[int, int, int]]:
    """Map the name of every linear layer that reads a flattened feature map to the map's shape (C, H, W)."""
    height, width, channels = image_shape
    shapes: dict[str, tuple[int, int, int]] = {}
    map_shape: list[tuple[int, ...]] = []

    def remember(name: str, child: nn.Module, features: torch.Tensor) -> None:
        if isinstance(child, nn.Flatten) and features.ndim == 4:
            map_shape[:] = [tuple(features.shape[1:])]
        elif isinstance(child, nn.Linear) and map_shape:
            shapes[name] = map_shape.pop()  # type: ignore[assignment]

    handles = [
        child.register_forward_pre_hook(lambda child, inputs, name=name: remember(name, child, inputs[0]))
        for name, child in module.named_modules()
    ]
    try:
        module.eval()(torch.zeros(1, channels, height, width))
    finally:
        for handle in handles:
            handle.remove()
    return shapes


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
