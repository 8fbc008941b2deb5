"""AlexNet of the lab mnist-ablation: 45,463,084 parameters on 224 x 224 x 3 images and 1000 classes.

Five convolutions of 64, 196, 384, 256 and 256 channels and three linear layers, after Krizhevsky 2014 ("One weird
trick"), whose second convolution has 192 channels and whose linear layers are wider.
"""

from collections import OrderedDict

from torch import nn

SMALLEST = 63
"""Pixels of the smallest image side that leaves anything to the last pooling."""


def build(image_shape: tuple[int, int, int], classes: int) -> nn.Module:
    """Build AlexNet for normalized float32 images (N,C,H,W); it returns logits (N, classes).

    ``image_shape`` is (H, W, C). Every layer has a name, which exports and layer comparisons keep. Dropout is made of
    modules, so that it ends with training. Raises ValueError for an image that is too small.
    """
    height, width, channels = image_shape
    if min(height, width) < SMALLEST:
        raise ValueError(f"alexnet needs images of at least {SMALLEST} x {SMALLEST} pixels, not {height} x {width}")
    rows, columns = (_after_all_poolings(extent) for extent in (height, width))
    return nn.Sequential(
        OrderedDict(
            [
                ("conv1", nn.Conv2d(channels, 64, kernel_size=11, stride=4, padding=2)),
                ("relu1", nn.ReLU()),
                ("pool1", nn.MaxPool2d(kernel_size=3, stride=2)),
                ("conv2", nn.Conv2d(64, 196, kernel_size=5, padding=2)),
                ("relu2", nn.ReLU()),
                ("pool2", nn.MaxPool2d(kernel_size=3, stride=2)),
                ("conv3", nn.Conv2d(196, 384, kernel_size=3, padding=1)),
                ("relu3", nn.ReLU()),
                ("conv4", nn.Conv2d(384, 256, kernel_size=3, padding=1)),
                ("relu4", nn.ReLU()),
                ("conv5", nn.Conv2d(256, 256, kernel_size=3, padding=1)),
                ("relu5", nn.ReLU()),
                ("pool5", nn.MaxPool2d(kernel_size=3, stride=2)),
                ("flatten", nn.Flatten()),
                ("fc1", nn.Linear(256 * rows * columns, 4096)),
                ("relu6", nn.ReLU()),
                ("dropout1", nn.Dropout(0.5)),
                ("fc2", nn.Linear(4096, 1024)),
                ("relu7", nn.ReLU()),
                ("dropout2", nn.Dropout(0.5)),
                ("fc3", nn.Linear(1024, classes)),
            ]
        )
    )


def _after_all_poolings(extent: int) -> int:
    extent = (extent + 2 * 2 - 11) // 4 + 1
    for _ in range(3):
        extent = (extent - 3) // 2 + 1
    return extent
