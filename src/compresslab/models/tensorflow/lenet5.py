"""LeNet-5 of the lab pcb-frameworks: two convolutions and three linear layers (61,751 parameters on 32x32x3)."""

from compresslab.models.tensorflow.framework import keras

ACTIVATIONS = ("relu", "swish")
SMALLEST = 16


def build(image_shape: tuple[int, int, int], classes: int, activation: str = "relu") -> keras.Model:
    """Build LeNet-5 for normalized float32 images (N, H, W, C); it returns logits (N, classes), without softmax.

    ``image_shape`` is (H, W, C); ``activation`` is ``relu`` or ``swish`` (x * sigmoid(x)) and belongs to its layer,
    which is the form that quantization-aware training fuses. Every layer has a name, which exports and layer
    comparisons keep. Raises ValueError for an unknown activation or an image that is too small.
    """
    if activation not in ACTIVATIONS:
        raise ValueError(f"lenet5 has no activation {activation!r}; known: {', '.join(ACTIVATIONS)}")
    if min(image_shape[:2]) < SMALLEST:
        raise ValueError(
            f"lenet5 needs images of at least {SMALLEST} x {SMALLEST} pixels, not {image_shape[0]} x {image_shape[1]}"
        )
    layers = keras.layers
    return keras.Sequential(
        [
            layers.InputLayer(image_shape, name="images"),
            layers.Conv2D(6, 5, activation=activation, name="conv1"),
            layers.MaxPool2D(2, name="pool1"),
            layers.Conv2D(16, 5, activation=activation, name="conv2"),
            layers.MaxPool2D(2, name="pool2"),
            layers.Flatten(name="flatten"),
            layers.Dense(120, activation=activation, name="fc1"),
            layers.Dense(84, activation=activation, name="fc2"),
            layers.Dense(classes, name="fc3"),
        ],
        name="lenet5",
    )
