"""A small DeepLabv3 (Chen et al. 2017): atrous convolutions at an eighth of the size, and pyramid pooling over them.

3,536,232 parameters and 7.8 G MACs on images of 256 x 512 x 3 and 8 classes.
"""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import nn

from compresslab.models.torch.layers import Concatenation, Cropping, Spreading

TASK = "segmentation"

STRIDE = 8

RATES = (6, 12, 18)
"""Rates of the pyramid: those of maps of 33 x 33 pixels in the paper; ours of a 256 x 512 image have 32 x 64."""


def build(
    image_shape: tuple[int, int, int], classes: int, base_channels: int = 32, rates: Sequence[int] = RATES
) -> nn.Module:
    """Build the network for normalized float32 images (N, C, H, W); it returns logits (N, classes, H, W).

    ``image_shape`` is (H, W, C); any other size works, too. The encoder has 1, 2, 4, 8 and 8 times ``base_channels``
    channels; its first three stages halve the map, its last two widen their kernels by 2 and by 4 instead. ``rates``
    are those of the pyramid's 3 x 3 convolutions. Raises ValueError for fewer than 1 channel or a rate below 1.
    """
    if base_channels < 1:
        raise ValueError(f"deeplabv3 needs at least 1 base channel, not {base_channels}")
    if not rates or min(rates) < 1:
        raise ValueError(f"deeplabv3 needs rates of at least 1, not {list(rates)}")
    return DeepLabV3(image_shape[2], classes, base_channels, rates)


class DeepLabV3(nn.Module):
    """An encoder with an output stride of 8, the pyramid over its map, and scores that are enlarged."""

    def __init__(self, channels: int, classes: int, base: int, rates: Sequence[int]) -> None:
        super().__init__()
        self.stage1 = Stage(channels, base, stride=2)
        self.stage2 = Stage(base, 2 * base, stride=2)
        self.stage3 = Stage(2 * base, 4 * base, stride=2)
        self.stage4 = Stage(4 * base, 8 * base, rate=2)
        self.stage5 = Stage(8 * base, 8 * base, rate=4)
        self.pyramid = Pyramid(8 * base, 4 * base, rates)
        self.head = Convolution(4 * base, 4 * base, kernel=3)
        self.score = nn.Conv2d(4 * base, classes, kernel_size=1)
        self.enlarge = nn.Upsample(scale_factor=STRIDE, mode="bilinear")
        self.crop = Cropping()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images (N, C, H, W) to logits (N, classes, H, W)."""
        features = self.stage3(self.stage2(self.stage1(images)))
        features = self.pyramid(self.stage5(self.stage4(features)))
        return self.crop(self.enlarge(self.score(self.head(features))), images)


class Convolution(nn.Sequential):
    """A convolution that keeps the size at stride 1, with its normalization and activation."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, rate: int = 1) -> None:
        padding = kernel // 2 * rate
        super().__init__(
            OrderedDict(
                conv=nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation=rate, bias=False),
                bn=nn.BatchNorm2d(outputs),
                relu=nn.ReLU(inplace=True),
            )
        )


class Stage(nn.Sequential):
    """Two 3 x 3 convolutions, the first of them with the stride."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, rate: int = 1) -> None:
        super().__init__(
            OrderedDict(
                first=Convolution(inputs, outputs, 3, stride, rate), second=Convolution(outputs, outputs, 3, 1, rate)
            )
        )


class Pyramid(nn.Module):
    """Atrous spatial pyramid pooling: one map, read at several rates and as a whole, joined and projected.

    What reads the map as a whole has a bias and no normalization: of one image there is one value per channel, and
    a training batch may hold one image.
    """

    def __init__(self, inputs: int, outputs: int, rates: Sequence[int]) -> None:
        super().__init__()
        branches = [Convolution(inputs, outputs, 1), *(Convolution(inputs, outputs, 3, rate=rate) for rate in rates)]
        self.branches = nn.ModuleList(branches)
        self.whole = nn.Sequential(
            OrderedDict(
                pool=nn.AdaptiveAvgPool2d(1),
                conv=nn.Conv2d(inputs, outputs, kernel_size=1),
                relu=nn.ReLU(inplace=True),
            )
        )
        self.spread = Spreading()
        self.join = Concatenation()
        self.project = Convolution((len(branches) + 1) * outputs, outputs, 1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map features (N, inputs, H, W) to (N, outputs, H, W)."""
        read = [branch(features) for branch in self.branches]
        return self.project(self.join(*read, self.spread(self.whole(features), features)))
