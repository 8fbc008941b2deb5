"""Which module's output is the output of a layer, so that all engines compare the same tensors.

A layer is what the report names: a convolution with the batch normalization and the activation that follow it, a
pooling, a linear layer, an addition with the activation that follows it. Its output is the output of the last module
that belongs to it.
"""

from collections import OrderedDict

import torch
from torch import nn
from torch.nn import functional


def two_convolutions(inputs: int, outputs: int) -> OrderedDict[str, nn.Module]:
    """Return the layers that plain encoders repeat: two 3 x 3 convolutions that keep the size of the map.

    Each has its normalization and an activation in place; they map features (N, inputs, H, W) to (N, outputs, H, W).
    """
    return OrderedDict(
        conv1=nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=False),
        bn1=nn.BatchNorm2d(outputs),
        relu1=nn.ReLU(inplace=True),
        conv2=nn.Conv2d(outputs, outputs, kernel_size=3, padding=1, bias=False),
        bn2=nn.BatchNorm2d(outputs),
        relu2=nn.ReLU(inplace=True),
    )


class Addition(nn.Module):
    """The sum that ends a residual block or joins a skip connection, as a layer with a name of its own."""

    def forward(self, residual: torch.Tensor, shortcut: torch.Tensor) -> torch.Tensor:
        """Add two tensors of one shape."""
        return residual + shortcut


class Multiplication(nn.Module):
    """The product that weighs the channels of a feature map, as a layer with a name of its own."""

    def forward(self, features: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Multiply features (N, C, H, W) with weights (N, C, 1, 1)."""
        return features * weights


class Concatenation(nn.Module):
    """Feature maps one behind the other along their channels, as a layer with a name of its own."""

    def forward(self, *features: torch.Tensor) -> torch.Tensor:
        """Join feature maps (N, C, H, W) that differ in C alone."""
        return torch.cat(features, dim=1)


class Padding(nn.Module):
    """Zeros around a feature map, as many as it takes to the size of another one."""

    def forward(self, features: torch.Tensor, larger: torch.Tensor) -> torch.Tensor:
        """Give ``features`` (N, C, H, W) the height and width of ``larger``; of an odd number, one more goes last.

        Features of that size already come back themselves.
        """
        down, right = (wanted - given for wanted, given in zip(larger.shape[-2:], features.shape[-2:], strict=True))
        if (down, right) == (0, 0):
            return features
        return functional.pad(features, (right // 2, right - right // 2, down // 2, down - down // 2))


class Cropping(nn.Module):
    """A feature map without the rows and columns at its end that another one does not have."""

    def forward(self, features: torch.Tensor, smaller: torch.Tensor) -> torch.Tensor:
        """Give ``features`` (N, C, H, W) the height and width of ``smaller``.

        Features of that size already come back themselves.
        """
        height, width = smaller.shape[-2:]
        if features.shape[-2:] == (height, width):
            return features
        return features[..., :height, :width]


class Stacking(nn.Module):
    """Squares of pixels, one pixel behind the other in the channels: a smaller map that has lost nothing."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map features (N, C, H, W) to (N, C * side * side, H / side, W / side), rounded up, with zeros at the edge."""
        down, right = (-size % self.side for size in features.shape[-2:])
        if (down, right) != (0, 0):
            features = functional.pad(features, (0, right, 0, down))
        return functional.pixel_unshuffle(features, self.side)


class Spreading(nn.Module):
    """One value per channel, repeated over the size of a feature map."""

    def forward(self, values: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """Repeat ``values`` (N, C, 1, 1) over the height and width of ``features``."""
        return values.expand(-1, -1, *features.shape[-2:])


JOINTS = (Addition, Multiplication, Concatenation, Padding, Cropping, Spreading, Stacking)
"""What networks compute between their layers of weights, as modules: an export, a counter and a quantizer see names."""

NO_LAYER = (
    *(nn.Flatten, nn.Unflatten, nn.Dropout, nn.Dropout2d, nn.Identity, nn.ModuleList),
    *(Padding, Cropping, Spreading, Stacking),
)
"""Modules that compute nothing when a network is used: reshaping, padding, dropout, and a list that holds none."""

_PART_OF_THE_LAYER_BEFORE = (nn.BatchNorm1d, nn.BatchNorm2d)


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
