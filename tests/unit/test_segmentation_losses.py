"""Losses of segmentation against their definitions in NumPy, pixel by pixel; void pixels do not exist for them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kornia.losses import lovasz_softmax_loss
from torch.nn import functional

from compresslab.config.training import Loss
from compresslab.data.masks import VOID
from compresslab.train.torch.losses import dice, known_pixels, lovasz_softmax, weighted

CLASSES = 4
EACH = {name: Loss(**{"cross_entropy": 0.0, name: 1.0}) for name in Loss().weights}
SHAPES = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 5))


def scene(shape: tuple[int, int, int], seed: int, void: float = 0.3) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (N, C, H, W) in float64, with gradients, and masks of few classes."""
    generator = np.random.default_rng(seed)
    count, height, width = shape
    logits = torch.tensor(3 * generator.standard_normal((count, CLASSES, height, width)), requires_grad=True)
    labels = generator.integers(0, generator.integers(1, CLASSES + 1), shape)
    return logits, torch.tensor(np.where(generator.random(shape) < void, VOID, labels))


def probabilities_and_labels(logits: torch.Tensor, masks: torch.Tensor) -> list[tuple[np.ndarray, int]]:
    """The pixels that are not void, one by one."""
    exponents = np.exp(logits.detach().numpy())
    shares = exponents / exponents.sum(1, keepdims=True)
    return [
        (shares[image, :, row, column], int(label))
        for (image, row, column), label in np.ndenumerate(masks.numpy())
        if label != VOID
    ]


def slow_cross_entropy(pixels: list[tuple[np.ndarray, int]], smoothing: float) -> float:
    losses = [-(1 - smoothing) * np.log(shares[label]) - smoothing * np.log(shares).mean() for shares, label in pixels]
    return float(np.mean(losses))


def slow_dice(pixels: list[tuple[np.ndarray, int]]) -> float:
    losses = []
    for wanted in {label for _, label in pixels}:
        common = sum(shares[wanted] for shares, label in pixels if label == wanted)
        sizes = sum(shares[wanted] for shares, _ in pixels) + sum(label == wanted for _, label in pixels)
        losses.append(1 - 2 * common / sizes)
    return float(np.mean(losses))


def slow_lovasz(pixels: list[tuple[np.ndarray, int]]) -> float:
    """The Lovász extension by its definition: the Jaccard loss of growing sets of the most wrong pixels."""
    losses = []
    for wanted in {label for _, label in pixels}:
        errors = [abs((label == wanted) - shares[wanted]) for shares, label in pixels]
        truth = {place for place, (_, label) in enumerate(pixels) if label == wanted}
        wrong: set[int] = set()
        loss = before = 0.0
        for place in sorted(range(len(pixels)), key=lambda place: -errors[place]):
            wrong.add(place)
            answered = truth ^ wrong
            jaccard = 1 - len(truth & answered) / len(truth | answered)
            loss += errors[place] * (jaccard - before)
            before = jaccard
        losses.append(loss)
    return float(np.mean(losses))


@given(SHAPES, st.integers(0, 10**6), st.sampled_from([0.0, 0.2]))
@settings(deadline=None)
def test_every_loss_is_its_definition(shape: tuple[int, int, int], seed: int, smoothing: float) -> None:
    logits, masks = scene(shape, seed)
    pixels = probabilities_and_labels(logits, masks)
    wanted = {
        "cross_entropy": slow_cross_entropy(pixels, smoothing) if pixels else 0,
        "dice": slow_dice(pixels) if pixels else 0,
        "lovasz": slow_lovasz(pixels) if pixels else 0,
    }
    for name, loss in EACH.items():
        assert weighted(logits, masks, loss, smoothing).item() == pytest.approx(wanted[name], rel=1e-4, abs=1e-5), name
    weights = Loss(cross_entropy=0.5, dice=2, lovasz=3)
    together = sum(weight * wanted[name] for name, weight in weights.weights.items())
    assert weighted(logits, masks, weights, smoothing).item() == pytest.approx(together, rel=1e-4, abs=1e-5)


@given(SHAPES, st.integers(0, 10**6))
@settings(deadline=None)
def test_no_gradient_comes_from_void_pixels(shape: tuple[int, int, int], seed: int) -> None:
    logits, masks = scene(shape, seed, void=0.5)
    for name, loss in EACH.items():
        (gradient,) = torch.autograd.grad(weighted(logits, masks, loss), logits)
        assert torch.isfinite(gradient).all(), name
        void = (masks == VOID)[:, None].expand_as(gradient)
        assert not gradient[void].any(), name
        if name == "cross_entropy":
            assert gradient[~void].all()


@pytest.mark.parametrize("name", EACH)
def test_a_batch_that_is_all_void_teaches_nothing(name: str) -> None:
    logits, masks = scene((2, 3, 4), seed=0, void=1)
    loss = weighted(logits, masks, EACH[name])
    (gradient,) = torch.autograd.grad(loss, logits)
    assert loss.item() == 0
    assert torch.equal(gradient, torch.zeros_like(gradient))


@pytest.mark.parametrize("function", [dice, lovasz_softmax])
def test_gradients_are_those_of_finite_differences(function) -> None:
    logits, masks = scene((2, 3, 4), seed=1)
    pixels, labels = known_pixels(logits, masks)
    pixels = pixels.detach().requires_grad_()
    function(pixels, labels).backward()
    for place in np.ndindex(*pixels.shape):
        step = torch.zeros_like(pixels)
        step[place] = 1e-5
        with torch.no_grad():
            slope = (function(pixels + step, labels) - function(pixels - step, labels)).item() / 2e-5
        assert pixels.grad[place].item() == pytest.approx(slope, abs=1e-6)


def test_lovasz_is_that_of_kornia_over_many_pixels_of_all_classes() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = (3 * torch.randn(20_000, CLASSES, generator=generator)).requires_grad_()
    labels = torch.randint(0, CLASSES, (20_000,), generator=generator)
    ours = lovasz_softmax(logits, labels)
    theirs = lovasz_softmax_loss(logits.T[None, :, :, None], labels[None, :, None])
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(*(torch.autograd.grad(loss, logits)[0] for loss in (ours, theirs)), rtol=1e-2, atol=1e-8)


def test_only_cross_entropy_is_that_of_pytorch_with_void_ignored() -> None:
    logits, masks = scene((3, 8, 6), seed=2)
    wanted = functional.cross_entropy(logits.float(), masks, ignore_index=VOID, label_smoothing=0.1)
    torch.testing.assert_close(weighted(logits, masks, Loss(), 0.1), wanted)


def test_half_precision_is_summed_in_float32() -> None:
    logits, masks = scene((2, 16, 16), seed=3)
    rounded = logits.detach().bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        loss = weighted(rounded, masks, Loss(dice=1, lovasz=1))
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, weighted(rounded.float(), masks, Loss(dice=1, lovasz=1)), rtol=1e-5, atol=0)
