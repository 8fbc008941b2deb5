"""Formula, hooks, torchinfo and PyTorch's own counter agree, on this project's networks and on published ones."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from published_networks import PUBLISHED, Published
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from compresslab.measure import cost_torch, cost_torchinfo, formula
from compresslab.measure.cost import ImageShape
from compresslab.models.torch.artifact import build
from compresslab.models.torch.layers import Concatenation, Multiplication

DIGITS, PHOTOS, ODD = (28, 28, 1), (224, 224, 3), (61, 99, 3)
CIRESAN = [
    {"convolutions": convolutions, "fully_connected": layers, "early_pooling": early}
    for convolutions in (4, 5, 6, 7)
    for layers in (1, 2, 3, 4, 5)
    for early in (True, False)
]
RESIDUAL = [
    {"residual": True, "fully_connected": layers, "early_pooling": early}
    for layers in (1, 2, 3, 4, 5)
    for early in (True, False)
]
OURS: list[tuple[str, ImageShape, dict[str, Any]]] = [
    ("lenet5", (32, 32, 3), {}),
    ("gapcnn", DIGITS, {}),
    ("alexnet", PHOTOS, {}),
    ("resnet18", PHOTOS, {"stem": "7x7"}),
    ("resnet18", DIGITS, {"stem": "7x7"}),
    ("resnet18", DIGITS, {"stem": "3x3"}),
    ("unet", ODD, {"base_channels": 4}),
    ("fcn", ODD, {"base_channels": 4, "stride": 32}),
    ("deeplabv3", ODD, {"base_channels": 4}),
    ("efficient-unet", (64, 128, 3), {}),
    ("efficient-unet", ODD, {"reduction": 3, "depth": 2, "kernel": 5}),
    *(("ciresan", DIGITS, arguments) for arguments in (*CIRESAN, *RESIDUAL)),
]


def without_values(make: Callable[[], nn.Module]) -> nn.Module:
    """A network of shapes: the largest one takes no memory, and sending an image through computes nothing."""
    with torch.device("meta"):
        return make().eval()


def assert_all_counters_agree(network: nn.Module, image_shape: ImageShape) -> None:
    by_formula = formula.count_layers(network, image_shape)
    by_hooks = cost_torch.count_layers(network, image_shape).costs
    assert [
        (layer.layer, layer.operator, layer.output_shape, layer.parameters, layer.macs) for layer in by_formula
    ] == [(layer.layer, layer.operator, layer.output_shape, layer.parameters, layer.macs) for layer in by_hooks]
    assert {layer.layer: (layer.parameters, layer.macs) for layer in by_formula} == cost_torchinfo.count_layers(
        network, image_shape
    )
    height, width, channels = image_shape
    with FlopCounterMode(display=False) as counter:
        network(torch.empty(1, channels, height, width, device="meta"))
    assert 2 * sum(layer.macs for layer in by_formula) == counter.get_total_flops()
    assert sum(layer.parameters for layer in by_formula) == sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(("name", "image_shape", "arguments"), OURS, ids=str)
def test_all_counters_agree_on_our_networks(name: str, image_shape: ImageShape, arguments: dict[str, Any]) -> None:
    assert_all_counters_agree(without_values(lambda: build(name, image_shape, 10, **arguments)), image_shape)


@pytest.mark.parametrize("published", PUBLISHED.values(), ids=PUBLISHED)
def test_all_counters_agree_on_published_networks_with_the_published_count(published: Published) -> None:
    network = without_values(published.build)
    assert_all_counters_agree(network, PHOTOS)
    layers = formula.count_layers(network, PHOTOS)
    assert sum(layer.parameters for layer in layers) == published.parameters
    assert round(sum(layer.macs for layer in layers) / 1e9, 2) == published.giga_macs


SIDES = st.integers(1, 5)


@st.composite
def windows(draw: st.DrawFn) -> nn.Module:
    """A convolution, a transposed one, a pooling or an enlargement with arbitrary settings; it reads 4 channels."""
    pair = st.tuples(SIDES, SIDES)
    kernel, stride, dilation = draw(pair), draw(pair), draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    padding = draw(st.tuples(*(st.integers(0, side // 2) for side in kernel)))
    groups, bias = draw(st.sampled_from((1, 2, 4))), draw(st.booleans())
    ceil_mode = draw(st.booleans())
    match draw(st.sampled_from(("convolution", "same", "transposed", "max", "average", "enlarged"))):
        case "convolution":
            return nn.Conv2d(4, 8, kernel, stride, padding, dilation, groups, bias)
        case "same":
            return nn.Conv2d(4, 8, kernel, 1, "same", dilation, groups, bias)
        case "transposed":
            more = tuple(min(step, hole) - 1 for step, hole in zip(stride, dilation, strict=True))
            return nn.ConvTranspose2d(4, 8, kernel, stride, padding, more, groups, bias, dilation)
        case "enlarged":
            by = st.sampled_from((1.5, 2.0, 3.0))
            return nn.Upsample(scale_factor=draw(st.one_of(by, st.tuples(by, by))), mode="bilinear")
        case "max":
            return nn.MaxPool2d(kernel, stride, padding, dilation, ceil_mode=ceil_mode)
    return nn.AvgPool2d(kernel, stride, padding, ceil_mode=ceil_mode)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@settings(deadline=None, max_examples=200)
@given(windows(), st.integers(1, 24), st.integers(1, 24))
def test_shapes_by_arithmetic_are_those_that_pytorch_makes(window: nn.Module, height: int, width: int) -> None:
    try:
        made = window(torch.zeros(1, 4, height, width)).shape[1:]
    except RuntimeError:
        assume(False)
    assume(min(made) > 0)
    (layer,) = formula.count_layers(nn.Sequential(window), (height, width, 4))
    assert layer.output_shape == tuple(made)
    assert layer.parameters == sum(parameter.numel() for parameter in window.parameters())


@given(SIDES, st.integers(1, 64), st.integers(1, 64), st.integers(1, 32))
def test_the_formulas_of_a_separable_convolution_are_those_of_its_two_parts(
    kernel: int, inputs: int, outputs: int, map_size: int
) -> None:
    with torch.device("meta"):
        regular = nn.Sequential(nn.Conv2d(inputs, outputs, kernel, padding="same", bias=False))
        depthwise = nn.Conv2d(inputs, inputs, kernel, padding="same", groups=inputs, bias=False)
        separable = nn.Sequential(depthwise, nn.Conv2d(inputs, outputs, 1, bias=False))
    shape = (map_size, map_size, inputs)
    whole, parts = formula.count_layers(regular, shape), formula.count_layers(separable, shape)
    assert formula.regular_macs(kernel, inputs, outputs, map_size) == sum(layer.macs for layer in whole)
    assert formula.separable_macs(kernel, inputs, outputs, map_size) == sum(layer.macs for layer in parts)
    assert formula.regular_parameters(kernel, inputs, outputs) == sum(layer.parameters for layer in whole)
    assert formula.separable_parameters(kernel, inputs, outputs) == sum(layer.parameters for layer in parts)
    saved = formula.separable_macs(kernel, inputs, outputs, map_size) / formula.regular_macs(
        kernel, inputs, outputs, map_size
    )
    assert formula.separable_to_regular_ratio(kernel, outputs) == pytest.approx(saved)


class Branching(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images if images.sum() > 0 else -images


class Products(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.matmul(images, images)


class Joined(nn.Module):
    """What does not go together: another number of channels to multiply, another size to concatenate."""

    def __init__(self, joint: nn.Module) -> None:
        super().__init__()
        self.other = nn.Conv2d(1, 2, 3, padding=1 if isinstance(joint, Multiplication) else 0)
        self.joint = joint

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.joint(images, self.other(images))


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (nn.Sequential(nn.Conv2d(1, 2, 3), nn.LSTM(6, 2)), "layer 1: .* has no formula for LSTM"),
        (Products(), "matmul: .* has no formula for the function matmul"),
        (Branching(), "the path through Branching depends on its input"),
        (nn.Sequential(nn.Conv2d(3, 2, 3)), "layer 0: Conv2d reads 3 channels or features, but gets 1"),
        (nn.Sequential(nn.MaxPool2d(9)), "layer 0: MaxPool2d leaves nothing of an input of shape"),
        (nn.Sequential(nn.Flatten(0)), "layer 0: .* flattens everything but the batch"),
        (Joined(Multiplication()), r"layer joint: shapes that go together differ: \(1, 8, 8\), \(2, 8, 8\)"),
        (Joined(Concatenation()), r"layer joint: shapes that go together differ: \(8, 8\), \(6, 6\)"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_cannot_be_counted_is_named_in_one_line(network: nn.Module, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        formula.count_layers(network, (8, 8, 1))
    assert "\n" not in str(error.value)


def test_a_count_runs_no_tensor_through_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a layer was run")

    network = build("gapcnn", DIGITS, 10)
    for module in (nn.Conv2d, nn.Linear, nn.MaxPool2d):
        monkeypatch.setattr(module, "forward", refuse)
    assert sum(layer.macs for layer in formula.count_layers(network, DIGITS)) == 1_863_104
