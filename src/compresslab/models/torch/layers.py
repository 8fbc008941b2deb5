"""Which module's output is the output of a layer, so that all engines compare the same tensors.

A layer is what the report names: a convolution with the batch normalization and the activation that follow it, a
pooling, a linear layer, an addition with the activation that follows it. Its output is the output of the last module
that belongs to it.
"""

import torch
from torch import nn

_PART_OF_THE_LAYER_BEFORE = (nn.BatchNorm1d, nn.BatchNorm2d)
NO_LAYER = (nn.Flatten, nn.Unflatten, nn.Dropout, nn.Dropout2d, nn.Identity)
"""Modules that compute nothing when a network is used: reshaping and dropout."""


class Addition(nn.Module):
    """The sum that ends a residual block, as a layer with a name of its own."""

    def forward(self, residual: torch.Tensor, shortcut: torch.Tensor) -> torch.Tensor:
        """Add two tensors of one shape."""
        return residual + shortcut


def layer_outputs(module: nn.Module) -> dict[str, str]:
    """Map every layer to the module that computes its output: ``{"conv1": "relu1", "pool2": "pool2", ...}``.

    Modules are taken in the order of their registration, which is the order of execution of a sequential network.
    What ``NO_LAYER`` names is none.
    """
    outputs: dict[str, str] = {}
    layer = None
    for name, child in module.named_modules():
        if next(child.children(), None) is not None or isinstance(child, NO_LAYER):
            continue
        if layer is None or not _belongs_to_the_layer_before(child):
            layer = name
        outputs[layer] = name
    return outputs


def _belongs_to_the_layer_before(module: nn.Module) -> bool:
    is_activation = type(module).__module__ == nn.ReLU.__module__
    return is_activation or isinstance(module, _PART_OF_THE_LAYER_BEFORE)
