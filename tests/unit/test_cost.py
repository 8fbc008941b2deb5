"""Every framework counts the same network alike: as by hand, as PyTorch's counter, as torchinfo."""

import gzip
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
import torch
import torchinfo
from onnx import NodeProto, TensorProto, helper, numpy_helper
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from compresslab.compress import ptq_onnx, quantize_numpy
from compresslab.config.methods import export_onnx as export_onnx_settings
from compresslab.config.methods import ptq_onnx as ptq_onnx_settings
from compresslab.data.preprocessing import Preprocessing
from compresslab.export import numpy_network
from compresslab.export import onnx as onnx_export
from compresslab.measure import cost_numpy, cost_onnx, cost_torch
from compresslab.measure.cost import Costs, LayerCost
from compresslab.models.numpy import network as networks
from compresslab.models.torch import artifact

SHAPE = (28, 28, 1)
CLASSES = tuple("0123456789")
PREPROCESSING = Preprocessing((0.13,), (0.31,))
MACS = {"conv1": 28 * 28 * 9 * 8, "conv2": 28 * 28 * 72 * 16, "conv3": 14 * 14 * 144 * 32, "linear": 32 * 10}
PARAMETERS = {"conv1": 9 * 8 + 8, "conv2": 72 * 16 + 16, "conv3": 144 * 32 + 32, "linear": 32 * 10 + 10}
ZEROED = 144


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def costs(folder: Path) -> dict[str, Costs]:
    """The costs of one gapcnn, with one filter set to zero, in every form that the lab gives it."""
    torch.manual_seed(0)
    images = np.random.default_rng(0).integers(0, 256, (16, *SHAPE), dtype=np.uint8)
    gapcnn = artifact.build("gapcnn", SHAPE, 10).eval()
    with torch.no_grad():
        gapcnn.get_parameter("conv3.weight")[0] = 0
    artifact.save(folder / "torch.safetensors", artifact.TorchModel(gapcnn, "gapcnn", SHAPE, PREPROCESSING, CLASSES))
    network = numpy_network.to_network(gapcnn, PREPROCESSING, CLASSES, SHAPE)
    networks.save(network, folder / "float.npz")
    for arithmetic, activations in (("integer", "lut"), ("integer", "pwl"), ("dequantized", "lut")):
        settings = SimpleNamespace(
            arithmetic=arithmetic,
            activations=activations,
            granularity="channel",
            segments=16,
            calibration=SimpleNamespace(ranges="minmax", percentile=99.99),
        )
        quantized = quantize_numpy.quantize(network, images, settings)
        networks.save(quantized, folder / f"{arithmetic}-{activations}.npz")
    exported = folder / "float.onnx"
    onnx_export.export(
        gapcnn, exported, export_onnx_settings.Parameters.model_validate({}), PREPROCESSING, CLASSES, images
    )
    ptq_onnx.quantize(exported, folder / "int8.onnx", images, ptq_onnx_settings.Parameters.model_validate({}))
    counters = {".safetensors": cost_torch, ".onnx": cost_onnx, ".npz": cost_numpy}
    return {path.name: counters[path.suffix].count(path, SHAPE) for path in folder.iterdir()}


def test_the_lab_has_every_form(costs: dict[str, Costs]) -> None:
    assert len(costs) == 7


def test_all_frameworks_agree_with_the_count_by_hand(costs: dict[str, Costs]) -> None:
    for name, counted in costs.items():
        assert (name, counted.macs, counted.flops) == (name, 1_863_104, 3_726_208)
        assert (name, counted.parameters) == (name, 6_218)
        by_layer = {layer.layer: layer.macs for layer in counted.layers if layer.macs}
        assert list(by_layer.values()) == list(MACS.values())
        assert [layer.parameters for layer in counted.layers if layer.parameters] == list(PARAMETERS.values())
    for name in ("torch.safetensors", "float.npz", "float.onnx", "integer-lut.npz"):
        assert {layer.layer: layer.macs for layer in costs[name].layers if layer.macs} == MACS


