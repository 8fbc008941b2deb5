"""A U-Net of depthwise separable convolutions, channel attention and additive skips.

37,958 parameters and 206 M MACs on images of 256 x 512 x 3 and 8 classes. The convolutions are those of MobileNet
(Howard et al. 2017), the attention that of ECA-Net (Wang et al. 2020).
"""

from collections import OrderedDict
from itertools import pairwise
from math import log2

import torch
from torch import nn

from compresslab.models.torch.layers import Addition, Cropping, Multiplication, Padding, Stacking

TASK = "segmentation"

READINGS = ("means", "pixels")

WIDEST = 8
"""How many times the first width no later one exceeds: 9, 18, 36, 72, 72."""


def build(
    image_shape: tuple[int, int, int],
    classes: int,
    base_channels: int = 9,
    depth: int = 4,
    kernel: int = 3,
    reduction: int = 1,
    reading: str = "means",
    attention: bool = True,
) -> nn.Module:
    """Build the network for normalized float32 images (N, C, H, W); it returns logits (N, classes, H, W).

    ``image_shape`` is (H, W, C); any other size works, too, as long as ``depth`` poolings leave a pixel.
    ``base_channels`` is the first width, which doubles with each of the ``depth`` poolings up to 8 times itself.
    ``kernel``, an odd number, is the side of the depthwise kernels. With a ``reduction`` the network works on a map
    that is so many times smaller in height and in width, and its logits are enlarged back; ``reading`` says what it
    reads of each square of pixels: their ``means``, or the ``pixels`` as channels of their own, which loses nothing and
    costs one wider layer. ``attention`` weighs the channels of every block. Raises ValueError for a setting out of its
    range and for an image that is too small.
    """
    height, width, channels = image_shape
    for name, setting in (("base channel", base_channels), ("pooling", depth), ("pixel of reduction", reduction)):
        if setting < 1:
            raise ValueError(f"efficient-unet needs at least 1 {name}, not {setting}")
    if kernel < 1 or kernel % 2 == 0:
        raise ValueError(f"efficient-unet needs an odd kernel, not {kernel}")
    if reading not in READINGS:
        raise ValueError(f"efficient-unet has no reading {reading!r}; known: {', '.join(READINGS)}")
    smallest = (2**depth - 1) * reduction + 1
    if min(height, width) < smallest:
        raise ValueError(
            f"this efficient-unet needs images of at least {smallest} x {smallest} pixels, not {height} x {width}"
        )
    stacked = reduction > 1 and reading == "pixels"
    inputs = channels * reduction**2 if stacked else channels
    network = EfficientUNet(inputs, classes, _widths(base_channels, depth), kernel, attention)
    return network if reduction == 1 else Reduced(network, reduction, stacked)


def _widths(base: int, depth: int) -> list[int]:
    return [base * min(2**level, WIDEST) for level in range(depth + 1)]


