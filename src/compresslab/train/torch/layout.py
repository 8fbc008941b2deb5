"""Channels-last tensors for convolutional networks: the layout in which their layers run fastest."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

LAST_READERS = (nn.AdaptiveAvgPool2d, nn.Flatten)
"""What reads a network's last feature map, and gives back a gradient in another layout."""


@contextmanager
def channels_last(module: nn.Module) -> Iterator[None]:
    """Lay out the weights of ``module`` and the gradients of its feature maps channels last, and go back afterwards.

    Images must come channels last as well; then all feature maps are. A network without convolutions stays as it is.
    """
    if not any(isinstance(child, nn.Conv2d) for child in module.modules()):
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
