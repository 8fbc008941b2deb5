"""Quantizing a float NumPy network: sizes, closeness, determinism, the absorbed normalization."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from compresslab.compress.quantize_numpy import absorb_input, quantize
from compresslab.config.methods.quantize_numpy import Parameters
from compresslab.data.preprocessing import Preprocessing
from compresslab.engines.contract import open_engine
from compresslab.engines.numpy_dequantized import DequantizedEngine
from compresslab.engines.numpy_integer import IntegerEngine
from compresslab.export.numpy_network import to_network
from compresslab.models.numpy.forward import forward, weighted_sum
from compresslab.models.numpy.network import Layer, Network, save
from compresslab.models.torch import gapcnn

VARIANTS = [(curves, granularity) for curves in ("lut", "pwl") for granularity in ("channel", "tensor")]


def parameters(**settings) -> Parameters:
    return Parameters.model_validate({"method": "quantize-numpy", "from": "numpy-fp32"} | settings)


@pytest.fixture(scope="module")
def network() -> Network:
    torch.manual_seed(0)
    module = gapcnn.build((28, 28, 1), 10)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter *= 2
    return to_network(module, Preprocessing((0.1307,), (0.3081,)), [str(digit) for digit in range(10)], (28, 28, 1))


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Blurred noise: neighbouring pixels are alike, as in pictures."""
    noise = np.random.default_rng(0).normal(0, 1, (48, 34, 34, 1))
    smooth = sum(noise[:, i : i + 28, j : j + 28] for i in range(7) for j in range(7)) / 7
    return np.clip(60 + 90 * smooth, 0, 255).astype(np.uint8)


def float_logits(network: Network, images: np.ndarray) -> np.ndarray:
    return list(forward(network, network.preprocessing.normalize(images)))[-1].output


@pytest.mark.parametrize(("curves", "kilobytes"), [("lut", 6.57), ("pwl", 6.07)])
def test_dequantized_sizes_are_the_published_ones(network, images, curves, kilobytes):
    quantized = quantize(network, images, parameters(arithmetic="dequantized", activations=curves))
    assert quantized.weight_bytes == 6218
    assert quantized.table_bytes == (512 if curves == "lut" else 0)
    assert (quantized.weight_bytes + quantized.table_bytes) / 1024 == pytest.approx(kilobytes, abs=0.005)


@pytest.mark.parametrize(("curves", "granularity"), VARIANTS)
def test_integer_sizes(network, images, curves, granularity):
    quantized = quantize(network, images, parameters(activations=curves, granularity=granularity))
    assert quantized.parameters == 6218
    assert quantized.weight_bytes == (6218 - 66) + 4 * 66  # int8 weights, int32 biases
    assert quantized.table_bytes == (512 if curves == "lut" else 2 * (15 + 2 * 16 + 4 * 16 + 1))
    factors = 8 + 16 + 32 + 1 + 10 if granularity == "channel" else 5
    # Seven tensors with codes of their own: input, five outputs, two pre-activations.
    assert quantized.quantization_bytes == 5 * factors + 5 * 8
    counted = quantized.weight_bytes + quantized.table_bytes + quantized.quantization_bytes
    assert counted == sum(array.nbytes for _, array in quantized.arrays())


@pytest.mark.parametrize(("curves", "granularity"), VARIANTS)
def test_integer_logits_are_close_to_float(network, images, curves, granularity):
    engine = IntegerEngine(quantize(network, images, parameters(activations=curves, granularity=granularity)))
    expected = float_logits(network, images)
    error = np.linalg.norm(engine.predict(images) - expected) / np.linalg.norm(expected)
    assert error < 0.03


@pytest.mark.parametrize("curves", ["lut", "pwl"])
def test_dequantized_logits_are_close_to_float(network, images, curves, tmp_path):
    quantized = quantize(network, images, parameters(arithmetic="dequantized", activations=curves))
    save(quantized, tmp_path / "model.npz")
    engine = open_engine("numpy-dequantized", tmp_path / "model.npz", threads=1)
    expected = float_logits(network, images)
    logits = engine.predict(images)
    assert logits.dtype == np.float32
    assert np.linalg.norm(logits - expected) / np.linalg.norm(expected) < 0.05
    trace = engine.trace(images[:4])
    np.testing.assert_allclose(trace["linear"], logits[:4], atol=1e-5)
    assert {name: values.shape[1:] for name, values in trace.items()} == network.shapes
    assert {values.dtype for values in trace.values()} == {np.dtype(np.float32)}


@pytest.mark.parametrize("activation", ["none", "relu", "selu", "gelu", "swish"])
@pytest.mark.parametrize("arithmetic", ["integer", "dequantized"])
def test_a_network_may_end_in_any_activation(arithmetic, activation):
    generator = np.random.default_rng(0)

    def weighted(*shape: int) -> dict[str, np.ndarray]:
        return {
            name: generator.normal(size=size).astype(np.float32)
            for name, size in (("weight", shape), ("bias", shape[-1]))
        }

    layers = (
        Layer("hidden", "linear", "gelu", arrays=weighted(16, 6)),
        Layer("linear", "linear", activation, arrays=weighted(6, 3)),
    )
    network = Network("float", (4, 4, 1), Preprocessing((0.5,), (0.25,)), tuple("abc"), layers)
    pixels = generator.integers(0, 256, (40, 4, 4, 1), np.uint8)
    quantized = quantize(network, pixels, parameters(arithmetic=arithmetic))
    engine = {"integer": IntegerEngine, "dequantized": DequantizedEngine}[arithmetic](quantized)
    expected = float_logits(network, pixels)
    assert np.linalg.norm(engine.predict(pixels) - expected) / np.linalg.norm(expected) < 0.03


