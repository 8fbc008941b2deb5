"""LeNet-5 is the published network in every framework, and starts from the same point in each of them."""

import numpy as np
import pytest
import torch

from compresslab.data.preprocessing import Preprocessing
from compresslab.export.numpy_network import to_network
from compresslab.measure.cost_torch import count_layers
from compresslab.models.numpy.forward import forward
from compresslab.models.torch.artifact import build
from compresslab.train.initialization import he_normal
from compresslab.train.torch.learner import initialize_he

SHAPE = (32, 32, 3)
CLASSES = tuple("abcdefg")


def test_it_has_the_published_counts() -> None:
    layers = count_layers(build("lenet5", SHAPE, 7), SHAPE).costs
    assert sum(layer.parameters for layer in layers) == 61_751
    assert sum(layer.macs for layer in layers) == 651_468


def test_equal_names_and_shapes_give_equal_bits_and_others_do_not() -> None:
    drawn = he_normal("fc1", (400, 120), 3)
    assert drawn.dtype == np.float32
    np.testing.assert_array_equal(drawn, he_normal("fc1", (400, 120), 3))
    assert not np.array_equal(drawn, he_normal("fc2", (400, 120), 3))
    assert not np.array_equal(drawn, he_normal("fc1", (400, 120), 4))
    assert drawn.mean() == pytest.approx(0, abs=0.002)
    assert drawn.std() == pytest.approx(np.sqrt(2 / 400), rel=0.01)


@pytest.mark.parametrize("activation", ["relu", "swish"])
@pytest.mark.parametrize("shape", [SHAPE, (24, 40, 1)])
def test_pytorch_computes_what_channels_last_computes_from_the_same_weights(
    activation: str, shape: tuple[int, int, int]
) -> None:
    module = build("lenet5", shape, 7, activation=activation)
    initialize_he(module, shape, seed=5)
    images = np.random.default_rng(0).standard_normal((3, *shape), dtype=np.float32)
    preprocessing = Preprocessing((0.5,) * shape[2], (0.5,) * shape[2])
    network = to_network(module, preprocessing, CLASSES, shape)
    for layer in network.layers:
        if layer.kind in ("conv2d", "linear"):
            np.testing.assert_array_equal(layer.weight, he_normal(layer.name, layer.weight.shape, 5))
            assert not layer.bias.any()
    *_, last = forward(network, images)
    with torch.inference_mode():
        logits = module(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).numpy()
    np.testing.assert_allclose(last.output, logits, atol=1e-4)


def test_an_unknown_activation_and_a_small_image_are_told() -> None:
    with pytest.raises(ValueError, match="lenet5 has no activation 'selu'; known: relu, swish"):
        build("lenet5", SHAPE, 7, activation="selu")
    with pytest.raises(ValueError, match="at least 16 x 16 pixels, not 15 x 32"):
        build("lenet5", (15, 32, 3), 7)
