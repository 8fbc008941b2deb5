"""Training for integers on an exported graph: what is simulated is what ONNX Runtime runs, all of it in integers."""

import json
from collections import Counter
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from quantized_networks import images, learnable, network, normalized, quiet
from textures import PREPROCESSING
from torch import nn

from compresslab.compress import reduced_range
from compresslab.compress.qat_pt2e import train
from compresslab.config.methods.qat_pt2e import Parameters
from compresslab.config.training import Optimizer
from compresslab.engines.contract import open_engine
from compresslab.export.pt2e_onnx import export
from compresslab.measure.audit import audit
from compresslab.measure.cost_onnx import count
from compresslab.measure.logits import difference
from compresslab.models.errors import ArtifactError
from compresslab.models.torch import pt2e_artifact
from compresslab.models.torch import pt2e_quantization as pt2e
from compresslab.models.torch.artifact import TorchModel
from compresslab.models.torch.rebuilt import made_of

CODE = 100 / 255


def simulated(model: TorchModel, reduce_range: bool = True) -> TorchModel:
    fake = pt2e.simulate(model.module, model.image_shape, reduce_range)
    pt2e.observe(fake, normalized(model, images(model.image_shape)))
    return made_of(model, fake)


class Files:
    """A fake-quantized network, its file and its ONNX file, made once since an export takes seconds."""

    def __init__(self, name: str, folder: Path, reduce_range: bool) -> None:
        self.model = network(name)
        self.fake = simulated(self.model, reduce_range)
        self.file, self.onnx = folder / "model.safetensors", folder / "model.onnx"
        pt2e_artifact.save(self.file, self.fake)
        export(self.fake, self.onnx, opset=20)
        self.simulating = open_engine("torch-qat-pt2e", self.file, 1)
        self.running = open_engine("onnxruntime", self.onnx, 1)