def test_dequantized_weights_follow_the_formula(network, images):
    quantized = quantize(network, images, parameters(arithmetic="dequantized"))
    layer, original = quantized.layers[1], network.layers[1]
    lowest, highest = float(original.weight.min()), float(original.weight.max())
    assert layer.arrays["weight_scale"] == np.float32((highest - lowest) / 255)
    assert layer.arrays["weight_zero_point"] == round(-128 - lowest / float(layer.arrays["weight_scale"]))
    restored = layer.affine("weight").dequantize(layer.weight)
    assert np.abs(restored - original.weight).max() <= 1.01 * layer.arrays["weight_scale"]


def test_every_layer_of_the_trace_is_close(network, images):
    engine = IntegerEngine(quantize(network, images, parameters()))
    trace = engine.trace(images)
    for layer, _, output in forward(network, network.preprocessing.normalize(images)):
        error = np.linalg.norm(trace[layer.name] - output) / np.linalg.norm(output)
        assert error < 0.03, layer.name


@pytest.mark.parametrize("arithmetic", ["integer", "dequantized"])
def test_the_same_input_gives_the_same_bytes(network, images, arithmetic, tmp_path):
    for name in ("one.npz", "two.npz"):
        save(quantize(network, images, parameters(arithmetic=arithmetic, activations="pwl")), tmp_path / name)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


def test_percentiles_narrow_the_ranges(network, images):
    calibration = {"ranges": "percentile", "percentile": 99.0}
    narrow = quantize(network, images, parameters(calibration=calibration))
    wide = quantize(network, images, parameters())
    assert narrow.layers[0].arrays["output_scale"] < wide.layers[0].arrays["output_scale"]


def test_normalization_is_absorbed_exactly_away_from_the_padding():
    """Three channels with scales and zero points of their own: the first layer on codes is the first layer on reals."""
    generator = np.random.default_rng(0)
    preprocessing = Preprocessing((0.485, 0.456, 0.406), (0.229, 0.1, 0.5))
    weight = generator.normal(0, 0.2, (3, 3, 3, 4)).astype(np.float32)
    arrays = {"weight": weight, "bias": generator.normal(0, 1, 4).astype(np.float32)}
    layers = (
        Layer("conv", "conv2d", "relu", arrays=arrays),
        Layer("gap", "global_average_pool"),
        Layer("linear", "linear", arrays={"weight": np.eye(4, dtype=np.float32), "bias": np.zeros(4, np.float32)}),
    )
    network = Network("float", (6, 6, 3), preprocessing, tuple("abcd"), layers)
    pixels = generator.integers(0, 256, (5, 6, 6, 3), np.uint8)
    entering, absorbed = absorb_input(network)
    steps = 1 / (255 * np.array(preprocessing.std))
    np.testing.assert_allclose(entering.scale, steps.max(), rtol=1e-6)
    offsets = (pixels.astype(np.float64) - 128 - entering.zero_point) * float(entering.scale)
    on_codes = weighted_sum(absorbed[0], offsets, absorbed[0].weight, absorbed[0].bias)
    on_reals = weighted_sum(layers[0], preprocessing.normalize(pixels), weight, arrays["bias"])
    np.testing.assert_allclose(on_codes, on_reals, atol=1e-5)
    logits = IntegerEngine(quantize(network, pixels, parameters())).predict(pixels)
    expected = float_logits(network, pixels)
    assert np.abs(logits - expected).max() < 0.03 * np.abs(expected).max()


def test_a_channel_without_weights_keeps_its_bias():
    arrays = {"weight": np.ones((1, 1, 1, 2), np.float32), "bias": np.array([0.5, 0.25], np.float32)}
    arrays["weight"][..., 0] = 1e-12
    head = {"weight": np.eye(2, dtype=np.float32), "bias": np.zeros(2, np.float32)}
    layers = (
        Layer("conv", "conv2d", "relu", arrays=arrays),
        Layer("gap", "global_average_pool"),
        Layer("linear", "linear", arrays=head),
    )
    network = Network("float", (2, 2, 1), Preprocessing((0.5,), (0.5,)), ("a", "b"), layers)
    pixels = np.arange(0, 256, 4, dtype=np.uint8).reshape(-1, 2, 2, 1)
    for granularity in ("channel", "tensor"):
        logits = IntegerEngine(quantize(network, pixels, parameters(granularity=granularity))).predict(pixels)
        np.testing.assert_allclose(logits[:, 0], 0.5, atol=0.02)


def test_what_cannot_be_quantized_is_said(network, images):
    with pytest.raises(ValueError, match="at least one calibration image"):
        quantize(network, images[:0], parameters())
    quantized = quantize(network, images, parameters())
    with pytest.raises(ValueError, match="only a float network can be quantized, this one is integer"):
        quantize(quantized, images, parameters())
    with pytest.raises(ValueError, match="dequantized"):
        DequantizedEngine(quantized)
    entropy = SimpleNamespace(
        **parameters().model_dump() | {"calibration": SimpleNamespace(ranges="entropy", percentile=99.0)}
    )
    with pytest.raises(ValueError, match="unknown ranges 'entropy'"):
        quantize(network, images, entropy)
