"""The container: what it stores comes back, and whatever is wrong with a file is said in one line that names it."""

import json
from contextlib import suppress
from dataclasses import replace

import integer_reference
import numpy as np
import pytest
from hypothesis import given, settings

from compresslab.data.preprocessing import Preprocessing
from compresslab.models.numpy.network import Layer, Network, load, save


def small_network() -> Network:
    generator = np.random.default_rng(0)

    def weighted(*shape: int) -> dict[str, np.ndarray]:
        return {"weight": generator.normal(size=shape).astype(np.float32), "bias": np.zeros(shape[-1], np.float32)}

    layers = (
        Layer("conv", "conv2d", "gelu", stride=2, padding=1, arrays=weighted(3, 3, 1, 4)),
        Layer("pool", "max_pool", size=2, stride=2),
        Layer("gap", "global_average_pool"),
        Layer("linear", "linear", arrays=weighted(4, 2)),
    )
    return Network("float", (8, 8, 1), Preprocessing((0.5,), (0.25,)), ("cat", "犬"), layers)


def assert_equal(one: Network, other: Network) -> None:
    for setting in ("arithmetic", "input_shape", "preprocessing", "classes", "activations", "granularity", "segments"):
        assert getattr(one, setting) == getattr(other, setting)
    assert [replace(layer, arrays={}) for layer in one.layers] == [replace(layer, arrays={}) for layer in other.layers]
    arrays, others = dict(one.arrays()), dict(other.arrays())
    assert arrays.keys() == others.keys()
    for name, array in arrays.items():
        assert array.dtype == others[name].dtype
        np.testing.assert_array_equal(array, others[name])


def test_a_float_network_comes_back(tmp_path):
    network = small_network()
    save(network, tmp_path / "model.npz")
    assert_equal(network, load(tmp_path / "model.npz"))
    assert network.shapes == {"conv": (4, 4, 4), "pool": (2, 2, 4), "gap": (4,), "linear": (2,)}
    save(network, tmp_path / "again.npz")
    assert (tmp_path / "model.npz").read_bytes() == (tmp_path / "again.npz").read_bytes()


@settings(max_examples=15, deadline=None)
@given(network=integer_reference.networks())
def test_an_integer_network_comes_back(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("networks") / "model.npz"
    save(network, path)
    assert_equal(network, load(path))


def test_counts():
    network = small_network()
    assert network.parameters == 36 + 4 + 8 + 2
    assert network.nonzero_parameters == 36 + 8
    assert network.weight_bytes == 4 * network.parameters
    assert network.table_bytes == network.quantization_bytes == 0


def damage_header(members, **changes):
    header = json.loads(str(members["network"])) | changes
    return members | {"network": np.array(json.dumps(header))}


DAMAGES = {
    "its version is 9": lambda m: damage_header(m, version=9),
    "its format is not 'compresslab-network'": lambda m: damage_header(m, format="x"),
    "it has no member 'network'": lambda m: {name: array for name, array in m.items() if name != "network"},
    "layer conv: has the arrays \\['weight'\\], needs": lambda m: {n: a for n, a in m.items() if n != "conv.bias"},
    "it has arrays of no layer: ghost": lambda m: m | {"ghost.weight": np.zeros(2, np.float32)},
    "layer conv: bias is float64": lambda m: m | {"conv.bias": m["conv.bias"].astype(np.float64)},
    "layer conv: bias is float32 \\(3,\\), needs": lambda m: m | {"conv.bias": m["conv.bias"][:3]},
    "layer conv: weight is not finite": lambda m: m | {"conv.weight": m["conv.weight"] * np.float32(np.nan)},
    "layer linear: weight \\(5, 2\\) does not read 4 features": lambda m: (
        m | {"linear.weight": np.zeros((5, 2), np.float32)}
    ),
    "the last layer gives \\(2,\\), not 3 classes": lambda m: damage_header(m, classes=["a", "b", "c"]),
    "unknown arithmetic 'ternary'": lambda m: damage_header(m, arithmetic="ternary"),
    "input_shape must be three positive integers": lambda m: damage_header(m, input_shape=[8, 8]),
    "preprocessing has 2 channels": lambda m: damage_header(m, preprocessing={"mean": [0, 0], "std": [1, 1]}),
    "unknown kind 'dropout'": lambda m: damage_header(m, layers=[{"name": "a", "kind": "dropout"}]),
    "a gap|global_average_pool has the settings": lambda m: damage_header(
        m, layers=[{"name": "gap", "kind": "global_average_pool", "size": 3}]
    ),
    "layers need distinct names other than 'input', got \\['gap', 'gap'\\]": lambda m: damage_header(
        {"network": m["network"]}, layers=[{"name": "gap", "kind": "global_average_pool"}] * 2
    ),
    "its description lacks classes, layers": lambda m: (
        m
        | {
            "network": np.array(
                json.dumps({k: v for k, v in json.loads(str(m["network"])).items() if k not in ("classes", "layers")})
            )
        }
    ),
    "input_shape, classes and layers must be lists": lambda m: damage_header(m, layers=7),
    "is not a usable NumPy network": lambda m: m | {"network": np.array("{")},
}


@pytest.mark.parametrize("complaint", DAMAGES)
def test_an_inconsistent_file_is_explained_in_one_line(tmp_path, complaint):
    path = tmp_path / "model.npz"
    save(small_network(), path)
    with np.load(path) as archive:
        members = DAMAGES[complaint]({name: archive[name] for name in archive.files})
    np.savez(path, **members)
    with pytest.raises(ValueError, match=complaint) as refusal:
        load(path)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("setting", [{"stride": 0}, {"padding": -1}, {"stride": 1.5}, {"padding": True}])
def test_impossible_settings_are_named(setting):
    network = small_network()
    with pytest.raises(ValueError, match=f"layer conv: {next(iter(setting))} must be an integer of at least"):
        replace(network, layers=(replace(network.layers[0], **setting), *network.layers[1:]))


@pytest.mark.parametrize("kept", [0, 10, 100, 1000, -1])
def test_a_truncated_file_is_explained_in_one_line(tmp_path, kept):
    path = tmp_path / "model.npz"
    save(small_network(), path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"model\.npz") as refusal:
        load(path)
    assert "\n" not in str(refusal.value)


def test_flipped_bits_are_never_loaded_silently(tmp_path):
    path = tmp_path / "model.npz"
    save(small_network(), path)
    sound = path.read_bytes()
    reference = load(path)
    for position in range(0, len(sound), 7):
        damaged = bytearray(sound)
        damaged[position] ^= 0x10
        path.write_bytes(bytes(damaged))
        # Either the flip was in bytes that mean nothing, such as a time stamp, or it is noticed.
        with suppress(ValueError):
            assert_equal(reference, load(path))


@pytest.mark.parametrize("content", [b"hello", b"\x93NUMPY", b"PK\x05\x06" + bytes(18)])
def test_a_foreign_file_is_explained_in_one_line(tmp_path, content):
    path = tmp_path / "model.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"model\.npz"):
        load(path)


def test_a_plain_array_and_pickled_objects_are_refused(tmp_path):
    path = tmp_path / "model.npz"
    with path.open("wb") as stream:
        np.save(stream, np.zeros(3))
    with pytest.raises(ValueError, match=r"model\.npz"):
        load(path)
    np.savez(path, network=np.array([{"format": "compresslab-network"}], dtype=object))
    with pytest.raises(ValueError, match=r"model\.npz"):
        load(path)


def test_a_missing_file_stays_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "absent.npz")
