"""AlexNet, ResNet-18 and Ciresan's network are the published ones, and what the house does with networks works."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn
from torch.nn import functional

from compresslab.config.methods import export_onnx as export_settings
from compresslab.data.preprocessing import Preprocessing
from compresslab.engines.torch import layer_values
from compresslab.export import onnx as onnx_export
from compresslab.export.numpy_network import to_network
from compresslab.measure import cost_numpy, cost_onnx, cost_torch
from compresslab.measure.cost import Costs, ImageShape
from compresslab.models.numpy import network as networks
from compresslab.models.numpy.forward import forward
from compresslab.models.torch import artifact
from compresslab.models.torch.artifact import build
from compresslab.models.torch.layers import layer_outputs

DIGITS, PHOTOS = (28, 28, 1), (224, 224, 3)


def parameters(network: nn.Module) -> dict[str, int]:
    """Number of parameters of every module that has any."""
    counts = {
        name: sum(p.numel() for p in module.parameters(recurse=False)) for name, module in network.named_modules()
    }
    return {name: count for name, count in counts.items() if count}


class PlainListing(nn.Module):
    """The published listing of Ciresan's network, word for word."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 48, kernel_size=5, stride=1, padding=2)
        self.pool = nn.MaxPool2d(kernel_size=2, stride=2)
        self.conv2 = nn.Conv2d(48, 128, kernel_size=5, stride=1, padding=2)
        self.conv3 = nn.Conv2d(128, 192, kernel_size=5, stride=1, padding=2)
        self.conv4 = nn.Conv2d(192, 192, kernel_size=5, stride=1, padding=2)
        self.conv5 = nn.Conv2d(192, 192, kernel_size=5, stride=1, padding=2)
        self.conv6 = nn.Conv2d(192, 192, kernel_size=5, stride=1, padding=2)
        self.conv7 = nn.Conv2d(192, 192, kernel_size=5, stride=1, padding=2)
        self.fc1 = nn.Linear(192 * 3 * 3, 512)
        self.fc2 = nn.Linear(512, 512)
        self.fc3 = nn.Linear(512, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.conv1(x))
        x = self.pool(x)
        x = functional.relu(self.conv2(x))
        x = self.pool(x)
        x = functional.relu(self.conv3(x))
        x = functional.relu(self.conv4(x))
        x = functional.relu(self.conv5(x))
        x = functional.relu(self.conv6(x))
        x = functional.relu(self.conv7(x))
        x = self.pool(x)
        x = torch.flatten(x, start_dim=1)
        x = functional.relu(self.fc1(x))
        x = functional.relu(self.fc2(x))
        return self.fc3(x)


