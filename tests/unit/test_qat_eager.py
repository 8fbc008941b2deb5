"""Training for integers in eager PyTorch: what is simulated is what runs, and what cannot run is refused before."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from quantized_networks import images, learnable, network, normalized, quiet
from textures import PREPROCESSING
from torch import nn

from compresslab.compress.fake_quantized import LatePhase, begins_after_steps
from compresslab.compress.qat_eager import convert, train
from compresslab.config.methods.qat_eager import Parameters
from compresslab.config.training import Optimizer, Recipe
from compresslab.engines.contract import open_engine
from compresslab.measure.audit_row import AuditError
from compresslab.measure.audit_torch import audit, operators
from compresslab.measure.cost_torch import count, count_layers
from compresslab.measure.logits import difference
from compresslab.models.torch import artifact
from compresslab.models.torch import eager_quantization as eager
from compresslab.models.torch.artifact import ArtifactError, TorchModel
from compresslab.models.torch.eager_artifact import load_integer, load_simulated, save_integer, save_simulated
from compresslab.models.torch.layers import Addition
from compresslab.models.torch.rebuilt import made_of
from compresslab.train.torch.learner import train as train_in_float

CODE = 100 / 255
"""The distance of two codes, in percent of their range."""


def ranges(fake: nn.Module) -> torch.Tensor:
    return torch.cat([tensor.flatten() for name, tensor in fake.state_dict().items() if name.endswith("max_val")])


def simulated(model: TorchModel, granularity: eager.Granularity = "channel") -> TorchModel:
    fake = eager.simulate(model.module, model.image_shape, granularity)
    eager.observe(fake, normalized(model, images(model.image_shape)))
    return made_of(model, fake)


class TestArithmetic:
    @pytest.mark.parametrize("granularity", ["tensor", "channel"])
    def test_a_convolution_is_the_one_of_integers(self, granularity: eager.Granularity) -> None:
        """Held against products of int64 that know nothing of PyTorch: every code, not one beside it."""
        torch.manual_seed(3)
        body = nn.Sequential(nn.Conv2d(3, 5, kernel_size=3, padding=1))
        fake = eager.simulate(body, (9, 8, 3), granularity)
        inputs = torch.randn(2, 3, 9, 8)
        eager.observe(fake, inputs)
        network = eager.integer(fake, (9, 8, 3))
        numbers = eager.tensors(network)
        step, zero = float(numbers["quantize.scale"][0]), int(numbers["quantize.zero_point"][0])
        codes = np.clip(np.rint(inputs.numpy() / np.float32(step)) + zero, 0, 255).astype(np.int64) - zero
        padded = np.pad(codes, ((0, 0), (0, 0), (1, 1), (1, 1)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
        sums = np.einsum("nchwij,ocij->nohw", windows, numbers["body.0.weight"].astype(np.int64))
        steps = step * numbers["body.0.weight_scale"].astype(np.float64)
        sums += np.rint(numbers["body.0.bias"] / steps).astype(np.int64)[:, None, None]
        out_step, out_zero = float(numbers["body.0.scale"][0]), int(numbers["body.0.zero_point"][0])
        expected = np.clip(np.rint(sums * np.broadcast_to(steps, 5)[:, None, None] / out_step) + out_zero, 0, 255)
        found = np.rint(network(inputs).numpy() / out_step) + out_zero
        assert np.abs(numbers["body.0.weight"]).max() >= 127
        np.testing.assert_array_equal(found, expected)

    @pytest.mark.parametrize("name", ["lenet5", "resnet18", "efficient-unet", "reduced"])
    def test_integers_answer_like_what_simulates_them(self, name: str) -> None:
        """Both round every value, and only a sum that lies between two codes may fall to either side."""
        fake = simulated(network(name))
        native = normalized(fake, images(fake.image_shape))
        with torch.no_grad():
            found = difference(fake.module(native).numpy(), convert(fake).module(native).numpy())
        # Differences of a code grow over the eighteen layers of a network that nobody trained.
        assert found.mean_percent < 4 * CODE
        assert found.largest_percent < 12 * CODE

    @pytest.mark.parametrize("name", ["lenet5", "resnet18", "efficient-unet", "reduced"])
    def test_every_value_is_rounded_and_the_answers_stay_near(self, name: str) -> None:
        model = network(name)
        fake = simulated(model)
        native = torch.rand(2, model.image_shape[2], *model.image_shape[:2])
        with torch.no_grad():
            expected, found = model.module(native), fake.module(native)
        assert 0 < (found - expected).abs().max() < 0.1 * (expected.max() - expected.min())

    def test_the_network_that_is_copied_stays_as_it_was(self) -> None:
        model = network("efficient-unet")
        before = {name: tensor.clone() for name, tensor in model.module.state_dict().items()}
        convert(simulated(model))
        after = model.module.state_dict()
        assert list(after) == list(before)
        assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


class TestRefusals:
    def test_an_activation_without_integer_kernel_is_named(self) -> None:
        body = nn.Sequential(nn.Conv2d(1, 2, 3), nn.SiLU())
        with pytest.raises(ArtifactError, match=r"no integer kernel for 1 \(SiLU\); use another"):
            eager.simulate(body, (8, 8, 1), "tensor")

    def test_an_operation_between_modules_is_named(self) -> None:
        class Squared(nn.Sequential):
            def forward(self, features: torch.Tensor) -> torch.Tensor:
                return super().forward(features).square()

        fake = eager.simulate(Squared(nn.Conv2d(1, 2, 3)), (8, 8, 1), "tensor")
        eager.observe(fake, torch.zeros(1, 1, 8, 8))
        with pytest.raises(ArtifactError, match=r"no integer kernel for operator pow.*, after module 0 was called"):
            eager.integer(fake, (8, 8, 1))

    def test_a_value_that_something_else_reads_is_not_fused_away(self) -> None:
        class Shortcut(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.conv, self.relu, self.add = nn.Conv2d(1, 1, 1), nn.ReLU(), Addition()

            def forward(self, features: torch.Tensor) -> torch.Tensor:
                convolved = self.conv(features)
                return self.relu(convolved) - convolved.clone()

        with pytest.raises(ArtifactError, match="fused for integers this network would answer otherwise"):
            eager.simulate(Shortcut(), (4, 4, 1), "tensor")

    @pytest.mark.parametrize(
        "move", [lambda net: net.to("cuda"), lambda net: net.cuda(), lambda net: net.half(), lambda net: net.double()]
    )
    def test_an_integer_network_says_that_it_stays_on_the_cpu(self, move) -> None:
        whole = convert(simulated(network("lenet5"))).module
        with pytest.raises(ArtifactError, match=r"run on the CPU only; it cannot be used .*; use the float or"):
            move(whole)
        assert whole.to("cpu") is whole.cpu() is whole


class TestFiles:
    @pytest.mark.parametrize("granularity", ["tensor", "channel"])
    @pytest.mark.parametrize("name", ["lenet5", "efficient-unet"])
    def test_a_file_gives_the_same_bits(self, name: str, granularity: eager.Granularity, tmp_path: Path) -> None:
        fake = simulated(network(name), granularity)
        whole = convert(fake)
        save_simulated(tmp_path / "fake.safetensors", fake)
        save_integer(tmp_path / "int8.safetensors", whole)
        native = torch.rand(2, fake.image_shape[2], *fake.image_shape[:2])
        for saved, loaded in (
            (fake, load_simulated(tmp_path / "fake.safetensors")),
            (whole, load_integer(tmp_path / "int8.safetensors")),
        ):
            assert replace(loaded, module=saved.module) == saved
            with torch.no_grad():
                assert torch.equal(loaded.module(native), saved.module(native))
        save_integer(tmp_path / "again.safetensors", load_integer(tmp_path / "int8.safetensors"))
        assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "int8.safetensors").read_bytes()
        assert (tmp_path / "int8.safetensors").stat().st_size < (tmp_path / "fake.safetensors").stat().st_size

    def test_files_of_another_kind_are_told_apart(self, tmp_path: Path) -> None:
        model = network("lenet5")
        artifact.save(tmp_path / "float.safetensors", model)
        save_simulated(tmp_path / "fake.safetensors", simulated(model))
        save_integer(tmp_path / "int8.safetensors", convert(simulated(model)))
        for name, load, message in (
            ("float", load_integer, "this is a network of torch, not of torch-quantized"),
            ("fake", load_integer, "this is a network of torch-eager-simulated, not of torch-quantized"),
            ("int8", artifact.load, "this is a network of torch-quantized, not of torch;"),
            ("int8", load_simulated, "this is a network of torch-quantized, not of torch-eager-simulated"),
        ):
            with pytest.raises(ArtifactError, match=message):
                load(tmp_path / f"{name}.safetensors")

    def test_engines_run_the_files_and_show_their_layers(self, tmp_path: Path) -> None:
        fake = simulated(network("resnet18"))
        save_simulated(tmp_path / "fake.safetensors", fake)
        save_integer(tmp_path / "int8.safetensors", convert(fake))
        engines = [
            open_engine(name, tmp_path / file, 1)
            for name, file in (("torch-qat-eager", "fake.safetensors"), ("torch-int8", "int8.safetensors"))
        ]
        pixels = images(fake.image_shape)
        fakes, integers = (engine.trace(pixels) for engine in engines)
        assert list(fakes) == list(integers)
        assert {"conv1", "layer2.0.add", "avgpool", "fc"} < set(fakes)
        for layer, expected in fakes.items():
            assert np.abs(integers[layer] - expected).mean() < 4 * CODE / 100 * np.ptp(expected) + 1e-6, layer
        for engine, traced in zip(engines, (fakes, integers), strict=True):
            assert engine.predict(pixels).dtype == np.float32
            np.testing.assert_array_equal(engine.predict(pixels), traced["fc"])


class TestWhatRuns:
    @pytest.fixture(scope="class")
    def whole(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        path = tmp_path_factory.mktemp("int8") / "model.safetensors"
        save_integer(path, convert(simulated(network("efficient-unet"))))
        return path

    def test_every_operator_runs_in_integers(self, whole: Path) -> None:
        """Upsampling, padding, sigmoid, product, sum and pooling as well as the convolutions."""
        rows = audit(whole, [])
        counted = Counter(row.operator for row in rows)
        assert {row.runs_as for row in rows} == {"integer"}
        convolutions = [child for child in network("efficient-unet").module.modules() if isinstance(child, nn.Conv2d)]
        assert counted["conv2d"] + counted["conv2d_relu"] == len(convolutions) == 30
        others = {"adaptive_avg_pool2d", "sigmoid", "mul", "add", "max_pool2d", "upsample_bilinear2d"}
        assert set(counted) == {"conv2d", "conv2d_relu", "constant_pad_nd", *others}
        assert rows[0].node == "inc.first.depthwise"

    def test_a_float_operator_is_named_unless_it_is_allowed(self) -> None:
        class Mixed(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.conv, self.relu = nn.Conv2d(1, 1, 1), nn.ReLU()

            def forward(self, features: torch.Tensor) -> torch.Tensor:
                return self.relu(self.conv(features))

        rows = operators(Mixed(), torch.zeros(1, 1, 4, 4), [])
        assert [(row.node, row.runs_as, row.expected) for row in rows] == [
            ("conv", "float", False),
            ("relu", "float", True),
        ]
        assert all(row.expected for row in operators(Mixed(), torch.zeros(1, 1, 4, 4), ["co*"]))

    def test_a_permission_for_a_module_that_is_not_there_is_a_mistake(self, whole: Path) -> None:
        with pytest.raises(AuditError, match=r"allow_float names ups.9, which the model does not have"):
            audit(whole, ["ups.9"])

    def test_a_weight_is_a_byte_and_the_products_are_those_of_the_architecture(self, whole: Path) -> None:
        model = network("efficient-unet")
        costs = count(whole, model.image_shape)
        layers = {layer.layer: layer for layer in costs.layers}
        assert costs.macs == sum(layer.macs for layer in count_layers(model.module, model.image_shape).costs)
        weights = sum(child.weight.numel() for child in model.module.modules() if isinstance(child, nn.Conv2d))
        assert costs.weight_bytes == weights + 4 * (costs.parameters - weights)
        first = layers["inc.first.pointwise"]
        assert (first.parameters, first.weight_bytes) == (3 * 4 + 4, 3 * 4 + 4 * 4)
        assert first.activation_bytes == 4 * 33 * 38
        # A scale and a zero point of four bytes each: of the input, and of the weights and the output of a layer.
        assert costs.quantization_bytes % 8 == 0
        assert costs.stored_bytes == costs.weight_bytes < costs.file_bytes


class TestTraining:
    DATA = learnable(300)
    SETTINGS = Parameters.model_validate(
        {"from": "torch-fp32", "epochs": 3, "batch": 50, "optimizer": Optimizer(lr=0.001), "still_share": 0.34}
    )

    @pytest.fixture(scope="class")
    def parent(self, tmp_path_factory: pytest.TempPathFactory) -> TorchModel:
        model = network("lenet5")
        recipe = Recipe(epochs=4, batch=25, optimizer=Optimizer(lr=0.01))
        train_in_float(model.module, self.DATA, recipe, 0, tmp_path_factory.mktemp("float"), "", log=quiet)
        return replace(model, preprocessing=PREPROCESSING)

    def test_integers_answer_as_well_as_the_network_that_they_come_from(
        self, parent: TorchModel, tmp_path: Path
    ) -> None:
        fake, result = train(parent, self.DATA, self.SETTINGS, 0, tmp_path, "", log=quiet)
        whole = convert(fake)
        native = normalized(fake, self.DATA.validation.images)
        with torch.no_grad():
            expected, found = fake.module(native).numpy(), whole.module(native).numpy()
        right = (found.argmax(1) == self.DATA.validation.labels).mean()
        assert result.history[-1]["validation_accuracy_percent"] > 90
        assert right > 0.9
        assert difference(expected, found).same_answers_percent >= 98

    def test_a_training_that_was_killed_ends_in_the_same_bits(self, parent: TorchModel, tmp_path: Path) -> None:
        """Killed when ranges still move and before they stand still."""
        whole, _ = train(parent, self.DATA, self.SETTINGS, 0, tmp_path / "whole", "", log=quiet)

        def kill(line: str) -> None:
            if line.startswith("epoch 2/"):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            train(parent, self.DATA, self.SETTINGS, 0, tmp_path / "killed", "", log=kill)
        taken_up, result = train(parent, self.DATA, self.SETTINGS, 0, tmp_path / "killed", "", log=quiet)
        assert result.resumed_after == 2
        expected = whole.module.state_dict()
        assert all(torch.equal(tensor, expected[name]) for name, tensor in taken_up.module.state_dict().items())

    def test_ranges_learn_nothing_from_the_validation_split_or_in_the_late_phase(self) -> None:
        fake = simulated(network("efficient-unet")).module
        large = 100 * torch.ones(1, 3, 33, 38)
        fake.eval()(large)
        assert torch.equal(ranges(fake), before := ranges(fake.train().eval()))
        fake.train()(large)
        assert not torch.equal(ranges(fake), before)
        fake.train().stand_still()
        before, statistics = ranges(fake), fake.state_dict()["body.inc.first.depthwise.bn.running_mean"].clone()
        fake.train()(large)
        assert torch.equal(ranges(fake), before)
        assert torch.equal(fake.state_dict()["body.inc.first.depthwise.bn.running_mean"], statistics)

    def test_the_late_phase_is_taken_up_where_it_was(self) -> None:
        class Still(nn.Module):
            still = False

            def stand_still(self) -> None:
                self.still = True

            def forward(self, images: torch.Tensor) -> torch.Tensor:
                return images

        whole = LatePhase(Still(), 2).train()
        stands = []
        for _ in range(4):
            whole(torch.zeros(1))
            stands.append(whole.simulated.still)
        assert stands == [False, False, True, True]
        whole.eval()(torch.zeros(1))
        assert whole.steps == 4
        for steps, still in ((2, False), (3, True)):
            taken_up = LatePhase(Still(), 2)
            taken_up.set_extra_state(steps)
            assert taken_up.simulated.still == still
        assert begins_after_steps(epochs=8, images=65, batch=16, share=0.25) == 6 * 5
        assert begins_after_steps(epochs=8, images=64, batch=16, share=0.0) == 8 * 4
