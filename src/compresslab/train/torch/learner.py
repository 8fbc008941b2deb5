"""Training of a network in PyTorch: the whole data set as one tensor, the same bits every time."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from compresslab.config.training import Optimization, Optimizer, Recipe
from compresslab.train import checkpoint
from compresslab.train.initialization import he_normal
from compresslab.train.loop import Score, TrainingData, TrainingResult, log_line, run
from compresslab.train.torch.averaging import averaged
from compresslab.train.torch.gradients import own_gradients
from compresslab.train.torch.hardware import Precision, choose_precision, deterministic, keep_freed_memory, one_device
from compresslab.train.torch.layout import laid_out, layout_of
from compresslab.train.torch.objectives import objective_of
from compresslab.train.torch.samples import Samples
from compresslab.train.torch.scenes import draw, seen

EVALUATION_BATCH, EVALUATION_PIXELS = 1000, {"cpu": 2**18, "cuda": 2**21}
"""Images that are validated at once; with masks, whose networks have large feature maps, at most so many pixels."""


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

    The module takes normalized float32 (N, C, H, W) and returns logits: (N, classes), or (N, classes, H, W) where the
    labels are masks. See ``loop.run`` for state, fingerprint and history. Raises TrainingError when a GPU is asked for
    that is not there, or a precision of it, and when module, labels and recipe do not fit each other.
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
    """Train ``module`` on from the weights that it has, as :func:`train` does.

    Of the module only ``train()``, ``eval()``, parameters and ``state_dict`` are used, not what these calls return, so
    that an exported graph may put its own in their place.
    """
    torch.manual_seed(seed)
    with (
        one_device(recipe.device, log) as device,
        deterministic(recipe.threads),
        laid_out(module, device),
        own_gradients(module, device),
    ):
        keep_freed_memory()
        precision = choose_precision(recipe.precision, device)
        learner = TorchLearner(module.to(device), data, recipe, device, seed, precision)
        # With `auto` a restart may find another device or precision, whose sums have other bits.
        fingerprint = f"{fingerprint} on {device.type} in {precision}"
        result = run(learner, data.training.images, recipe, seed, state, fingerprint, log)
        learner.finish()
    module.eval()
    module.cpu()
    return replace(result, conditions={"device": device.type, "precision": precision})


class TorchLearner:
    """A module on its device, with its optimizer and both data.

    With the recipe's ``ema``, what is validated is an average of the weights and buffers over the steps.
    """

    def __init__(
        self,
        module: nn.Module,
        data: TrainingData,
        recipe: Optimization,
        device: torch.device,
        seed: int = 0,
        precision: Precision = "float32",
    ) -> None:
        self._module = module
        self._module.train()
        self._average = averaged(module, recipe.ema) if recipe.ema is not None else None
        layout = layout_of(module, device)
        self._training = Samples.of(data.training, data.preprocessing, device, layout)
        self._validation = Samples.of(data.validation, data.preprocessing, device, layout)
        self._optimizer = make_optimizer(module, recipe.optimizer)
        self._objective = objective_of(data.training, recipe)
        self._elastic = recipe.elastic if recipe.augmentation == "elastic" else None
        self._scenes = recipe.scenes if recipe.augmentation == "scenes" else None
        self._noise = torch.Generator(device).manual_seed(seed)
        self._device, self._bfloat16 = device, precision == "bfloat16"
        self._tally = self._objective.tally()

    def show(self, images: np.ndarray) -> None:
        """Take other views of the training images, uint8 (N, H, W, C)."""
        self._training = self._training.showing(images)

    def step(self, positions: np.ndarray, learning_rate: float) -> None:
        """Update the weights once, by the training images at ``positions`` (int64)."""
        pixels, labels = self._training.batch(torch.from_numpy(positions).to(self._device))
        if self._elastic is not None:
            pixels = self._distorted(pixels)
        if self._scenes is not None:
            pixels, labels = seen(pixels, labels, draw(len(labels), self._noise), self._scenes)
        logits, loss = self._evaluated(self._module, self._training.normalized(pixels), labels)
        self._optimizer.zero_grad()
        loss.backward()
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate
        self._optimizer.step()
        if self._average is not None:
            self._average.update_parameters(self._module)
        self._tally.add(loss, logits, labels)

    def running(self) -> Score:
        """Return the score over the steps since the last call."""
        score, self._tally = self._tally.score(), self._objective.tally()
        return score

    @torch.no_grad()
    def validate(self) -> Score:
        """Return the score on the validation split, with the module or its average in evaluation mode."""
        module = self._module if self._average is None else self._average
        module.eval()
        batch = self._validation.fitting(EVALUATION_BATCH, EVALUATION_PIXELS[self._device.type])
        tally = self._objective.tally()
        for start in range(0, len(self._validation), batch):
            pixels, labels = self._validation.batch(slice(start, start + batch))
            logits, loss = self._evaluated(module, self._validation.normalized(pixels), labels)
            tally.add(loss, logits, labels)
        module.train()
        return tally.score()

    def finish(self) -> None:
        """Give the module the weights and buffers that are validated, when they are not its own."""
        if self._average is not None:
            self._module.load_state_dict(self._average.module.state_dict())

    def snapshot(self) -> bytes:
        """Return weights, optimizer and random states; batches need no state, being functions of seed and epoch."""
        buffer = io.BytesIO()
        owned = {
            "module": self._module.state_dict(),
            "average": self._average.state_dict() if self._average is not None else None,
            "optimizer": self._optimizer.state_dict(),
            "noise": self._noise.get_state(),
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state(self._device) if self._device.type == "cuda" else None,
        }
        torch.save(owned, buffer)
        return buffer.getvalue()

    def restore(self, snapshot: bytes) -> None:
        """Go back to where a snapshot was taken; it is read with ``weights_only``, which executes nothing."""
        owned = torch.load(io.BytesIO(snapshot), map_location="cpu", weights_only=True)
        self._module.load_state_dict(owned["module"])
        if self._average is not None:
            self._average.load_state_dict(owned["average"])
        self._optimizer.load_state_dict(owned["optimizer"])
        self._noise.set_state(owned["noise"])
        torch.set_rng_state(owned["random"])
        if owned["random_cuda"] is not None:
            torch.cuda.set_rng_state(owned["random_cuda"], self._device)

    def _evaluated(
        self, module: nn.Module, images: torch.Tensor, labels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits and loss, in bfloat16 wherever autocasting finds that safe, if at all."""
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bfloat16):
            logits = module(images)
            return logits, self._objective.loss(logits, labels)

    def _distorted(self, pixels: torch.Tensor) -> torch.Tensor:
        # kornia is only imported where images are distorted.
        from compresslab.train.torch.distortion import distorted, draw

        assert self._elastic is not None
        return distorted(pixels, draw(pixels, self._noise), self._elastic)


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
            parameters, lr=settings.lr, momentum=settings.momentum, weight_decay=settings.weight_decay, fused=True
        )
    adaptive = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[settings.name]
    return adaptive(parameters, lr=settings.lr, weight_decay=settings.weight_decay, fused=True)
