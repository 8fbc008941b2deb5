"""How long does a step of training take in several networks? Forward, backward and update, in turns, on one thread.

Steps are those of a training: in the layout of the network, with the optimizer that a recipe has by default. The images
are float32 numbers, drawn once; gathering and distorting them is not timed.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import nn

from compresslab.config.studies.training_steps import Settings
from compresslab.config.training import Optimizer
from compresslab.measure.in_turns import Effort, Times, in_turns, interval_columns
from compresslab.measure.intervals import Interval
from compresslab.measure.steady import Call
from compresslab.models.torch.artifact import TorchModel, load
from compresslab.train.torch.hardware import deterministic, keep_freed_memory
from compresslab.train.torch.layout import laid_out, layout_of
from compresslab.train.torch.learner import make_optimizer

DEVICE, PRECISION = torch.device("cpu"), "float32"
SEED = 0


def study(settings: Settings, models: Mapping[str, Path], effort: Effort) -> Iterator[Mapping[str, Any]]:
    """Yield one row of ``training_steps.csv`` per network, without lab and host."""
    networks = {name: load(models[name]) for name in settings.of}
    times = timed(networks, settings.batch, effort)
    for name, network in networks.items():
        model, _, variant = name.partition("/")
        step, is_baseline = times[name].median(), name == settings.baseline
        # Calls of one side are drawn apart from those of the other; a network has no spread against itself.
        ratio = Interval(1.0, 1.0, 1.0) if is_baseline else times[name].ratio_to(times[settings.baseline])
        yield {
            "model": model,
            "variant": variant,
            "architecture": network.architecture,
            "batch": settings.batch,
            "device": DEVICE.type,
            "precision": PRECISION,
            **interval_columns("step", "_ms", step),
            "images_per_s": 1000 * settings.batch / step.estimate,
            "baseline_model": settings.baseline.partition("/")[0],
            **interval_columns("step_to_baseline_ratio", "", ratio),
        }


def timed(networks: Mapping[str, TorchModel], batch: int, effort: Effort) -> dict[str, Times]:
    """Time steps of ``batch`` images of all networks in turns; it changes their weights."""
    keep_freed_memory()
    with deterministic(threads=1), ExitStack() as layouts:
        for network in networks.values():
            layouts.enter_context(laid_out(network.module.train(), DEVICE))
        return in_turns({name: training_step(network, batch) for name, network in networks.items()}, effort)


def training_step(network: TorchModel, batch: int) -> Call:
    """Return a call that updates the network once, always by the same ``batch`` images and labels."""
    height, width, channels = network.image_shape
    generator = torch.Generator().manual_seed(SEED)
    images = torch.randn(batch, channels, height, width, generator=generator)
    images = images.clone(memory_format=layout_of(network.module, DEVICE))
    labels = torch.randint(len(network.classes), (batch,), generator=generator)
    optimizer, loss = make_optimizer(network.module, Optimizer()), nn.CrossEntropyLoss()

    def step(_: int) -> None:
        optimizer.zero_grad()
        loss(network.module(images), labels).backward()
        optimizer.step()

    return step
