"""LeNet-5 (LeCun et al. 1998) in its usual modern form: 61,751 parameters on 32 x 32 x 3 images and 7 classes."""

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

WIDTHS = (6, 16, 120, 84)
KERNEL, POOL = 5, 2

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "swish": nn.SiLU}


def build(
    image_shape: tuple[int, int, int], classes: int, activation: str = "relu", widths: Sequence[int] = WIDTHS
) -> nn.Module:
    """Build LeNet-5 for normalized float32 images (N,C,H,W); it returns logits (N, classes).

    ``image_shape`` is (H, W, C). ``activation`` is ``relu`` or ``swish``; ``widths`` are the channels of the two
    convolutions and the features of the two hidden linear layers. Every layer has a name, which exports and layer
    comparisons keep. Raises ValueError for an unknown activation or an image that is too small.
    """
    if activation not in ACTIVATIONS:
        raise ValueError(f"lenet5 has no activation {activation!r}; known: {', '.join(ACTIVATIONS)}")
    height, width, channels = image_shape
    first, second, third, fourth = widths
    rows, columns = (_after_both_blocks(extent) for extent in (height, width))
    if min(rows, columns) < 1:
        raise ValueError(f"lenet5 needs images of at least 16 x 16 pixels, not {height} x {width}")
    act = ACTIVATIONS[activation]
    return nn.Sequential(
        OrderedDict(
            [
                ("conv1", nn.Conv2d(channels, first, KERNEL)),
                ("act1", act()),
                ("pool1", nn.MaxPool2d(POOL)),
                ("conv2", nn.Conv2d(first, second, KERNEL)),
                ("act2", act()),
                ("pool2", nn.MaxPool2d(POOL)),
                ("flatten", nn.Flatten()),
                ("fc1", nn.Linear(second * rows * columns, third)),
                ("act3", act()),
                ("fc2", nn.Linear(third, fourth)),
                ("act4", act()),
                ("fc3", nn.Linear(fourth, classes)),
            ]
        )
    )


def _after_both_blocks(extent: int) -> int:
    for _ in range(2):
        extent = (extent - KERNEL + 1) // POOL
    return extent
