"""The CNN of the lab mnist-ablation, after Cireşan et al. 2011: seven 5 x 5 convolutions and three linear layers.

5,609,770 parameters on 28 x 28 x 1 images and 10 classes; in the residual form 9,566,698.
"""

from collections import OrderedDict
from collections.abc import Iterator

import torch
from torch import nn

from compresslab.models.torch.layers import Addition

WIDTHS = (48, 128, 192, 192, 192, 192, 192)
HIDDEN = 512
FEWEST_CONVOLUTIONS = 4
MOST_FULLY_CONNECTED = 5

NamedLayers = Iterator[tuple[str, nn.Module]]


def build(
    image_shape: tuple[int, int, int],
    classes: int,
    convolutions: int = len(WIDTHS),
    fully_connected: int = 3,
    residual: bool = False,
    early_pooling: bool = True,
) -> nn.Module:
    """Build the network for normalized float32 images (N,C,H,W); it returns logits (N, classes).

    ``image_shape`` is (H, W, C). The plain form pools after the first, the second and the last convolution. The
    residual form (see :class:`Residual`) pools after the first and the last. ``early_pooling=False`` leaves only the
    last pooling. Every layer has a name, which exports and layer comparisons keep. Raises ValueError for other than 4
    to 7 convolutions (7 in the residual form) or 1 to 5 linear layers, and for an image that is too small.
    """
    if not FEWEST_CONVOLUTIONS <= convolutions <= len(WIDTHS):
        raise ValueError(f"ciresan has {FEWEST_CONVOLUTIONS} to {len(WIDTHS)} convolutions, not {convolutions}")
    if not 1 <= fully_connected <= MOST_FULLY_CONNECTED:
        raise ValueError(f"ciresan has 1 to {MOST_FULLY_CONNECTED} fully connected layers, not {fully_connected}")
    if residual and convolutions != len(WIDTHS):
        raise ValueError(f"the residual form of ciresan has {len(WIDTHS)} convolutions, not {convolutions}")
    early = (1,) if residual else (1, 2)
    pooled = (*(early if early_pooling else ()), convolutions)
    height, width, channels = image_shape
    rows, columns = (extent // 2 ** len(pooled) for extent in (height, width))
    if min(rows, columns) < 1:
        smallest = 2 ** len(pooled)
        raise ValueError(
            f"this ciresan needs images of at least {smallest} x {smallest} pixels, not {height} x {width}"
        )
    widths = WIDTHS[:convolutions]
    flat = widths[-1] * rows * columns
    linear = _fully_connected(flat, classes, fully_connected, convolutions)
    layers = OrderedDict([*_convolutional(channels, widths, pooled), ("flatten", nn.Flatten()), *linear])
    return Residual(layers) if residual else nn.Sequential(layers)


class Residual(nn.Module):
    """Three shortcuts, each from before one convolution to before its own activation.

    ``relu(conv3(x) + conv3_1x1(x))``, ``relu(conv5(x) + x)`` and ``relu(conv7(x) + x)``: a block has one convolution
    here, not two as in He et al. 2016.
    """

    def __init__(self, layers: OrderedDict[str, nn.Module]) -> None:
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)
            if name == "conv3":
                self.add_module("conv3_1x1", nn.Conv2d(WIDTHS[1], WIDTHS[2], kernel_size=1))
            if name in ("conv3", "conv5", "conv7"):
                self.add_module(name.replace("conv", "add"), Addition())

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images (N, C, H, W) to logits (N, classes)."""
        features = read = images
        for name, layer in self.named_children():
            if name == "conv3_1x1":
                read = layer(read)
            elif isinstance(layer, Addition):
                features = layer(features, read)
            else:
                features, read = layer(features), features
        return features


def _convolutional(channels: int, widths: tuple[int, ...], pooled: tuple[int, ...]) -> NamedLayers:
    for number, (inputs, outputs) in enumerate(zip((channels, *widths), widths, strict=False), 1):
        yield f"conv{number}", nn.Conv2d(inputs, outputs, kernel_size=5, padding=2)
        yield f"relu{number}", nn.ReLU()
        if number in pooled:
            yield f"pool{number}", nn.MaxPool2d(kernel_size=2, stride=2)


def _fully_connected(features: int, classes: int, layers: int, convolutions: int) -> NamedLayers:
    for number in range(1, layers):
        yield f"fc{number}", nn.Linear(features, HIDDEN)
        yield f"relu{convolutions + number}", nn.ReLU()
        features = HIDDEN
    yield f"fc{layers}", nn.Linear(features, classes)
