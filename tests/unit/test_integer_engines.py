"""The integer engines against Python's own integers, against each other and against what was true before."""

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import integer_reference
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compresslab.compress import fixed_point
from compresslab.data.preprocessing import Preprocessing
from compresslab.engines.contract import open_engine
from compresslab.engines.numpy import FloatEngine
from compresslab.engines.numpy_dequantized import DequantizedEngine
from compresslab.engines.numpy_integer import IntegerArithmetic, IntegerEngine
from compresslab.engines.numpy_integer_strict import IntegerStrictEngine
from compresslab.models.numpy.affine import Affine
from compresslab.models.numpy.network import Layer, Network, load


class Recorder(np.ndarray):
    """An array that notes the dtype of every array that comes out of it, in whatever way NumPy makes one."""

    dtypes: ClassVar[set[np.dtype]] = set()

    def __array_finalize__(self, parent):
        Recorder.dtypes.add(self.dtype)

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **kwargs):
        plain = [np.asarray(value) if isinstance(value, np.ndarray) else value for value in inputs]
        if out is not None:
            kwargs["out"] = tuple(np.asarray(value) for value in out)
        return self._recorded(getattr(ufunc, method)(*plain, **kwargs))

    def __array_function__(self, function, types, args, kwargs):
        return self._recorded(super().__array_function__(function, types, args, kwargs))

    @staticmethod
    def _recorded(result):
        return result.view(Recorder) if isinstance(result, np.ndarray | np.generic) else result


@settings(max_examples=60, deadline=None)
@given(integer_reference.networks(), st.integers(0, 2**32 - 1))
def test_the_strict_engine_is_python_integers(network, seed):
    codes = np.random.default_rng(seed).integers(-128, 128, (2, *network.input_shape), np.int8)
    expected = integer_reference.logits(network, codes)
    np.testing.assert_array_equal(IntegerStrictEngine(network).integer_logits(codes), expected)


@settings(max_examples=25, deadline=None)
@given(integer_reference.networks())
def test_the_strict_engine_makes_nothing_but_integers(network):
    codes = np.zeros((1, *network.input_shape), np.int8).view(Recorder)
    layers = [
        replace(layer, arrays={name: array.view(Recorder) for name, array in layer.arrays.items()})
        for layer in network.layers
    ]
    network = replace(network, layers=tuple(layers))
    assert network.input_affines, "computed once, and not part of an inference"
    Recorder.dtypes = set()
    logits = IntegerStrictEngine(network).integer_logits(codes)
    assert isinstance(logits, Recorder), "an intermediate escaped the recorder"
    assert {np.dtype(np.int8), np.dtype(np.int32), np.dtype(np.int64)} <= Recorder.dtypes
    assert all(dtype.kind in "iu" for dtype in Recorder.dtypes), Recorder.dtypes


@settings(max_examples=150, deadline=None)
@given(integer_reference.networks(), st.integers(0, 2**32 - 1), st.integers(1, 6))
def test_the_fast_engine_has_the_bits_of_the_strict_one(network, seed, images):
    codes = np.random.default_rng(seed).integers(-128, 128, (images, *network.input_shape), np.int8)
    expected = IntegerStrictEngine(network).integer_logits(codes)
    np.testing.assert_array_equal(IntegerEngine(network).integer_logits(codes), expected)


@settings(max_examples=60, deadline=None)
@given(integer_reference.networks(14, 17), st.integers(0, 2**32 - 1))
def test_the_fast_engine_has_the_same_bits_on_maps_that_it_keeps_in_phases(network, seed):
    codes = np.random.default_rng(seed).integers(-128, 128, (2, *network.input_shape), np.int8)
    expected = IntegerStrictEngine(network).integer_logits(codes)
    np.testing.assert_array_equal(IntegerEngine(network).integer_logits(codes), expected)


GOLDEN = Path(__file__).parent.parent / "golden"


@pytest.mark.parametrize("variant", ["lut-channel", "pwl-tensor"])
@pytest.mark.parametrize("engine", ["numpy-integer-strict", "numpy-integer"])
def test_golden_logits_bit_for_bit(variant, engine):
    opened = open_engine(engine, GOLDEN / f"integer-{variant}.npz", threads=1)
    with np.load(GOLDEN / "logits.npz") as golden:
        images, expected = golden["images"], golden[variant]
    logits = opened.integer_logits(opened.prepare(images))
    assert logits.dtype == np.int8
    np.testing.assert_array_equal(logits, expected)


