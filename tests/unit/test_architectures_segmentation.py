"""Networks for segmentation answer every pixel at any size, are the published ones, and export and count as such."""

import json
from functools import cache
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from compresslab.config.inventory import task_of_architecture
from compresslab.config.methods import export_onnx as export_settings
from compresslab.data.preprocessing import Preprocessing
from compresslab.engines.torch import layer_values
from compresslab.export import onnx as onnx_export
from compresslab.measure import cost_onnx, cost_torch
from compresslab.models.torch import artifact
from compresslab.models.torch.artifact import build
from compresslab.models.torch.efficient_unet import attention_kernel
from compresslab.models.torch.layers import layer_outputs
from compresslab.train.torch.layout import laid_out

CLASSES = 8
STREETS = (256, 512, 3)
PREPROCESSING = Preprocessing((0.5,) * 3, (0.25,) * 3)

NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "unet": ("unet", {"base_channels": 2}),
    "fcn-8s": ("fcn", {"base_channels": 2}),
    "fcn-32s": ("fcn", {"base_channels": 2, "stride": 32}),
    "deeplabv3": ("deeplabv3", {"base_channels": 2, "rates": [2, 3]}),
    "efficient-unet": ("efficient-unet", {"base_channels": 3}),
    "efficient-unet-plain": ("efficient-unet", {"base_channels": 3, "depth": 1, "kernel": 5, "attention": False}),
    "efficient-unet-reduced": ("efficient-unet", {"base_channels": 2, "depth": 1, "reduction": 3}),
    "efficient-unet-stacked": ("efficient-unet", {"base_channels": 2, "depth": 1, "reduction": 3, "reading": "pixels"}),
}


@cache
def small(name: str) -> nn.Module:
    """A small network in evaluation mode whose normalizations do something, as after a training."""
    architecture, arguments = NETWORKS[name]
    torch.manual_seed(0)
    network = build(architecture, (64, 128, 3), CLASSES, **arguments).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.bias, module.running_mean):
                nn.init.uniform_(tensor, -0.1, 0.1)
    return network


def without_values(name: str, **arguments: Any) -> nn.Module:
    with torch.device("meta"):
        return build(name, STREETS, CLASSES, **arguments).eval()


def costs(network: nn.Module) -> tuple[int, int]:
    """Parameters and MACs of one street scene."""
    layers = cost_torch.count_layers(network, STREETS).costs
    return sum(layer.parameters for layer in layers), sum(layer.macs for layer in layers)


