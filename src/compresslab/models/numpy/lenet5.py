"""LeNet-5 (LeCun et al. 1998) with max-pooling and without the sparse connections: 61,751 parameters at 32 x 32 x 3."""

import numpy as np

from compresslab.models.numpy.network import Layer, Shape

KERNEL = 5
MAPS = (6, 16)
HIDDEN = (120, 84)


def build(image_shape: tuple[int, int, int], classes: int, activation: str = "relu") -> tuple[Layer, ...]:
    """Return the layers for images of ``image_shape`` (H, W, C), with weights and biases that are zero.

    ``activation`` follows every weighted layer but the last. Raises ValueError for images too small for two
    convolutions without padding.
    """
    layers: list[Layer] = []
    shape: Shape = image_shape
    for number, maps in enumerate(MAPS, 1):
        weights = _zeros(KERNEL, KERNEL, shape[-1], maps)
        layers.append(Layer(f"conv{number}", "conv2d", activation, arrays=weights))
        layers.append(Layer(f"pool{number}", "max_pool", size=2, stride=2))
        for layer in layers[-2:]:
            shape = layer.output_shape(shape)
    for number, features in enumerate((*HIDDEN, classes), 1):
        weights = _zeros(int(np.prod(shape)), features)
        layers.append(Layer(f"fc{number}", "linear", activation if number <= len(HIDDEN) else "none", arrays=weights))
        shape = layers[-1].output_shape(shape)
    return tuple(layers)


def _zeros(*shape: int) -> dict[str, np.ndarray]:
    return {"weight": np.zeros(shape, np.float32), "bias": np.zeros(shape[-1], np.float32)}