@pytest.mark.parametrize("variant", ["lut-channel", "pwl-tensor"])
def test_golden_logits_in_python_integers(variant):
    network = load(GOLDEN / f"integer-{variant}.npz")
    with np.load(GOLDEN / "logits.npz") as golden:
        image, expected = golden["images"][:1], golden[variant][:1]
    codes = IntegerEngine(network).prepare(image)
    np.testing.assert_array_equal(codes.astype(int), image.astype(int) - 128)
    np.testing.assert_array_equal(integer_reference.logits(network, codes), expected)


def test_the_labs_networks_run_in_single_precision_throughout():
    """What makes the fast engine fast: no layer of a network that this project quantizes needs more than float32."""
    for variant in ("lut-channel", "pwl-tensor"):
        network = load(GOLDEN / f"integer-{variant}.npz")
        arithmetic = IntegerArithmetic(network)
        assert {arithmetic.dtype(layer) for layer in network.layers} == {np.dtype(np.float32)}
        assert max(network.accumulator_bounds) < 2**24


@pytest.mark.parametrize("fill", [-128, 127])
def test_accumulators_at_their_bound(fill):
    """The worst input for every weight at once: sums beyond 2**24, so the fast engine must widen, and saturation."""
    weight = np.full((3, 3, 100, 2), 127, np.int8)
    weight[..., 1] = -127
    arrays = integer_layer_arrays(weight, np.array([5_000_000, -5_000_000], np.int32), 2.0**-19)
    head = integer_layer_arrays(np.eye(2, dtype=np.int8), np.zeros(2, np.int32), 1.0)
    layers = (
        Layer("conv", "conv2d", padding=1, arrays=arrays),
        Layer("gap", "max_pool", size=4, stride=4),
        Layer("linear", "linear", arrays=head),
    )
    network = integer_network((4, 4, 100), layers)
    assert network.accumulator_bounds[0] == 9 * 100 * 127 * 255 + 5_000_000 > 2**24
    codes = np.full((1, 4, 4, 100), fill, np.int8)
    expected = integer_reference.logits(network, codes)
    np.testing.assert_array_equal(IntegerStrictEngine(network).integer_logits(codes), expected)
    np.testing.assert_array_equal(IntegerEngine(network).integer_logits(codes), expected)


def test_accumulators_that_int32_cannot_hold_are_refused():
    arrays = integer_layer_arrays(np.full((9, 9, 100, 2), 127, np.int8), np.full(2, 2_000_000_000, np.int32), 1e-6)
    head = integer_layer_arrays(np.eye(2, dtype=np.int8), np.zeros(2, np.int32), 1.0)
    with pytest.raises(ValueError, match="layer conv: accumulators may reach 2262318500, which int32 cannot hold"):
        integer_network((9, 9, 100), (Layer("conv", "conv2d", arrays=arrays), Layer("linear", "linear", arrays=head)))


@settings(max_examples=20, deadline=None)
@given(integer_reference.networks())
def test_trace_and_logits_of_both_engines(network):
    images = np.random.default_rng(0).integers(0, 256, (3, *network.input_shape), np.uint8)
    strict, fast = IntegerStrictEngine(network), IntegerEngine(network)
    logits = fast.predict(images)
    assert logits.dtype == np.float32
    np.testing.assert_array_equal(logits, strict.predict(images))
    trace = fast.trace(images)
    assert list(trace) == [layer.name for layer in network.layers]
    assert {name: values.shape[1:] for name, values in trace.items()} == network.shapes
    np.testing.assert_array_equal(trace["linear"], logits)


def test_an_engine_refuses_a_network_of_another_arithmetic():
    network = load(GOLDEN / "integer-lut-channel.npz")
    for engine in (FloatEngine, DequantizedEngine):
        with pytest.raises(
            ValueError, match=r"this engine needs a network in (float|dequantized) arithmetic, not integer"
        ):
            engine(network)


def integer_layer_arrays(weight: np.ndarray, bias: np.ndarray, factor: float) -> dict[str, np.ndarray]:
    multiplier, shift = fixed_point.encode(np.array([factor]))
    affine = {"output_scale": np.array(1, np.float32), "output_zero_point": np.array(0, np.int8)}
    return {"weight": weight, "bias": bias, "multiplier": multiplier, "shift": shift, **affine}


def integer_network(input_shape: tuple[int, int, int], layers: tuple[Layer, ...]) -> Network:
    channels = input_shape[2]
    entering = Affine(np.array(1, np.float32), np.full(channels, -128, np.int8))
    preprocessing = Preprocessing((0.5,) * channels, (0.5,) * channels)
    return Network("integer", input_shape, preprocessing, ("a", "b"), layers, "lut", "tensor", 16, entering)