@pytest.fixture(scope="module", params=["lenet5", "small-unet"])
def files(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Files:
    # Without VNNI the sums of 8-bit weights saturate, so what is simulated would not be what runs.
    return Files(request.param, tmp_path_factory.mktemp(request.param), reduce_range=True)


class TestWhatRuns:
    def test_onnx_runtime_answers_like_what_simulates_it(self, files: Files) -> None:
        pixels = images(files.model.image_shape)
        found = difference(files.simulating.predict(pixels), files.running.predict(pixels))
        assert found.mean_percent < 1.5 * CODE
        assert found.largest_percent < 8 * CODE

    def test_every_value_is_rounded_and_the_answers_stay_near(self, files: Files) -> None:
        native = normalized(files.model, images(files.model.image_shape))
        with torch.no_grad():
            expected, found = files.model.module(native), files.fake.module(native)
        assert 0 < (found - expected).abs().max() < 0.05 * (expected.max() - expected.min())

    def test_all_products_poolings_sums_and_sigmoids_run_in_integers(self, files: Files) -> None:
        rows = audit(files.onnx, [])
        counted = Counter(row.operator for row in rows if row.runs_as == "integer")
        modules = list(files.model.module.modules())
        assert counted["QLinearConv"] == sum(isinstance(module, nn.Conv2d) for module in modules)
        assert counted["QGemm"] == sum(isinstance(module, nn.Linear) for module in modules)
        assert counted["QLinearSigmoid"] == sum(isinstance(module, nn.Sigmoid) for module in modules)
        assert {row.operator for row in rows if row.runs_as != "integer"} <= {"Resize", "Pad"}

    def test_any_number_of_images_is_taken(self, files: Files) -> None:
        pixels = images(files.model.image_shape, 3)
        singles = np.concatenate([files.running.predict(pixels[index : index + 1]) for index in range(3)])
        np.testing.assert_array_equal(files.running.predict(pixels), singles)

    def test_both_engines_show_the_same_layers(self, files: Files) -> None:
        pixels = images(files.model.image_shape)
        expected, found = files.simulating.trace(pixels), files.running.trace(pixels)
        assert list(found) == list(expected)
        for layer, values in expected.items():
            assert found[layer].shape == values.shape
            assert np.abs(found[layer] - values).mean() <= 0.02 * np.ptp(values), layer

    def test_weights_in_the_file_have_seven_bits_and_a_scale_for_every_channel(self, files: Files) -> None:
        graph = onnx.load(files.onnx).graph
        weights = {
            each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer if each.name.endswith(".weight")
        }
        layers = {
            f"{name}.weight": module
            for name, module in files.model.module.named_modules()
            if isinstance(module, (nn.Conv2d, nn.Linear))
        }
        assert weights.keys() == layers.keys()
        for name, codes in weights.items():
            assert codes.dtype == np.int8
            assert codes.shape == tuple(layers[name].weight.shape)
            assert np.abs(codes).max() == 64

    def test_a_weight_costs_a_byte(self, files: Files) -> None:
        costs = count(files.onnx, files.model.image_shape)
        weights = sum(
            module.weight.numel()
            for module in files.model.module.modules()
            if isinstance(module, (nn.Conv2d, nn.Linear))
        )
        assert costs.weight_bytes == weights + 4 * (costs.parameters - weights)

    def test_the_file_knows_nothing_of_the_place_where_it_was_made(self, files: Files) -> None:
        blob = files.onnx.read_bytes()
        assert str(Path.cwd()).encode() not in blob
        assert b"site-packages" not in blob
        metadata = {entry.key: json.loads(entry.value) for entry in onnx.load(files.onnx).metadata_props}
        assert set(metadata) == {"preprocessing", "classes", "layers"}


class TestFiles:
    def test_a_file_gives_the_same_bits(self, files: Files, tmp_path: Path) -> None:
        loaded = pt2e_artifact.load(files.file)
        native = normalized(files.model, images(files.model.image_shape))
        assert replace(loaded, module=files.fake.module) == files.fake
        with torch.no_grad():
            assert torch.equal(loaded.module(native), files.fake.module(native))
        pt2e_artifact.save(tmp_path / "again.safetensors", loaded)
        assert (tmp_path / "again.safetensors").read_bytes() == files.file.read_bytes()

    def test_a_truncated_file_is_one_clear_line(self, files: Files, tmp_path: Path) -> None:
        path = tmp_path / "model.safetensors"
        path.write_bytes(files.file.read_bytes()[:-100])
        with pytest.raises(ArtifactError, match="truncated, damaged or not a safetensors file"):
            pt2e_artifact.load(path)


class TestRefusals:
    def test_an_operation_without_integer_form_is_named(self) -> None:
        class Cubic(nn.Sequential):
            def forward(self, features: torch.Tensor) -> torch.Tensor:
                return super().forward(features) ** 3

        body = Cubic(nn.Conv2d(1, 2, 3), nn.ConvTranspose2d(2, 2, 2))
        with pytest.raises(ArtifactError, match=r"no integer form of 1 \(conv_transpose2d\), pow\w* \(pow\) here"):
            pt2e.simulate(body, (8, 8, 1), True)


class TestTraining:
    SETTINGS = Parameters.model_validate(
        {"from": "torch-fp32", "epochs": 2, "batch": 50, "optimizer": Optimizer(lr=0.001), "still_share": 0.5}
    )

    @pytest.mark.parametrize(("vnni", "largest"), [(False, 64), (True, 127)])
    def test_the_weights_are_trained_for_the_bits_that_the_cpu_takes(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vnni: bool, largest: int
    ) -> None:
        monkeypatch.setattr(reduced_range, "has_vnni", lambda: vnni)
        monkeypatch.setattr(reduced_range.platform, "machine", lambda: "x86_64")
        parent = replace(network("lenet5"), preprocessing=PREPROCESSING)
        fake, result, decision = train(parent, learnable(120), self.SETTINGS, 0, tmp_path, "", log=quiet)
        assert decision.reduce_range != vnni
        assert [row["epoch"] for row in result.history] == [1, 2]
        graph = pt2e.converted(fake.module)
        codes = [tensor for tensor in graph.state_dict().values() if tensor.dtype == torch.int8]
        assert {int(tensor.abs().max()) for tensor in codes} == {largest}

    def test_statistics_and_ranges_stand_still_in_evaluation_and_in_the_late_phase(self, files: Files) -> None:
        fake = deepcopy(files.fake.module)
        channels, height, width = files.model.image_shape[2], *files.model.image_shape[:2]
        large = 100 * torch.ones(2, channels, height, width)
        before = state(fake)
        fake.eval()(large)
        assert torch.equal(state(fake), before)
        fake.train()(large)
        assert not torch.equal(state(fake), before)
        fake.train().stand_still()
        before = state(fake)
        fake.train()(large)
        assert torch.equal(state(fake), before)


def state(fake: nn.Module) -> torch.Tensor:
    """Ranges of activations and statistics of normalizations."""
    kept = ("max_val", "min_val", "running_mean", "running_var")
    return torch.cat([tensor.flatten() for name, tensor in fake.state_dict().items() if name.endswith(kept)])
