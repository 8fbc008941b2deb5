"""Layers quantized one at a time, layers left in float, and quantization without calibration."""

import csv
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from textures import CLASSES, PREPROCESSING, SHAPE, gapcnn, textures
from torch import nn
from torch.nn.functional import relu

from compresslab.compress import onnx_file, ptq_onnx, ptq_onnx_dynamic, reduced_range
from compresslab.compress.ptq_onnx import Calibrated, calibrated
from compresslab.compress.ptq_onnx_mixed import check_count, layers_of, write_alone, write_mixed
from compresslab.config.methods import export_onnx, ptq_onnx_mixed
from compresslab.config.methods.ptq_onnx_dynamic import Parameters as Dynamic
from compresslab.data.card import DataCard
from compresslab.data.prepared import Samples, content_sha256, read_split, write_prepared
from compresslab.engines.contract import open_engine
from compresslab.export.onnx import export
from compresslab.measure import cost_onnx
from compresslab.measure.audit import AuditError, audit
from compresslab.measure.layers import layer_errors
from compresslab.measure.predictions import Predictions
from compresslab.measure.sensitivity import change, most_sensitive
from compresslab.models.torch.layers import Addition
from compresslab.tables.collect import identified, read_piece
from compresslab.tables.schemas import TABLES

TRAIN, PROBE = textures(60, seed=1), textures(80, seed=2)
OUTLIER = 300
SETTINGS = {"granularity": "tensor", "reduce_range": True, "calibration": {"images": 60}}


def outlying() -> nn.Module:
    """Return gapcnn with one filter of conv1 so large that a scale for the tensor leaves nothing of the others.

    The weights that read its output are as much smaller, and a ReLU lies between: the float network is the same.
    """
    torch.manual_seed(1)
    module = gapcnn().eval()
    with torch.no_grad():
        for name in ("weight", "bias"):
            module.get_parameter(f"conv1.{name}")[0] *= OUTLIER
        module.get_parameter("conv2.weight")[:, 0] /= OUTLIER
    return module


