"""The model of the lab mnist-integer: three convolutions and a global average pooling (6218 parameters on MNIST)."""

from collections import OrderedDict

from torch import nn


def build(image_shape: tuple[int, int, int], classes: int) -> nn.Module:
    """Build gapcnn for normalized float32 images (N,C,H,W); it returns logits (N, classes).

    ``image_shape`` is (H, W, C). Every layer has a name, which exports and layer comparisons keep. The order ReLU,
    SELU, GELU (tanh form) is the experiment's own: one activation that integers clamp, two that they must tabulate.
    """
    channels = image_shape[2]
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(channels, 8, kernel_size=3, padding=1),
            relu1=nn.ReLU(),
            conv2=nn.Conv2d(8, 16, kernel_size=3, padding=1),
            selu2=nn.SELU(),
            pool2=nn.MaxPool2d(kernel_size=2, stride=2),
            conv3=nn.Conv2d(16, 32, kernel_size=3, padding=1),
            gelu3=nn.GELU(approximate="tanh"),
            gap=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            linear=nn.Linear(32, classes),
        )
    )