def images_of(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(sorted(NETWORKS)), st.integers(16, 75), st.integers(16, 75))
def test_every_pixel_of_an_image_of_any_size_is_answered(name: str, height: int, width: int) -> None:
    with torch.inference_mode():
        logits = small(name)(torch.zeros(1, 3, height, width))
    assert logits.shape == (1, CLASSES, height, width)
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("name", NETWORKS)
def test_a_batch_of_one_image_trains_every_parameter(name: str) -> None:
    architecture, arguments = NETWORKS[name]
    network = build(architecture, (64, 128, 3), CLASSES, **arguments).train()
    network(images_of(1, 3, 49, 67)).square().mean().backward()
    assert [key for key, parameter in network.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize("name", NETWORKS)
def test_layers_are_named_in_the_order_of_execution(name: str) -> None:
    network, called = small(name), []
    names = set(layer_outputs(network).values())
    hooks = [
        module.register_forward_hook(lambda *_, path=path: called.append(path))
        for path, module in network.named_modules()
        if path in names
    ]
    values = layer_values(network, images_of(1, 3, 49, 67))
    for hook in hooks:
        hook.remove()
    assert called == list(layer_outputs(network).values())
    assert list(values) == list(layer_outputs(network))


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_say_what_they_are_for_and_come_back_from_a_file(name: str, tmp_path: Path) -> None:
    architecture, arguments = NETWORKS[name]
    assert task_of_architecture(architecture, "torch") == "segmentation"
    classes = tuple("abcdefgh")
    model = artifact.TorchModel(small(name), architecture, (64, 128, 3), PREPROCESSING, classes, arguments)
    artifact.save(tmp_path / "model.safetensors", model)
    found = artifact.load(tmp_path / "model.safetensors").module
    with torch.inference_mode():
        images = images_of(2, 3, 31, 45)
        torch.testing.assert_close(found(images), small(name)(images), rtol=0, atol=0)


class TestEfficientUNet:
    def test_has_the_published_size(self) -> None:
        network = without_values("efficient-unet")
        parameters, macs = costs(network)
        assert (parameters, round(macs / 1e6)) == (37_958, 206)
        assert sum(isinstance(module, nn.Conv2d) for module in network.modules()) == 54

    def test_a_reduction_divides_the_products_and_keeps_the_parameters(self) -> None:
        whole, quarter = (costs(without_values("efficient-unet", reduction=reduction)) for reduction in (1, 2))
        assert quarter[0] == whole[0]
        assert quarter[1] == pytest.approx(whole[1] / 4, rel=1e-3)

    def test_a_decoder_block_computes_what_its_description_says(self) -> None:
        """Enlarge, pad, project both, add; then depthwise and pointwise twice, and attention in one dimension."""
        block = small("efficient-unet").get_submodule("ups.1")
        weights = dict(block.state_dict())
        skipped, features = images_of(2, 12, 9, 15), images_of(2, 12, 4, 7)

        def convolved(maps: torch.Tensor, name: str, groups: int = 1) -> torch.Tensor:
            weight = weights[f"{name}.weight"]
            bias, padding = weights.get(f"{name}.bias"), weight.shape[2] // 2
            return functional.conv2d(maps, weight, bias, padding=padding, groups=groups)

        def activated(maps: torch.Tensor, name: str) -> torch.Tensor:
            mean, variance, scale, shift = (
                weights[f"{name}.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
            )
            return ((maps - mean) / (variance + 1e-5).sqrt() * scale + shift).clamp(min=0)

        enlarged = functional.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)
        padded = functional.pad(convolved(enlarged, "up_proj"), (0, 1, 0, 1))
        maps = padded + convolved(skipped, "skip_proj")
        for part in ("conv.first", "conv.second"):
            maps = activated(convolved(maps, f"{part}.depthwise", groups=maps.shape[1]), f"{part}.bn1")
            maps = activated(convolved(maps, f"{part}.pointwise"), f"{part}.bn2")
        taps = weights["conv.attention.conv.weight"].reshape(1, 1, -1)
        attention = functional.conv1d(maps.mean((2, 3))[:, None], taps, padding=taps.shape[2] // 2).sigmoid()
        expected = maps * attention.transpose(1, 2)[..., None]
        with torch.inference_mode():
            torch.testing.assert_close(block(features, skipped), expected, rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize(("channels", "taps"), [(1, 1), (9, 3), (72, 3), (128, 5), (512, 5)])
    def test_the_attention_reads_as_many_channels_as_its_authors_say(self, channels: int, taps: int) -> None:
        assert attention_kernel(channels) == taps

    def test_a_reduced_network_sees_means_and_answers_all_pixels(self) -> None:
        reduced = small("efficient-unet-reduced")
        inner = reduced.get_submodule("network")
        tiny = images_of(2, 3, 8, 11)
        with torch.inference_mode():
            squares = tiny.repeat_interleave(3, 2).repeat_interleave(3, 3)
            expected = functional.interpolate(inner(tiny), scale_factor=3, mode="bilinear")
            torch.testing.assert_close(reduced(squares), expected, rtol=1e-4, atol=1e-6)
            # Squares over the edge are means of the pixels that there are.
            torch.testing.assert_close(reduced(squares[..., :-2, :-1]), expected[..., :-2, :-1], rtol=1e-4, atol=1e-6)

    def test_feature_maps_and_their_gradients_train_channels_last(self) -> None:
        network = build("efficient-unet", (64, 128, 3), CLASSES).train()
        astray: list[str] = []

        def check(name: str, tensor: torch.Tensor) -> None:
            if not tensor.is_contiguous(memory_format=torch.channels_last):
                astray.append(name)

        def watch(name: str, output: torch.Tensor) -> None:
            check(name, output)
            output.register_hook(lambda gradient: check(f"gradient of {name}", gradient))

        for name, module in network.named_modules():
            # What the loss makes of the logits is not the network's.
            if not list(module.children()) and name != "outc":
                module.register_forward_hook(lambda _module, _read, output, name=name: watch(name, output))
        with laid_out(network, torch.device("cpu")):
            logits = network(images_of(2, 3, 64, 128).to(memory_format=torch.channels_last))
            functional.cross_entropy(logits, torch.zeros(2, 64, 128, dtype=torch.long)).backward()
        assert astray == []


class TestUNet:
    def test_has_the_size_that_its_description_adds_up_to(self) -> None:
        def double(inputs: int, outputs: int) -> int:
            return 9 * inputs * outputs + 9 * outputs * outputs + 4 * outputs

        widths = ((3, 64), (64, 128), (128, 256), (256, 512), (512, 512))
        merged = ((1024, 256), (512, 128), (256, 64), (128, 64))
        expected = sum(double(*pair) for pair in (*widths, *merged))
        expected += sum(4 * (inputs // 2) ** 2 + inputs // 2 for inputs, _ in merged) + 64 * 8 + 8
        assert costs(without_values("unet"))[0] == expected == 14_785_416

    def test_merges_the_published_widths(self) -> None:
        layers = cost_torch.count_layers(without_values("unet"), STREETS).costs
        assert [layer.output_shape[0] for layer in layers if layer.layer.endswith("merge")] == [1024, 512, 256, 128]

    def test_a_map_of_odd_size_is_padded_at_its_edges(self) -> None:
        block = small("unet").get_submodule("up4")
        skipped, features = images_of(1, 2, 9, 14), images_of(1, 2, 4, 5)
        with torch.inference_mode():
            enlarged = block.get_submodule("up")(features).numpy()
            # Of four columns two go to each side; the one row that is missing goes below.
            padded = np.pad(enlarged, ((0, 0), (0, 0), (0, 1), (2, 2)))
            expected = block.get_submodule("conv")(torch.cat([skipped, torch.from_numpy(padded)], dim=1))
            torch.testing.assert_close(block(features, skipped), expected, rtol=0, atol=0)


class TestFCN:
    def test_scores_of_all_depths_are_added(self) -> None:
        """The fusion is linear: deep and shallow scores apart add up to both together."""
        images = images_of(1, 3, 41, 66)
        scores = ["score", *(f"fusions.{number}.score" for number in range(2))]
        together, nothing = logits_with(scores, images), logits_with([], images)
        apart = sum(logits_with([name], images) - nothing for name in scores)
        torch.testing.assert_close(together - nothing, apart, rtol=1e-4, atol=1e-6)
        assert all((logits_with([name], images) != nothing).any() for name in scores)

    @pytest.mark.parametrize(("stride", "fusions"), [(32, 0), (16, 1), (8, 2)])
    def test_a_finer_stride_reads_one_more_map(self, stride: int, fusions: int) -> None:
        network = without_values("fcn", stride=stride)
        names = {layer.layer for layer in cost_torch.count_layers(network, STREETS).costs}
        assert sum(name.endswith("add") for name in names) == fusions


def logits_with(names: list[str], images: torch.Tensor) -> torch.Tensor:
    """Logits of the FCN with only these of its score layers."""
    network = build("fcn", (64, 128, 3), CLASSES, base_channels=2).eval()
    network.load_state_dict(small("fcn-8s").state_dict())
    with torch.inference_mode():
        for name in {"score", "fusions.0.score", "fusions.1.score"} - set(names):
            for parameter in network.get_submodule(name).parameters():
                parameter.zero_()
        return network(images)


class TestDeepLabV3:
    def test_atrous_stages_keep_an_eighth_of_the_size(self) -> None:
        network = without_values("deeplabv3")
        shapes = {layer.layer: layer.output_shape for layer in cost_torch.count_layers(network, STREETS).costs}
        assert shapes["stage3.second.relu"] == (128, 32, 64)
        assert shapes["stage5.second.relu"] == (256, 32, 64)
        assert shapes["pyramid.join"] == (5 * 128, 32, 64)

    def test_the_pyramid_sees_the_image_as_a_whole(self) -> None:
        """A corner that no kernel reaches from the opposite one moves the logits there, through the mean."""
        torch.manual_seed(0)
        network = build("deeplabv3", (256, 256, 3), CLASSES, base_channels=8, rates=[2, 3]).eval()
        mean = network.get_submodule("pyramid.whole.conv")
        nn.init.ones_(mean.get_parameter("bias"))
        images = images_of(1, 3, 256, 256)
        other = images.clone()
        other[..., :8, :8] += 5
        with torch.inference_mode():
            moved = [(network(other) - network(images))[..., -8:, -8:]]
            mean.get_parameter("weight").zero_()
            moved.append((network(other) - network(images))[..., -8:, -8:])
        assert [bool(difference.any()) for difference in moved] == [True, False]


@pytest.mark.parametrize(
    ("name", "shape", "arguments", "message"),
    [
        ("unet", (15, 64, 3), {}, "unet needs images of at least 16 x 16 pixels, not 15 x 64"),
        ("unet", STREETS, {"base_channels": 0}, "unet needs at least 1 base channel, not 0"),
        ("fcn", STREETS, {"stride": 4}, "fcn has no stride 4; known: 8, 16, 32"),
        ("fcn", STREETS, {"base_channels": 0}, "fcn needs at least 1 base channel, not 0"),
        ("deeplabv3", STREETS, {"rates": [6, 0]}, r"deeplabv3 needs rates of at least 1, not \[6, 0\]"),
        ("deeplabv3", STREETS, {"rates": []}, r"deeplabv3 needs rates of at least 1, not \[\]"),
        ("deeplabv3", STREETS, {"base_channels": 0}, "deeplabv3 needs at least 1 base channel, not 0"),
        ("efficient-unet", STREETS, {"kernel": 4}, "efficient-unet needs an odd kernel, not 4"),
        ("efficient-unet", STREETS, {"depth": 0}, "efficient-unet needs at least 1 pooling, not 0"),
        ("efficient-unet", STREETS, {"reduction": 0}, "efficient-unet needs at least 1 pixel of reduction, not 0"),
        ("efficient-unet", STREETS, {"base_channels": 0}, "efficient-unet needs at least 1 base channel, not 0"),
        ("efficient-unet", (64, 45, 3), {"reduction": 3}, "needs images of at least 46 x 46 pixels, not 64 x 45"),
    ],
    ids=str,
)
def test_a_setting_that_makes_no_network_is_told_in_words(
    name: str, shape: tuple[int, int, int], arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        build(name, shape, CLASSES, **arguments)


def test_the_smallest_image_of_a_reduced_network_is_answered() -> None:
    network = build("efficient-unet", (46, 46, 3), CLASSES, base_channels=1, reduction=3).eval()
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, 46, 46)).shape == (1, CLASSES, 46, 46)


EXPORTS = {
    "unet": (61, 99),
    "deeplabv3": (45, 67),
    "efficient-unet-reduced": (61, 99),
}


@pytest.fixture(scope="module", params=EXPORTS)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    path = tmp_path_factory.mktemp("models") / "model.onnx"
    height, width = EXPORTS[request.param]
    images = np.random.default_rng(0).integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    parameters = export_settings.Parameters.model_validate({})
    onnx_export.export(small(request.param), path, parameters, PREPROCESSING, tuple("abcdefgh"), images)
    return request.param, path


def test_onnx_answers_every_pixel_as_pytorch_does(exported: tuple[str, Path]) -> None:
    name, path = exported
    images = images_of(3, 3, *EXPORTS[name])
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        expected = small(name)(images).numpy()
    (found,) = session.run(["logits"], {"images": images.numpy()})
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_onnx_names_every_layer_and_costs_what_pytorch_costs(exported: tuple[str, Path]) -> None:
    name, path = exported
    metadata = {entry.key: json.loads(entry.value) for entry in onnx.load(path).metadata_props}
    assert list(metadata["layers"]) == list(layer_outputs(small(name)))
    shape = (*EXPORTS[name], 3)
    in_torch, in_onnx = cost_torch.count_layers(small(name), shape), cost_onnx.count(path, shape)
    products = [layer.macs for layer in in_torch.costs if layer.macs]
    assert sorted(layer.macs for layer in in_onnx.layers if layer.macs) == sorted(products)
    # ONNX crops height and width one after the other, and there is one place to crop.
    sliced = [layer for layer in in_onnx.layers if layer.operator == "Slice"]
    between = sum(4 * prod(layer.output_shape) for layer in sliced[:-1])
    assert in_onnx.activation_bytes - between == sum(layer.activation_bytes for layer in in_torch.costs)