def test_zero_weights_are_seen_in_every_form(costs: dict[str, Costs]) -> None:
    for name in ("torch.safetensors", "float.npz", "float.onnx"):
        assert costs[name].nonzero_parameters == 6_218 - ZEROED
    for name in ("integer-lut.npz", "dequantized-lut.npz", "int8.onnx"):
        assert 6_218 - ZEROED - 200 < costs[name].nonzero_parameters <= 6_218 - ZEROED


def test_zero_weights_are_seen_in_their_layer(costs: dict[str, Costs]) -> None:
    for name in ("torch.safetensors", "float.npz", "float.onnx"):
        zeros = {layer.layer: layer.parameters - layer.nonzero_parameters for layer in costs[name].layers}
        assert {layer: count for layer, count in zeros.items() if count} == {"conv3": ZEROED}


def test_layers_add_up_to_the_totals(costs: dict[str, Costs]) -> None:
    for counted in costs.values():
        for column in ("parameters", "nonzero_parameters", "macs", "weight_bytes", "activation_bytes"):
            assert sum(getattr(layer, column) for layer in counted.layers) == getattr(counted, column)


def test_activations_take_the_same_bytes_in_every_framework(costs: dict[str, Costs]) -> None:
    # Both first convolutions, the pooling, the last convolution, the means, the logits.
    outputs = 28 * 28 * (8 + 16) + 14 * 14 * (16 + 32) + 32 + 10
    for name in ("torch.safetensors", "float.npz", "float.onnx"):
        assert costs[name].activation_bytes == 4 * outputs
    assert costs["integer-lut.npz"].activation_bytes == outputs
    # The logits of dequantized arithmetic stay real.
    assert costs["dequantized-lut.npz"].activation_bytes == outputs + 3 * 10


def test_weights_tables_and_quantization_parameters_are_apart(costs: dict[str, Costs]) -> None:
    for name in ("torch.safetensors", "float.npz", "float.onnx"):
        assert costs[name].weight_bytes == costs[name].stored_bytes == 4 * 6_218
        assert costs[name].table_bytes == costs[name].quantization_bytes == 0
    integers = 6_152 + 4 * 66
    assert costs["integer-lut.npz"].weight_bytes == costs["int8.onnx"].weight_bytes == integers
    assert costs["integer-lut.npz"].stored_bytes == integers + 2 * 256
    assert 0 < costs["integer-pwl.npz"].table_bytes < 2 * 256
    assert costs["dequantized-lut.npz"].stored_bytes == 6_218 + 2 * 256
    assert all(costs[name].quantization_bytes > 0 for name in ("integer-lut.npz", "dequantized-lut.npz", "int8.onnx"))


def test_activation_memory_is_a_quarter_in_integers(costs: dict[str, Costs]) -> None:
    # The second convolution holds the most: it reads 28 x 28 x 8 values and writes 28 x 28 x 16.
    peak = 28 * 28 * (8 + 16)
    for name in ("torch.safetensors", "float.npz", "float.onnx"):
        assert costs[name].activation_peak_bytes == 4 * peak
    for name in ("integer-lut.npz", "dequantized-lut.npz"):
        assert costs[name].activation_peak_bytes == peak
    assert peak <= costs["int8.onnx"].activation_peak_bytes < 2 * peak
    float_layers, int8_layers = costs["float.onnx"].layers, costs["int8.onnx"].layers
    assert 4 * int8_layers[0].activation_bytes == float_layers[0].activation_bytes == 4 * 28 * 28 * 8


def test_files_are_measured_as_they_are_and_compressed_without_a_time_stamp(
    costs: dict[str, Costs], folder: Path
) -> None:
    for name, counted in costs.items():
        content = (folder / name).read_bytes()
        assert counted.file_bytes == len(content)
        assert counted.file_gz_bytes == len(gzip.compress(content, 9, mtime=0)) < counted.file_bytes


def test_rows_are_ready_for_tables(costs: dict[str, Costs]) -> None:
    counted = costs["torch.safetensors"]
    assert "layers" not in counted.totals()
    assert counted.layer_rows()[0]["output_shape"] == "8x28x28"
    assert counted.to_json()["layers"] == counted.layer_rows()


