"""The gradients that trainings on a GPU take instead of PyTorch's own are the same numbers."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from compresslab.models.torch import eager_quantization as eager
from compresslab.models.torch.artifact import build
from compresslab.train.torch import gradients
from compresslab.train.torch.gradients import Pointwise, own_gradients, pointwise_gradient, upsampling_gradient

SIDES = st.integers(1, 9)


@settings(deadline=None)
@given(SIDES, SIDES, st.sampled_from([1.5, 2.0, 3.0, 8.0]), st.booleans())
def test_the_gradient_of_upsampling_by_a_factor(height: int, width: int, factor: float, corners: bool) -> None:
    check_upsampling(height, width, corners, scale_factor=factor)


@settings(deadline=None)
@given(SIDES, SIDES, st.tuples(SIDES, SIDES), st.booleans())
def test_the_gradient_of_upsampling_to_a_size(height: int, width: int, size: tuple[int, int], corners: bool) -> None:
    check_upsampling(height, width, corners, size=size)


def check_upsampling(height: int, width: int, corners: bool, **enlarged: Any) -> None:
    images = torch.randn((2, 3, height, width), dtype=torch.float64, requires_grad=True)
    upsampled = functional.interpolate(images, mode="bilinear", align_corners=corners, **enlarged)
    upper = torch.randn_like(upsampled)
    (wanted,) = torch.autograd.grad(upsampled, images, upper)
    factor = enlarged.get("scale_factor")
    found = upsampling_gradient(upper, upsampled.shape[2:], images.shape, corners, factor, factor)
    assert torch.allclose(found, wanted)


@settings(deadline=None)
@given(st.integers(1, 4), st.integers(1, 5), st.integers(1, 5), SIDES, SIDES)
def test_the_gradient_of_pointwise_weights(count: int, inputs: int, outputs: int, height: int, width: int) -> None:
    images = torch.randn((count, inputs, height, width), dtype=torch.float64)
    weight = torch.randn((outputs, inputs, 1, 1), dtype=torch.float64, requires_grad=True)
    convolved = functional.conv2d(images, weight)
    upper = torch.randn_like(convolved)
    (wanted,) = torch.autograd.grad(convolved, weight, upper)
    assert torch.allclose(pointwise_gradient(images, upper), wanted)


@pytest.mark.parametrize("biased", [True, False])
def test_a_pointwise_convolution_has_the_gradients_of_finite_differences(biased: bool) -> None:
    shapes = [(2, 3, 4, 6), (5, 3, 1, 1), (5,)]
    inputs = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    assert torch.autograd.gradcheck(Pointwise.apply, (*inputs[:2], inputs[2] if biased else None))


def plain() -> nn.Module:
    torch.manual_seed(0)
    return build("efficient-unet", (32, 64, 3), 8, base_channels=4, depth=2, reduction=2, reading="pixels")


def fake_quantized() -> nn.Module:
    simulated = eager.simulate(plain(), (32, 64, 3), "channel")
    eager.observe(simulated, torch.randn((4, 3, 32, 64)))
    return simulated.train()


@pytest.mark.parametrize("made", [plain, fake_quantized])
def test_a_network_answers_and_learns_the_same_with_them_and_is_left_as_it_was(
    made: Callable[[], nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    images = torch.randn((2, 3, 32, 64), generator=torch.Generator().manual_seed(1))

    def learned(network: nn.Module) -> tuple[torch.Tensor, list[torch.Tensor]]:
        logits = network(images)
        return logits, list(torch.autograd.grad(logits.square().mean(), list(network.parameters())))

    logits, wanted = learned(made())
    # Everything but the registration is the same without a GPU.
    monkeypatch.setattr(gradients, "take_over_upsampling", lambda: None)
    taken: list[torch.Tensor] = []
    convolved = gradients._convolved
    monkeypatch.setattr(gradients, "_convolved", lambda *inputs: (taken.append(inputs[1]), convolved(*inputs))[1])
    network = made()
    with own_gradients(network, torch.device("cuda")):
        others, found = learned(network)
    assert torch.equal(others, logits)
    for one, other in zip(found, wanted, strict=True):
        assert (one - other).norm() <= 1e-4 * other.norm()
    assert len(taken) == sum(gradients._is_pointwise(part) for part in network.modules()) > 10
    assert not any({"forward", "_conv_forward"} & vars(part).keys() for part in network.modules())
