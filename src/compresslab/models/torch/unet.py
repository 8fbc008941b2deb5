"""U-Net (Ronneberger et al. 2015) with padding, batch normalization and a bottleneck of 512 channels.

14,785,416 parameters and 64.0 G MACs on images of 256 x 512 x 3 and 8 classes.
"""

from collections import OrderedDict

import torch
from torch import nn

from compresslab.models.torch.layers import Concatenation, Padding, two_convolutions

TASK = "segmentation"

DEPTH = 4
"""Number of poolings, each of which halves the map."""


def build(image_shape: tuple[int, int, int], classes: int, base_channels: int = 64) -> nn.Module:
    """Build U-Net for normalized float32 images (N, C, H, W); it returns logits (N, classes, H, W).

    ``image_shape`` is (H, W, C); any other size of at least 16 x 16 pixels works, too. The encoder has 1, 2, 4, 8 and 8
    times ``base_channels`` channels. Convolutions before a normalization have no bias, since its shift is one. Raises
    ValueError for an image that is too small and for fewer than 1 channel.
    """
    height, width, channels = image_shape
    if min(height, width) < 2**DEPTH:
        raise ValueError(f"unet needs images of at least {2**DEPTH} x {2**DEPTH} pixels, not {height} x {width}")
    if base_channels < 1:
        raise ValueError(f"unet needs at least 1 base channel, not {base_channels}")
    return UNet(channels, classes, base_channels)


class UNet(nn.Module):
    """An encoder that halves the map four times, and a decoder that reads each of its maps again."""

    def __init__(self, channels: int, classes: int, base: int) -> None:
        super().__init__()
        self.inc = DoubleConvolution(channels, base)
        self.down1 = Down(base, 2 * base)
        self.down2 = Down(2 * base, 4 * base)
        self.down3 = Down(4 * base, 8 * base)
        self.down4 = Down(8 * base, 8 * base)
        self.up1 = Up(8 * base, 4 * base)
        self.up2 = Up(4 * base, 2 * base)
        self.up3 = Up(2 * base, base)
        self.up4 = Up(base, base)
        self.outc = nn.Conv2d(base, classes, kernel_size=1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images (N, C, H, W) to logits (N, classes, H, W)."""
        first = self.inc(images)
        second = self.down1(first)
        third = self.down2(second)
        fourth = self.down3(third)
        features = self.up1(self.down4(fourth), fourth)
        features = self.up2(features, third)
        features = self.up3(features, second)
        return self.outc(self.up4(features, first))


class DoubleConvolution(nn.Sequential):
    """Two 3 x 3 convolutions, each with its normalization and an activation in place."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(two_convolutions(inputs, outputs))


class Down(nn.Sequential):
    """A pooling and a double convolution: features (N, inputs, H, W) become (N, outputs, H // 2, W // 2)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(OrderedDict(pool=nn.MaxPool2d(kernel_size=2), conv=DoubleConvolution(inputs, outputs)))


class Up(nn.Module):
    """A learnt enlargement, joined with the encoder's map of the same size and of as many channels.

    The transposed convolution reads and makes half of the channels that are merged, so 1024, 512, 256 and 128 are
    merged in the network of 64 base channels. Halving what it reads would merge 768 in the first block.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(inputs, inputs, kernel_size=2, stride=2)
        self.pad = Padding()
        self.merge = Concatenation()
        self.conv = DoubleConvolution(2 * inputs, outputs)

    def forward(self, features: torch.Tensor, skipped: torch.Tensor) -> torch.Tensor:
        """Map features (N, inputs, H // 2, W // 2) and the map (N, inputs, H, W) to (N, outputs, H, W)."""
        return self.conv(self.merge(skipped, self.pad(self.up(features), skipped)))
