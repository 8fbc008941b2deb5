"""Where the channels of images, weights and feature maps lie in memory: last, wherever a network then runs faster.

On CPUs with AVX2 whole steps were 1.05 to 1.3 times as fast with channels last (gapcnn, LeNet-5, ResNet-18), above all
in pooling; but convolutions with large kernels over many channels (Ciresan's network) took a tenth more time.

On a GPU depthwise convolutions run in kernels of PyTorch's own with channels first, and with channels last in those of
cuDNN, where the gradient of their weights takes 15 times as long (H100, float32, with deterministic algorithms).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

LARGE_KERNEL, MANY_CHANNELS = 5, 32

LAST_READERS = (nn.AdaptiveAvgPool2d, nn.Flatten)
"""What reads a network's last feature map, and gives back a gradient in another layout."""


def layout_of(module: nn.Module, device: torch.device) -> torch.memory_format:
    """Return the layout in which ``module`` trains on ``device``: by its shapes alone, since bits depend on it."""
    convolutions = [child for child in module.modules() if isinstance(child, nn.Conv2d)]
    large = any(min(child.kernel_size) >= LARGE_KERNEL and child.in_channels >= MANY_CHANNELS for child in convolutions)
    depthwise = any(child.groups == child.in_channels > 1 for child in convolutions)
    if not convolutions or (depthwise if device.type == "cuda" else large):
        return torch.contiguous_format
    return torch.channels_last


@contextmanager
def laid_out(module: nn.Module, device: torch.device) -> Iterator[None]:
    """Keep the weights of ``module`` and the gradients of its feature maps in their layout, and go back afterwards.

    Images must have the layout as well; then all feature maps do.
    """
    if layout_of(module, device) is torch.contiguous_format:
        yield
        return
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    readers = [child for child in module.modules() if isinstance(child, LAST_READERS)]
    handles = [reader.register_forward_pre_hook(_lay_out_gradient) for reader in readers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        module.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]


def _lay_out_gradient(module: nn.Module, inputs: tuple[Any, ...]) -> None:
    """Without this, an activation before ``module`` walks its input in one order and its gradient in another."""
    del module
    features = inputs[0]
    if features.ndim == 4 and features.requires_grad:
        features.register_hook(lambda gradient: gradient.contiguous(memory_format=torch.channels_last))