def blocks() -> Sequence[tuple[str, nn.Module]]:
    strided = nn.Conv2d(3, 8, 5, stride=2, padding=2, bias=False)
    return [
        ("depthwise", nn.Sequential(nn.Conv2d(3, 6, 3, groups=3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 4, 1))),
        (
            "strided",
            nn.Sequential(strided, nn.Flatten(), nn.Linear(512, 5)),
        ),
        ("decoder", nn.Sequential(nn.MaxPool2d(2), nn.ConvTranspose2d(3, 4, 2, stride=2, groups=1), nn.Sigmoid())),
    ]


@pytest.mark.parametrize(("name", "network"), blocks())
def test_torch_layers_agree_with_two_other_counters(name: str, network: nn.Module) -> None:
    counted = cost_torch.count_layers(network, (16, 16, 3)).costs
    images = torch.zeros(1, 3, 16, 16)
    with FlopCounterMode(display=False) as counter:
        network(images)
    assert 2 * sum(layer.macs for layer in counted) == counter.get_total_flops()
    summary = torchinfo.summary(network, input_data=images, verbose=0)
    assert sum(layer.parameters for layer in counted) == summary.total_params
    # torchinfo also counts normalizations and biases, and transposed convolutions by their output.
    if name == "strided":
        assert sum(layer.macs for layer in counted) + network.get_parameter("2.bias").numel() == summary.total_mult_adds


def test_running_statistics_are_stored_but_not_trained() -> None:
    (normalization,) = cost_torch.count_layers(nn.Sequential(nn.BatchNorm2d(3)), (4, 4, 3)).costs
    assert (normalization.parameters, normalization.weight_bytes, normalization.macs) == (6, 4 * 12, 0)


class HiddenProduct(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images @ images.transpose(2, 3)


def test_a_product_that_no_rule_knows_is_an_error_not_a_zero() -> None:
    with pytest.raises(ValueError, match="has no rule for"):
        cost_torch.count_layers(nn.Sequential(HiddenProduct()), (8, 8, 3))


def graph_costs(
    path: Path, nodes: list[NodeProto], constants: dict[str, np.ndarray], output: str = "logits"
) -> dict[str, LayerCost]:
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ("N", 4, 8, 8))],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("somebody.else", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets), path)
    return {layer.layer: layer for layer in cost_onnx.count(path, (8, 8, 4)).layers}


def zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


def test_onnx_products_are_counted_by_their_shapes(tmp_path: Path) -> None:
    layers = graph_costs(
        tmp_path / "model.onnx",
        [
            helper.make_node("Conv", ["images", "grouped"], ["a"], "grouped", group=2, pads=[1, 1, 1, 1]),
            helper.make_node("BatchNormalization", ["a", "scale", "shift", "mean", "variance"], ["b"], "normalized"),
            helper.make_node("ConvTranspose", ["b", "up"], ["c"], "upsampled", strides=[2, 2]),
            helper.make_node("GlobalAveragePool", ["c"], ["d"], "pooled"),
            helper.make_node("Flatten", ["d"], ["e"], "flat"),
            helper.make_node("MatMul", ["e", "hidden"], ["f"], "hidden"),
            helper.make_node("Add", ["f", "hidden_bias"], ["g"], "biased"),
            helper.make_node("Mul", ["g", "half"], ["h"], "halved"),
            helper.make_node("Gemm", ["h", "last", "last_bias"], ["logits"], "last", transB=1),
        ],
        {
            "grouped": zeros(6, 2, 3, 3),
            **{name: np.ones(6, np.float32) for name in ("scale", "shift", "mean", "variance")},
            "up": zeros(6, 5, 2, 2),
            "hidden": zeros(5, 7),
            "hidden_bias": zeros(7),
            "half": np.float32(0.5) * np.ones(1, np.float32),
            "last": zeros(3, 7),
            "last_bias": zeros(3),
        },
    )
    assert {name: layer.macs for name, layer in layers.items() if layer.macs} == {
        "grouped": 8 * 8 * 6 * 2 * 9,
        "upsampled": 8 * 8 * 6 * 5 * 4,
        "hidden": 5 * 7,
        "last": 7 * 3,
    }
    assert {name: layer.parameters for name, layer in layers.items() if layer.parameters} == {
        **{"grouped": 108, "normalized": 12, "upsampled": 120, "hidden": 35, "biased": 7, "last": 24},
    }
    assert layers["normalized"].weight_bytes == 4 * 24