class ResidualListing(PlainListing):
    """The published listing with shortcuts."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__(num_classes)
        self.conv3_1x1 = nn.Conv2d(128, 192, kernel_size=1, stride=1, padding=0)
        self.fc1 = nn.Linear(192 * 7 * 7, 512)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.conv1(x))
        x = self.pool(x)
        x = functional.relu(self.conv2(x))
        x = functional.relu(self.conv3(x) + self.conv3_1x1(x))
        x = functional.relu(self.conv4(x))
        x = functional.relu(self.conv5(x) + x)
        x = functional.relu(self.conv6(x))
        x = functional.relu(self.conv7(x) + x)
        x = self.pool(x)
        x = torch.flatten(x, start_dim=1)
        x = functional.relu(self.fc1(x))
        x = functional.relu(self.fc2(x))
        return self.fc3(x)


CONVOLUTIONS = {
    "conv1": 1 * 25 * 48 + 48,
    "conv2": 48 * 25 * 128 + 128,
    "conv3": 128 * 25 * 192 + 192,
    **dict.fromkeys(("conv4", "conv5", "conv6", "conv7"), 192 * 25 * 192 + 192),
}
LINEAR = {"fc2": 512 * 512 + 512, "fc3": 512 * 10 + 10}


class TestCiresan:
    def test_has_the_parameters_of_the_plain_listing(self) -> None:
        counted = parameters(build("ciresan", DIGITS, 10))
        assert counted == {**CONVOLUTIONS, "fc1": 192 * 3 * 3 * 512 + 512, **LINEAR}
        assert sum(counted.values()) == 5_609_770

    def test_has_the_parameters_of_the_residual_listing(self) -> None:
        counted = parameters(build("ciresan", DIGITS, 10, residual=True))
        shortcut = {"conv3_1x1": 128 * 192 + 192}
        assert counted == {**CONVOLUTIONS, **shortcut, "fc1": 192 * 7 * 7 * 512 + 512, **LINEAR}
        assert sum(counted.values()) == 9_566_698

    @pytest.mark.parametrize(("residual", "listing"), [(False, PlainListing), (True, ResidualListing)])
    def test_computes_what_the_listing_computes(self, residual: bool, listing: type[PlainListing]) -> None:
        torch.manual_seed(0)
        expected, network = listing().eval(), build("ciresan", DIGITS, 10, residual=residual).eval()
        network.load_state_dict(expected.state_dict())
        images = torch.randn(4, 1, 28, 28)
        with torch.inference_mode():
            assert torch.equal(network(images), expected(images))

    @pytest.mark.parametrize("convolutions", [4, 5, 6, 7])
    def test_pools_after_the_first_two_and_the_last_convolution(self, convolutions: int) -> None:
        network = build("ciresan", DIGITS, 10, convolutions=convolutions)
        pools = [name for name, module in network.named_modules() if isinstance(module, nn.MaxPool2d)]
        assert pools == ["pool1", "pool2", f"pool{convolutions}"]
        assert network.get_parameter("fc1.weight").shape == (512, 192 * 3 * 3)

    @pytest.mark.parametrize("layers", [1, 2, 3, 4, 5])
    def test_has_as_many_linear_layers_as_asked(self, layers: int) -> None:
        linear = [m for m in build("ciresan", DIGITS, 7, fully_connected=layers).modules() if isinstance(m, nn.Linear)]
        assert [layer.out_features for layer in linear] == [512] * (layers - 1) + [7]

    @pytest.mark.parametrize("residual", [False, True])
    def test_without_early_pooling_only_the_last_one_is_left(self, residual: bool) -> None:
        network = build("ciresan", DIGITS, 10, residual=residual, early_pooling=False)
        assert [name for name, module in network.named_modules() if isinstance(module, nn.MaxPool2d)] == ["pool7"]
        assert network.get_parameter("fc1.weight").shape == (512, 192 * 14 * 14)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"convolutions": 3}, "ciresan has 4 to 7 convolutions, not 3"),
            ({"convolutions": 8}, "ciresan has 4 to 7 convolutions, not 8"),
            ({"fully_connected": 0}, "ciresan has 1 to 5 fully connected layers, not 0"),
            ({"fully_connected": 6}, "ciresan has 1 to 5 fully connected layers, not 6"),
            ({"residual": True, "convolutions": 6}, "the residual form of ciresan has 7 convolutions, not 6"),
        ],
    )
    def test_refuses_what_it_cannot_be(self, arguments: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            build("ciresan", DIGITS, 10, **arguments)

    def test_refuses_images_that_three_poolings_leave_nothing_of(self) -> None:
        with pytest.raises(ValueError, match="at least 8 x 8 pixels, not 7 x 28"):
            build("ciresan", (7, 28, 1), 10)


class TestAlexNet:
    def test_has_the_published_parameters_layer_by_layer(self) -> None:
        with torch.device("meta"):
            network = build("alexnet", PHOTOS, 1000)
        assert parameters(network) == {
            "conv1": 23_296,
            "conv2": 313_796,
            "conv3": 677_760,
            "conv4": 884_992,
            "conv5": 590_080,
            "fc1": 37_752_832,
            "fc2": 4_195_328,
            "fc3": 1_025_000,
        }
        assert sum(parameters(network).values()) == 45_463_084

    def test_drops_out_before_the_last_two_layers_and_only_in_training(self) -> None:
        network = build("alexnet", (63, 63, 3), 10)
        names = [name for name, _ in network.named_children()]
        assert [names[names.index(layer) - 1] for layer in ("fc2", "fc3")] == ["dropout1", "dropout2"]
        image = torch.randn(1, 3, 63, 63)
        with torch.no_grad():
            assert not torch.equal(network.train()(image), network(image))
            assert torch.equal(network.eval()(image), network(image))

    def test_refuses_an_image_that_is_too_small(self) -> None:
        with pytest.raises(ValueError, match="alexnet needs images of at least 63 x 63 pixels, not 224 x 62"):
            build("alexnet", (224, 62, 3), 10)


class TestResNet18:
    def test_has_the_published_parameters_under_the_names_of_torchvision(self) -> None:
        with torch.device("meta"):
            state = build("resnet18", PHOTOS, 1000).state_dict()
        assert (
            sum(p.numel() for name, p in state.items() if "running" not in name and "tracked" not in name) == 11_689_512
        )
        assert len(state) == 122
        assert {"conv1.weight", "bn1.running_mean", "layer1.0.conv1.weight", "layer2.0.downsample.0.weight"} <= set(
            state
        )
        assert {"layer2.0.downsample.1.bias", "layer4.1.bn2.num_batches_tracked", "fc.weight", "fc.bias"} <= set(state)

    @pytest.mark.parametrize(("stem", "before_pooling"), [("7x7", 1), ("3x3", 4)])
    def test_a_small_image_keeps_its_size_in_the_small_stem(self, stem: str, before_pooling: int) -> None:
        network = build("resnet18", (32, 32, 3), 10, stem=stem).eval()
        shapes = {layer.layer: layer.output_shape for layer in cost_torch.count_layers(network, (32, 32, 3)).costs}
        assert shapes["layer4.1.add"] == (512, before_pooling, before_pooling)
        assert shapes["fc"] == (10,)

    def test_a_block_adds_what_it_read(self) -> None:
        """A block whose convolutions are zero passes on what it read."""
        network = build("resnet18", (32, 32, 3), 10, stem="3x3").eval()
        torch.nn.init.zeros_(network.get_parameter("layer1.1.conv2.weight"))
        values = layer_values(network, torch.randn(1, 3, 32, 32))
        np.testing.assert_array_equal(values["layer1.1.add"], values["layer1.0.add"])

    def test_knows_its_stems(self) -> None:
        with pytest.raises(ValueError, match="resnet18 has no stem '5x5'; known: 7x7, 3x3"):
            build("resnet18", DIGITS, 10, stem="5x5")


NETWORKS: dict[str, tuple[str, ImageShape, dict[str, Any]]] = {
    "alexnet": ("alexnet", (64, 64, 3), {}),
    "resnet18": ("resnet18", (32, 32, 3), {"stem": "3x3"}),
    "ciresan": ("ciresan", DIGITS, {}),
    "ciresan-residual": ("ciresan", DIGITS, {"residual": True}),
}


class Saved:
    """One network with values that matter, as a file of PyTorch, and what that costs."""

    def __init__(self, folder: Path, architecture: str, image_shape: ImageShape, arguments: dict[str, Any]) -> None:
        torch.manual_seed(0)
        channels = image_shape[2]
        self.preprocessing = Preprocessing((0.5,) * channels, (0.25,) * channels)
        self.classes, self.image_shape = tuple("0123456789"), image_shape
        self.network = build(architecture, image_shape, 10, **arguments).eval()
        for module in self.network.modules():
            if isinstance(module, nn.BatchNorm2d):
                # As after a training: a shift of zero would be left out of a file.
                for tensor in (module.bias, module.running_mean):
                    nn.init.uniform_(tensor, -0.1, 0.1)
        self.images = np.random.default_rng(0).integers(0, 256, (3, *image_shape), dtype=np.uint8)
        model = artifact.TorchModel(
            self.network, architecture, image_shape, self.preprocessing, self.classes, arguments
        )
        artifact.save(folder / "model.safetensors", model)
        self.in_torch = cost_torch.count(folder / "model.safetensors", image_shape)

    @property
    def inputs(self) -> np.ndarray:
        return self.preprocessing.normalize(self.images).transpose(0, 3, 1, 2)


class Exported(Saved):
    """The same as a file of ONNX."""

    def __init__(self, folder: Path, architecture: str, image_shape: ImageShape, arguments: dict[str, Any]) -> None:
        super().__init__(folder, architecture, image_shape, arguments)
        self.path = folder / "model.onnx"
        settings = export_settings.Parameters.model_validate({})
        onnx_export.export(self.network, self.path, settings, self.preprocessing, self.classes, self.images[:2])
        self.in_onnx = cost_onnx.count(self.path, image_shape)


@pytest.fixture(scope="module", params=NETWORKS)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return Exported(tmp_path_factory.mktemp(request.param), *NETWORKS[request.param])


def products(costs: Costs) -> dict[str, int]:
    return {layer.layer: layer.macs for layer in costs.layers if layer.macs}


def test_onnx_runs_batches_of_another_size_alike(exported: Exported) -> None:
    session = onnxruntime.InferenceSession(exported.path.read_bytes(), providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        expected = exported.network(torch.from_numpy(exported.inputs)).numpy()
    np.testing.assert_allclose(session.run(["logits"], {"images": exported.inputs})[0], expected, atol=1e-4)


def test_onnx_costs_what_pytorch_costs(exported: Exported) -> None:
    # A convolution that a normalization is folded into has the normalization's name.
    assert list(products(exported.in_onnx).values()) == list(products(exported.in_torch).values())
    assert exported.in_onnx.activation_bytes == exported.in_torch.activation_bytes
    nodes = onnx.load(exported.path).graph.node
    assert not any(node.op_type == "BatchNormalization" for node in nodes)
    # Of a normalization's two vectors, one is left: the convolution's bias.
    folded = sum(module.num_features for module in exported.network.modules() if isinstance(module, nn.BatchNorm2d))
    assert exported.in_onnx.parameters == exported.in_torch.parameters - folded


def test_layers_and_totals_agree(exported: Exported) -> None:
    for costs in (exported.in_torch, exported.in_onnx):
        for column in ("parameters", "nonzero_parameters", "macs", "weight_bytes", "activation_bytes"):
            assert sum(getattr(layer, column) for layer in costs.layers) == getattr(costs, column)
    names = [layer.layer for layer in exported.in_torch.layers]
    assert len(set(names)) == len(names)


def test_every_layer_has_an_output_that_can_be_compared(exported: Exported) -> None:
    values = layer_values(exported.network, torch.from_numpy(exported.inputs))
    assert list(values) == list(layer_outputs(exported.network))
    assert all(np.isfinite(value).all() for value in values.values())


@pytest.mark.parametrize("name", ["alexnet", "ciresan"])
def test_a_sequence_has_a_twin_in_numpy_at_the_same_cost(name: str, tmp_path: Path) -> None:
    found = Saved(tmp_path, *NETWORKS[name])
    twin = to_network(found.network, found.preprocessing, found.classes, found.image_shape)
    networks.save(twin, tmp_path / "model.npz")
    counted = cost_numpy.count(tmp_path / "model.npz", found.image_shape)
    assert products(counted) == products(found.in_torch)
    assert counted.parameters == found.in_torch.parameters
    assert counted.activation_bytes == found.in_torch.activation_bytes
    *_, last = forward(twin, found.preprocessing.normalize(found.images))
    with torch.inference_mode():
        np.testing.assert_allclose(last.output, found.network(torch.from_numpy(found.inputs)).numpy(), atol=1e-4)
