"""The float NumPy engine against PyTorch, on the lab's model and on random sequential networks."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from compresslab.data.preprocessing import Preprocessing
from compresslab.engines.contract import open_engine, predict_in_chunks
from compresslab.engines.numpy import FloatEngine
from compresslab.export.numpy_network import to_network
from compresslab.models.numpy.network import Network, save
from compresslab.models.torch import gapcnn

GRAY = Preprocessing((0.1307,), (0.3081,))
ACTIVATIONS = [nn.Identity, nn.ReLU, nn.SELU, lambda: nn.GELU(approximate="tanh"), nn.SiLU]


def digits(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 28, 28, 1), np.uint8)


def torch_logits(module: nn.Module, normalized: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return module.eval()(torch.from_numpy(normalized.transpose(0, 3, 1, 2).copy())).numpy()


def gapcnn_pair() -> tuple[nn.Module, Network]:
    torch.manual_seed(0)
    module = gapcnn.build((28, 28, 1), 10)
    return module, to_network(module, GRAY, [str(digit) for digit in range(10)], (28, 28, 1))


@pytest.mark.parametrize("images", [1, 7, 8, 9, 20])
def test_gapcnn_agrees_with_pytorch_at_any_batch(images):
    module, network = gapcnn_pair()
    engine = FloatEngine(network)
    native = engine.prepare(digits(images))
    np.testing.assert_allclose(engine.run(native), torch_logits(module, native), atol=1e-5)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_pooling_respects_activations_that_fall_before_they_rise(activation):
    module = nn.Sequential(nn.Conv2d(1, 1, 1), activation(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 2))
    nn.init.constant_(module[0].weight, 6.0)
    network = to_network(module, GRAY, "ab", (12, 12, 1))
    native = np.random.default_rng(0).normal(-0.3, 0.3, (5, 12, 12, 1)).astype(np.float32)
    np.testing.assert_allclose(FloatEngine(network).run(native), torch_logits(module, native), atol=1e-5)


def test_the_reference_size_of_the_model():
    _, network = gapcnn_pair()
    assert network.parameters == 6218
    assert network.weight_bytes / 1024 == pytest.approx(24.29, abs=0.005)


@st.composite
def sequentials(draw) -> tuple[nn.Sequential, tuple[int, int, int]]:
    """Random networks that reach every layout: odd and even maps, strides, paddings, poolings that overlap or not."""
    torch.manual_seed(draw(st.integers(0, 2**32 - 1)))
    extents = st.integers(5, 9) if draw(st.booleans()) else st.sampled_from([13, 14, 15, 16, 20, 28])
    height, width, channels = input_shape = draw(extents), draw(extents), draw(st.integers(1, 3))
    modules: list[nn.Module] = []
    maps = torch.zeros(1, channels, height, width)
    for _ in range(draw(st.integers(1, 4))):
        if draw(st.integers(0, 2)) == 0:
            layer = nn.Sequential(
                nn.MaxPool2d(draw(st.sampled_from([2, 2, 2, 3])), draw(st.sampled_from([2, 2, 1, 3])))
            )
        else:
            kernel = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
            stride, padding = draw(st.sampled_from([1, 1, 1, 2, 3])), draw(st.integers(0, 3))
            convolution = nn.Conv2d(
                maps.shape[1], draw(st.integers(1, 6)), kernel, stride, padding, bias=draw(st.booleans())
            )
            layer = nn.Sequential(convolution, draw(st.sampled_from(ACTIVATIONS))())
        try:
            maps = layer(maps)
        except RuntimeError:  # The window no longer fits.
            break
        modules += list(layer)
    if draw(st.booleans()):
        modules.append(nn.AdaptiveAvgPool2d(1))
        maps = maps[:, :, :1, :1]
    modules += [nn.Flatten(), nn.Linear(maps.numel(), 5), draw(st.sampled_from(ACTIVATIONS))(), nn.Linear(5, 3)]
    modules.append(draw(st.sampled_from(ACTIVATIONS))())
    return nn.Sequential(*modules), input_shape


@settings(max_examples=120, deadline=None)
@given(sequentials(), st.integers(1, 3))
def test_random_networks_agree_with_pytorch(model, images):
    module, input_shape = model
    channels = input_shape[2]
    network = to_network(module, Preprocessing((0.4,) * channels, (0.25,) * channels), list("abc"), input_shape)
    engine = FloatEngine(network)
    pixels = np.random.default_rng(0).integers(0, 256, (images, *input_shape), np.uint8)
    native = engine.prepare(pixels)
    expected = torch_logits(module, native)
    np.testing.assert_allclose(engine.run(native), expected, atol=1e-5, rtol=1e-5)
    last_layer = list(engine.trace(pixels).values())[-1]
    np.testing.assert_allclose(last_layer, expected, atol=1e-5, rtol=1e-5)


def test_trace_has_every_layer_after_its_activation():
    module, network = gapcnn_pair()
    pixels = digits(2)
    trace = FloatEngine(network).trace(pixels)
    assert list(trace) == ["conv1", "conv2", "pool2", "conv3", "gap", "linear"]
    values = torch.from_numpy(GRAY.normalize(pixels).transpose(0, 3, 1, 2).copy())
    ends = {
        "relu1": "conv1",
        "selu2": "conv2",
        "pool2": "pool2",
        "gelu3": "conv3",
        "flatten": "gap",
        "linear": "linear",
    }
    with torch.inference_mode():
        for name, child in module.named_children():
            values = child(values)
            if name in ends:
                expected = values.numpy().transpose(0, 2, 3, 1) if values.ndim == 4 else values.numpy()
                np.testing.assert_allclose(trace[ends[name]], expected, atol=1e-5)


def test_results_do_not_change_when_the_engine_runs_again():
    engine = FloatEngine(gapcnn_pair()[1])
    first_images, second_images = engine.prepare(digits(3, 1)), engine.prepare(digits(3, 2))
    first = engine.run(first_images)
    kept = first.copy()
    assert not np.array_equal(engine.run(second_images), kept)
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(engine.run(first_images), kept)


def test_predict_works_in_chunks_and_from_a_file(tmp_path):
    network = gapcnn_pair()[1]
    save(network, tmp_path / "model.npz")
    engine = open_engine("numpy", tmp_path / "model.npz", threads=1)
    pixels = digits(11)
    whole = engine.run(engine.prepare(pixels))
    np.testing.assert_array_equal(engine.predict(pixels), whole)
    np.testing.assert_allclose(predict_in_chunks(engine, pixels, chunk=4), whole, atol=1e-6)
    assert engine.predict(pixels[:0]).shape == (0, 10)


def test_images_of_another_shape_are_refused():
    engine = FloatEngine(gapcnn_pair()[1])
    with pytest.raises(ValueError, match=r"expected images \(28, 28, 1\), got \(27, 28, 1\)"):
        engine.run(np.zeros((1, 27, 28, 1), np.float32))


def test_an_unknown_engine_is_named():
    with pytest.raises(ValueError, match="no engine called 'nunpy'"):
        open_engine("nunpy", Path("model.npz"), 1)


@pytest.mark.parametrize(
    ("module", "complaint"),
    [
        (nn.Linear(4, 2), "only an nn.Sequential"),
        (nn.Sequential(nn.Conv2d(1, 1, 3), nn.Tanh()), "module 1: Tanh has no NumPy counterpart"),
        (nn.Sequential(nn.ReLU()), "module 0: an activation must follow"),
        (nn.Sequential(nn.Conv2d(1, 2, 3), nn.GELU()), 'module 1: only GELU\\(approximate="tanh"\\)'),
        (nn.Sequential(nn.Conv2d(1, 2, 3, dilation=2)), "module 0: Conv2d must have groups=1, dilation=1"),
        (nn.Sequential(nn.Conv2d(1, 2, 3, stride=(1, 2))), "module 0: stride must be the same in both directions"),
        (nn.Sequential(nn.MaxPool2d(2, ceil_mode=True)), "module 0: MaxPool2d must have padding=0"),
        (nn.Sequential(nn.AdaptiveAvgPool2d(2)), "module 0: AdaptiveAvgPool2d must have output_size=1"),
        (nn.Sequential(nn.Flatten(0)), "module 0: Flatten must flatten everything but the batch"),
        (nn.Sequential(nn.Conv2d(3, 2, 3)), "layer 0: weight \\(3, 3, 3, 2\\) does not read 1 channels"),
    ],
)
def test_what_has_no_numpy_counterpart_is_named(module, complaint):
    with pytest.raises(ValueError, match=complaint):
        to_network(module, GRAY, ["a", "b"], (8, 8, 1))