def test_a_residual_that_waits_is_held_in_memory(tmp_path: Path) -> None:
    weight = {"first": zeros(4, 4, 1, 1), "second": zeros(4, 4, 1, 1)}
    path = tmp_path / "model.onnx"
    chain = [
        helper.make_node("Conv", ["images", "first"], ["a"], "first"),
        helper.make_node("Conv", ["a", "second"], ["logits"], "second"),
    ]
    graph_costs(path, chain, weight)
    plain = cost_onnx.count(path, (8, 8, 4)).activation_peak_bytes
    chain[1].output[0] = "b"
    graph_costs(path, [*chain, helper.make_node("Add", ["images", "b"], ["logits"], "sum")], weight)
    residual = cost_onnx.count(path, (8, 8, 4)).activation_peak_bytes
    tensor_bytes = 4 * 8 * 8 * 4
    assert (plain, residual) == (2 * tensor_bytes, 3 * tensor_bytes)


def test_weighing_channels_takes_no_memory_beside_the_means(tmp_path: Path) -> None:
    """Axes of one element move without a copy, and the product is written where its last reader is."""
    exchanged = [0, 2, 1, 3]
    layers = graph_costs(
        tmp_path / "model.onnx",
        [
            helper.make_node("GlobalAveragePool", ["images"], ["means"], "means"),
            helper.make_node("Transpose", ["means"], ["column"], "column", perm=exchanged),
            helper.make_node("Conv", ["column", "taps"], ["mixed"], "mixed", pads=[1, 0, 1, 0]),
            helper.make_node("Sigmoid", ["mixed"], ["weights"], "weights"),
            helper.make_node("Transpose", ["weights"], ["row"], "row", perm=exchanged),
            helper.make_node("Mul", ["images", "row"], ["logits"], "weighted"),
        ],
        {"taps": zeros(1, 1, 3, 1)},
    )
    taken = {name: layer.activation_bytes for name, layer in layers.items() if layer.activation_bytes}
    assert taken == {"means": 4 * 4, "mixed": 4 * 4}


def test_what_is_read_later_is_not_written_over(tmp_path: Path) -> None:
    layers = graph_costs(
        tmp_path / "model.onnx",
        [
            helper.make_node("Relu", ["images"], ["a"], "kept"),
            helper.make_node("Reshape", ["a", "shape"], ["b"], "view"),
            helper.make_node("Relu", ["b"], ["c"], "beside"),
            helper.make_node("Transpose", ["a"], ["d"], "moved", perm=[0, 1, 3, 2]),
            helper.make_node("Add", ["c", "d"], ["logits"], "sum"),
        ],
        {"shape": np.array([0, 4, 8, 8])},
    )
    assert {name for name, layer in layers.items() if layer.activation_bytes} == {"beside", "moved"}


def test_an_onnx_product_without_a_rule_is_an_error(tmp_path: Path) -> None:
    product = helper.make_node("Einsum", ["images", "images"], ["logits"], "product", equation="nchw,nchw->n")
    with pytest.raises(ValueError, match=r"node product: .* no rule to count Einsum"):
        graph_costs(tmp_path / "model.onnx", [product], {})


def test_a_shape_that_cannot_be_inferred_is_an_error(tmp_path: Path) -> None:
    unknown = helper.make_node("Mystery", ["images"], ["logits"], "unknown", domain="somebody.else")
    with pytest.raises(ValueError, match="shape of tensor logits cannot be inferred"):
        graph_costs(tmp_path / "model.onnx", [unknown], {})


@pytest.mark.parametrize("counter", [cost_torch, cost_numpy, cost_onnx])
def test_a_damaged_file_is_named(counter: SimpleNamespace, tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(b"this is no model")
    with pytest.raises(ValueError, match=r"model\.bin"):
        counter.count(path, SHAPE)


def test_a_network_for_other_images_is_refused(costs: dict[str, Costs], folder: Path) -> None:
    assert costs
    with pytest.raises(ValueError, match=r"for images of shape \(28, 28, 1\), not \(32, 32, 3\)"):
        cost_numpy.count(folder / "float.npz", (32, 32, 3))