@pytest.fixture(autouse=True)
def cpu_without_vnni(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests decide alike on every host, and need not wait a second for the CPU's description."""
    monkeypatch.setattr(reduced_range.cpuinfo, "get_cpu_info", lambda: {"flags": ["avx2"]})


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("outlying") / "model.onnx"
    export(outlying(), path, export_onnx.Parameters(), PREPROCESSING, CLASSES, TRAIN.images[:8])
    return path


@pytest.fixture
def ready(model: Path) -> Iterator[Calibrated]:
    with calibrated(model, TRAIN.images, ptq_onnx_mixed.Parameters(**SETTINGS), threads=1) as found:
        yield found


@pytest.fixture(scope="module")
def made(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the stage makes when one layer may stay float."""
    folder = tmp_path_factory.mktemp("made")
    run_stage(model, folder, {**SETTINGS, "float_layers": 1, "probe_images": 40}).check_returncode()
    return folder


def run_stage(model: Path, folder: Path, parameters: dict) -> subprocess.CompletedProcess[str]:
    empty = Samples(PROBE.images[:0], PROBE.labels[:0])
    probe = Samples(PROBE.images, PROBE.labels)
    splits = {"train": Samples(TRAIN.images, TRAIN.labels), "validation": probe, "test": empty}
    text = {"en": "x", "zh-TW": "x"}
    card = DataCard(
        dataset="textures", source="embedded", title=text, description=text, embedded=True, substitute=False,
        classes=list(CLASSES), image_shape=SHAPE, counts={}, mean=[0.4], std=[0.3],
        content_sha256=content_sha256(splits), files=[], protocol=text, caveats=[], licence="x", citation="x",
    )  # fmt: skip
    write_prepared(folder / "data.npz", splits, card)
    files = {"parent": model, "data": folder / "data.npz", "model": folder / "model.onnx"}
    files |= {"card": folder / "card.json", "sensitivity": folder / "sensitivity.csv"}
    options = [text for name, path in files.items() for text in (f"--{name}", str(path))]
    command = [sys.executable, "-m", "compresslab.stages.ptq_onnx_mixed", *options]
    spec = json.dumps({"parameters": parameters})
    return subprocess.run([*command, "--spec", spec], capture_output=True, text=True, check=False)


def rows_of(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "sensitivity.csv").read_text().splitlines()))


def predictions(path: Path) -> Predictions:
    logits = open_engine("onnxruntime", path, threads=1).predict(PROBE.images)
    return Predictions(logits, PROBE.labels, PROBE.indices)


def metadata(path: Path) -> dict[str, str]:
    return {entry.key: entry.value for entry in onnx.load(path).metadata_props}


def rounded(values: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """Round to 256 steps between the smallest and the largest value seen, zero among them."""
    low, high = min(seen.min().item(), 0), max(seen.max().item(), 0)
    scale = (high - low) / 255
    zero = round(-low / scale)
    return ((values / scale).round() + zero).clip(0, 255).sub(zero) * scale


def inputs(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(PREPROCESSING.normalize(images)).permute(0, 3, 1, 2)


class TestSensitivity:
    def test_equals_a_quantization_of_the_layer_by_hand(self, made: Path) -> None:
        """The first convolution with its ReLU: input, weights and output rounded, everything else in float."""
        module = outlying()
        weight = module.get_parameter("conv1.weight").detach()
        scale = weight.abs().max() / 64  # 7 bits.
        seen, probe = inputs(TRAIN.images), inputs(PROBE.images)
        with torch.no_grad():
            range_of_output = relu(module.get_submodule("conv1")(seen))
            expected = module(probe).numpy()
            module.get_parameter("conv1.weight").copy_((weight / scale).round() * scale)
            values = relu(module.get_submodule("conv1")(rounded(probe, seen)))
            found = module[2:](rounded(values, range_of_output)).numpy()
        row = next(row for row in rows_of(made) if row["layer"] == "conv1")
        probed = read_split(made / "data.npz", "validation", 40).indices
        found, expected = found[probed], expected[probed]
        by_hand = 100 * np.linalg.norm(found - expected) / np.linalg.norm(expected)
        assert by_hand > 5
        assert float(row["relative_l2_percent"]) == pytest.approx(by_hand, rel=0.02)
        agreement = 100 * np.mean(found.argmax(1) == expected.argmax(1))
        assert float(row["agreement_percent"]) == pytest.approx(agreement, abs=100 / 40)

    def test_a_layer_with_outliers_comes_first_and_stays_float(self, made: Path) -> None:
        rows = rows_of(made)
        assert [row["layer"] for row in rows] == ["conv1", "conv2", "conv3", "linear"]
        assert [row["operator"] for row in rows] == ["Conv", "Conv", "Conv", "Gemm"]
        worst = max(rows, key=lambda row: float(row["relative_l2_percent"]))
        assert [row["layer"] for row in rows if row["kept_float"] == "True"] == [worst["layer"]] == ["conv1"]

    def test_fits_its_table_and_the_costs(self, made: Path) -> None:
        piece = identified(read_piece(made / "sensitivity.csv", "sensitivity"), "a-lab/gapcnn/mixed", 0)
        table = TABLES["sensitivity"].validated(piece)
        assert table["probe_images"].unique().tolist() == [40]
        costs = cost_onnx.count(made / "model.onnx", SHAPE)
        assert table["macs"].tolist() == [layer.macs for layer in costs.layers if layer.macs]

    def test_of_equal_layers_the_first_is_kept(self) -> None:
        rows = [{"relative_l2_percent": value} for value in (1.0, 3.0, 2.0, 3.0, 3.0)]
        assert most_sensitive(rows, 2) == [1, 3]
        assert most_sensitive(rows, 4) == [1, 2, 3, 4]

    def test_change_is_in_the_units_of_its_names(self) -> None:
        labels = np.array([0, 1])
        reference = Predictions(np.array([[3.0, 0.0], [0.0, 4.0]]), labels, labels)
        quantized = Predictions(np.array([[3.0, 0.0], [0.5, 0.0]]), labels, labels)
        found = change(reference, quantized)
        assert found["relative_l2_percent"] == pytest.approx(100 * np.sqrt(16.25) / 5)
        assert (found["probe_images"], found["agreement_percent"], found["accuracy_difference_points"]) == (2, 50, -50)
        loss = np.log1p(np.exp(0.5)) - np.log1p(np.exp(-4.0))
        assert found["loss_increase"] == pytest.approx(loss / 2)


class TestMixedPrecision:
    def test_the_audit_takes_the_layers_that_the_model_names_and_no_others(self, made: Path, tmp_path: Path) -> None:
        rows = {row.node: row for row in audit(made / "model.onnx", [])}
        assert {name: rows[name].runs_as for name in ("conv1", "conv2", "conv3", "linear")} == {
            "conv1": "float", "conv2": "integer", "conv3": "integer", "linear": "integer",
        }  # fmt: skip
        assert metadata(made / "model.onnx")["float_nodes"] == '["conv1"]'
        silent = onnx.load(made / "model.onnx")
        kept = {name: text for name, text in metadata(made / "model.onnx").items() if name != "float_nodes"}
        onnx_file.write_model(silent, tmp_path / "silent.onnx", kept | {"float_nodes": '["conv2"]'})
        with pytest.raises(AuditError, match=r"computes in float: conv1 "):
            audit(tmp_path / "silent.onnx", [])

    def test_the_card_names_the_float_layers(self, made: Path) -> None:
        decisions = json.loads((made / "card.json").read_text())["decisions"]
        assert (decisions["float_layers"], decisions["float_nodes"]) == (["conv1"], ["conv1"])

    def test_is_nearer_to_the_float_network_than_integers_alone(self, model: Path, made: Path, tmp_path: Path) -> None:
        ptq_onnx.quantize(model, tmp_path / "whole.onnx", TRAIN.images, ptq_onnx_mixed.Parameters(**SETTINGS))
        reference = predictions(model)
        whole, mixed = (change(reference, predictions(path)) for path in (tmp_path / "whole.onnx", made / "model.onnx"))
        assert mixed["relative_l2_percent"] < whole["relative_l2_percent"] / 2

    def test_all_layers_pair_up_with_those_of_the_float_network(self, model: Path, made: Path) -> None:
        engines = [open_engine("onnxruntime", path, threads=1) for path in (model, made / "model.onnx")]
        reference, trace = (engine.trace(PROBE.images[:8]) for engine in engines)
        errors = layer_errors([(reference, trace)]).set_index("layer")["relative_l2_percent"]
        # What conv2 reads is rounded, and that is conv1's output.
        assert 0 < errors["conv1"] < 1
        assert list(errors.index) == list(reference)

    @pytest.mark.parametrize("float_layers", [4, 99])
    def test_nothing_left_to_quantize_is_told_in_a_line(self, ready: Calibrated, float_layers: int) -> None:
        layers = layers_of(ready)
        check_count(layers, 3)
        with pytest.raises(
            ValueError, match=f"float_layers: {float_layers} leaves nothing .* 4 layers; choose 3"
        ) as error:
            check_count(layers, float_layers)
        assert "\n" not in str(error.value)

    def test_one_layer_alone_leaves_the_others_in_float(self, ready: Calibrated, tmp_path: Path) -> None:
        conv2 = layers_of(ready)[1]
        assert conv2.nodes == ("conv2", "selu2", "pool2")
        write_alone(ready, conv2, tmp_path / "alone.onnx")
        rows = {row.node: row.runs_as for row in audit(tmp_path / "alone.onnx", ["*"])}
        assert {rows[name] for name in ("conv1", "conv3", "linear")} <= {"float", "unfused"}
        assert rows["conv2"] == "integer"


class Shortcuts(nn.Module):
    """A block whose shortcut is a convolution, and one whose shortcut is named first."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.conv1 = nn.Conv2d(4, 4, 3, padding=1)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1)
        self.shortcut = nn.Conv2d(4, 4, 1)
        self.add1 = Addition()
        self.relu2 = nn.ReLU()
        self.conv3 = nn.Conv2d(4, 4, 3, padding=1)
        self.add2 = Addition()
        self.relu3 = nn.ReLU()
        self.linear = nn.Linear(4, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.stem(images)
        maps = self.relu2(self.add1(self.shortcut(maps), self.conv2(self.relu1(self.conv1(maps)))))
        maps = self.relu3(self.add2(maps, self.conv3(maps)))
        return self.linear(maps.mean((2, 3)))


@pytest.fixture(scope="module")
def residual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("residual") / "model.onnx"
    export(Shortcuts().eval(), path, export_onnx.Parameters(), PREPROCESSING, CLASSES, TRAIN.images[:8])
    return path


def test_an_addition_belongs_to_the_longer_branch(residual: Path) -> None:
    with calibrated(residual, TRAIN.images[:4], ptq_onnx_mixed.Parameters(**SETTINGS), threads=1) as ready:
        nodes = {layer.name: layer.nodes for layer in layers_of(ready)}
        names = [node.name for node in onnx.load(ready.model).graph.node]
    assert set(nodes) == {"stem", "conv1", "conv2", "shortcut", "conv3", "linear"}
    assert "add1" in nodes["conv2"]
    assert "add2" in nodes["conv3"]
    assert len(nodes["shortcut"]) == 1
    assert sorted(name for members in nodes.values() for name in members) == sorted(names)


def test_a_residual_network_is_mixed_and_every_variant_of_it_pairs_up(residual: Path, tmp_path: Path) -> None:
    reference = open_engine("onnxruntime", residual, threads=1).trace(PROBE.images[:8])
    settings = ptq_onnx_mixed.Parameters(**SETTINGS)
    with calibrated(residual, TRAIN.images, settings, threads=1) as ready:
        conv3 = next(layer for layer in layers_of(ready) if layer.name == "conv3")
        assert write_mixed(ready, [conv3], tmp_path / "mixed.onnx") == ["conv3"]
    int8 = settings.model_copy(update={"activations": "int8"})
    ptq_onnx.quantize(residual, tmp_path / "int8.onnx", TRAIN.images, int8)
    ptq_onnx_dynamic.quantize(residual, tmp_path / "dynamic.onnx", Dynamic(reduce_range=True))
    assert audit(tmp_path / "mixed.onnx", [])
    for name in ("mixed", "int8", "dynamic"):
        trace = open_engine("onnxruntime", tmp_path / f"{name}.onnx", threads=1).trace(PROBE.images[:8])
        errors = layer_errors([(reference, trace)])["relative_l2_percent"]
        assert errors.between(0.01, 10).all(), (name, errors)


class TestDynamic:
    @pytest.fixture(scope="class")
    def dynamic(self, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
        path = tmp_path_factory.mktemp("dynamic") / "model.onnx"
        ptq_onnx_dynamic.quantize(model, path, Dynamic(reduce_range=True))
        return path

    def test_answers_as_onnx_runtimes_own_does(self, model: Path, dynamic: Path, tmp_path: Path) -> None:
        own = tmp_path / "own.onnx"
        quantize_dynamic(model, own, per_channel=True, reduce_range=True, weight_type=QuantType.QInt8)
        session = onnxruntime.InferenceSession(own, providers=["CPUExecutionProvider"])
        (expected,) = session.run(["logits"], {"images": inputs(PROBE.images).numpy()})
        np.testing.assert_allclose(predictions(dynamic).logits, expected, atol=1e-5)
        assert change(predictions(model), predictions(dynamic))["relative_l2_percent"] > 0.1

    def test_products_are_integer_and_nothing_between_them_is(self, dynamic: Path) -> None:
        rows = audit(dynamic, [])
        integers = [row.operator for row in rows if row.runs_as == "integer"]
        assert integers == ["ConvInteger"] * 3 + ["DynamicQuantizeMatMul"]
        assert all(row.expected for row in rows)

    def test_costs_are_those_of_the_float_network_with_a_quarter_of_the_bytes(self, model: Path, dynamic: Path) -> None:
        expected, found = (cost_onnx.count(path, SHAPE) for path in (model, dynamic))
        assert (found.macs, found.parameters) == (expected.macs, expected.parameters)
        assert found.weight_bytes < 0.3 * expected.weight_bytes

    def test_keeps_the_metadata_and_gives_the_same_bytes_again(
        self, model: Path, dynamic: Path, tmp_path: Path
    ) -> None:
        assert metadata(dynamic) == metadata(model)
        ptq_onnx_dynamic.quantize(model, tmp_path / "again.onnx", Dynamic(reduce_range=True))
        assert (tmp_path / "again.onnx").read_bytes() == dynamic.read_bytes()