class EfficientUNet(nn.Module):
    """An encoder that halves the map, and a decoder that adds each of the encoder's maps to its own."""

    def __init__(self, channels: int, classes: int, widths: list[int], kernel: int, attention: bool) -> None:
        super().__init__()
        self.inc = DoubleConvolution(channels, widths[0], kernel, attention)
        self.downs = nn.ModuleList(Down(inputs, outputs, kernel, attention) for inputs, outputs in pairwise(widths))
        self.ups = nn.ModuleList()
        inputs = widths[-1]
        for level in reversed(range(len(widths) - 1)):
            outputs = widths[max(level - 1, 0)]
            self.ups.append(Up(inputs, widths[level], outputs, kernel, attention))
            inputs = outputs
        self.outc = nn.Conv2d(inputs, classes, kernel_size=1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images (N, C, H, W) to logits (N, classes, H, W)."""
        features = self.inc(images)
        skipped = []
        for down in self.downs:
            skipped.append(features)
            features = down(features)
        for up in self.ups:
            features = up(features, skipped.pop())
        return self.outc(features)


class Reduced(nn.Module):
    """A network that sees squares of pixels, stacked or as their means, and whose logits are enlarged to all pixels."""

    def __init__(self, network: nn.Module, reduction: int, stacked: bool) -> None:
        super().__init__()
        # A square that hangs over the edge is the mean of what it has.
        means = nn.AvgPool2d(reduction, ceil_mode=True, count_include_pad=False)
        self.shrink = Stacking(reduction) if stacked else means
        self.network = network
        self.enlarge = nn.Upsample(scale_factor=reduction, mode="bilinear")
        self.crop = Cropping()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images (N, C, H, W) to logits (N, classes, H, W)."""
        return self.crop(self.enlarge(self.network(self.shrink(images))), images)


class SeparableConvolution(nn.Sequential):
    """A depthwise convolution and a pointwise one, each with its normalization and activation."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__(
            OrderedDict(
                depthwise=nn.Conv2d(inputs, inputs, kernel, padding=kernel // 2, groups=inputs, bias=False),
                bn1=nn.BatchNorm2d(inputs),
                relu1=nn.ReLU(),
                pointwise=nn.Conv2d(inputs, outputs, kernel_size=1, bias=False),
                bn2=nn.BatchNorm2d(outputs),
                relu2=nn.ReLU(),
            )
        )


class ChannelAttention(nn.Module):
    """A weight between 0 and 1 for every channel, from the means of its neighbours.

    The convolution over the channels is one of a map that is C high and 1 wide: the same numbers as in one dimension,
    and a form that every quantizer and every integer runtime knows.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        taps = attention_kernel(channels)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.conv = nn.Conv2d(1, 1, kernel_size=(taps, 1), padding=(taps // 2, 0), bias=False)
        self.sigmoid = nn.Sigmoid()
        self.multiply = Multiplication()

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Weigh features (N, C, H, W)."""
        weights = self.sigmoid(self.conv(self.pool(features).transpose(1, 2)))
        return self.multiply(features, weights.transpose(1, 2))


def attention_kernel(channels: int, gamma: int = 2, offset: int = 1) -> int:
    """Return the next odd number to (log2(channels) + offset) / gamma, as the authors of ECA-Net compute it."""
    taps = int((log2(channels) + offset) / gamma)
    return taps if taps % 2 else taps + 1


class DoubleConvolution(nn.Sequential):
    """Two separable convolutions and the attention over what they make."""

    def __init__(self, inputs: int, outputs: int, kernel: int, attention: bool) -> None:
        layers = OrderedDict[str, nn.Module](
            first=SeparableConvolution(inputs, outputs, kernel), second=SeparableConvolution(outputs, outputs, kernel)
        )
        if attention:
            layers["attention"] = ChannelAttention(outputs)
        super().__init__(layers)


class Down(nn.Sequential):
    """A pooling and a double convolution: features (N, inputs, H, W) become (N, outputs, H // 2, W // 2)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, attention: bool) -> None:
        convolution = DoubleConvolution(inputs, outputs, kernel, attention)
        super().__init__(OrderedDict(pool=nn.MaxPool2d(kernel_size=2), conv=convolution))


class Up(nn.Module):
    """A bilinear enlargement, added to the encoder's map of the same size, both in as many channels as come out.

    What is enlarged is projected before, at a quarter of the products: a convolution of one pixel and an enlargement
    whose weights add up to 1 give the same in either order.
    """

    def __init__(self, inputs: int, skipped: int, outputs: int, kernel: int, attention: bool) -> None:
        super().__init__()
        self.up_proj = nn.Conv2d(inputs, outputs, kernel_size=1)
        self.up = nn.Upsample(scale_factor=2, mode="bilinear")
        self.pad = Padding()
        self.skip_proj = nn.Conv2d(skipped, outputs, kernel_size=1)
        self.add = Addition()
        self.conv = DoubleConvolution(outputs, outputs, kernel, attention)

    def forward(self, features: torch.Tensor, skipped: torch.Tensor) -> torch.Tensor:
        """Map features (N, inputs, H // 2, W // 2) and the map (N, skipped, H, W) to (N, outputs, H, W)."""
        enlarged = self.pad(self.up(self.up_proj(features)), skipped)
        return self.conv(self.add(enlarged, self.skip_proj(skipped)))
