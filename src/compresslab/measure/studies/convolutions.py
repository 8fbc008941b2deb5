"""Does a depthwise separable convolution save the time that its formula promises? Regular against separable, in turns.

A separable convolution is a depthwise one (D_k x D_k, one kernel per channel) and a pointwise one (1 x 1) after it;
both sides without bias and activation, with stride 1 and padded to the size of their input. One float32 image in
PyTorch, on one thread.
"""

from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import nn

from compresslab.config.studies.convolutions import Settings
from compresslab.measure import formula
from compresslab.measure.in_turns import Effort, in_turns, interval_columns
from compresslab.measure.intervals import Interval, speed_verdict

ENGINE = "torch"


def study(settings: Settings, models: Mapping[str, Path], effort: Effort) -> Iterator[Mapping[str, Any]]:
    """Yield one row of ``convolutions.csv`` per kernel, pair of channels and map size, without lab and host."""
    del models
    torch.set_num_threads(1)
    for kernel, (inputs, outputs), map_size in product(settings.kernels, settings.channels, settings.map_sizes):
        yield {
            "engine": ENGINE,
            "kernel": kernel,
            "input_channels": inputs,
            "output_channels": outputs,
            "map_size": map_size,
            "regular_parameters": formula.regular_parameters(kernel, inputs, outputs),
            "separable_parameters": formula.separable_parameters(kernel, inputs, outputs),
            "regular_macs": formula.regular_macs(kernel, inputs, outputs, map_size),
            "separable_macs": formula.separable_macs(kernel, inputs, outputs, map_size),
            "separable_to_regular_macs_ratio": formula.separable_to_regular_ratio(kernel, outputs),
            **_timed(regular(kernel, inputs, outputs), separable(kernel, inputs, outputs), inputs, map_size, effort),
        }


def regular(kernel: int, inputs: int, outputs: int) -> nn.Module:
    """Build a convolution that mixes all its channels; ``kernel`` is odd."""
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)


def separable(kernel: int, inputs: int, outputs: int) -> nn.Module:
    """Build a depthwise convolution and a pointwise one after it; ``kernel`` is odd."""
    depthwise = nn.Conv2d(inputs, inputs, kernel, padding=kernel // 2, groups=inputs, bias=False)
    return nn.Sequential(depthwise, nn.Conv2d(inputs, outputs, kernel_size=1, bias=False))


def _timed(one: nn.Module, other: nn.Module, channels: int, map_size: int, effort: Effort) -> dict[str, float | str]:
    features = torch.randn(1, channels, map_size, map_size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        times = in_turns({"regular": lambda _: one(features), "separable": lambda _: other(features)}, effort)
    ratio = times["separable"].ratio_to(times["regular"])
    return {
        **interval_columns("regular", "_ms", times["regular"].median()),
        **interval_columns("separable", "_ms", times["separable"].median()),
        **interval_columns("separable_to_regular_time_ratio", "", ratio),
        "speed_verdict": speed_verdict(_inverse(ratio)),
    }


def _inverse(ratio: Interval) -> Interval:
    """Turn times as long into times as fast."""
    return Interval(1 / ratio.estimate, 1 / ratio.high, 1 / ratio.low)
