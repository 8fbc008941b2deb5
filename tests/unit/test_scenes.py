"""Views of scenes: image and mask move together, what lies beyond the image is void, and bits follow from the seed."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import max_pool2d

from compresslab.config.training import Scenes
from compresslab.data.masks import VOID
from compresslab.train.torch.scenes import draw, seen

STILL = Scenes(mirror=False, scale_low=1, scale_high=1, brightness=0, contrast=0)
SIZES = st.tuples(st.integers(2, 12), st.integers(2, 12))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def scene(count: int, height: int, width: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Images whose every pixel shows its label, ten times as bright."""
    masks = torch.randint(0, 8, (count, height, width), generator=generator(seed))
    return (10.0 * masks)[:, None].repeat(1, 3, 1, 1), masks


def only(**settings: float | bool) -> Scenes:
    return STILL.model_copy(update=settings)


@given(SIZES, st.integers(0, 1000))
@settings(deadline=None)
def test_without_anything_to_draw_nothing_changes(size: tuple[int, int], seed: int) -> None:
    pixels, masks = scene(3, *size, seed)
    views, moved = seen(pixels, masks, draw(3, generator(seed)), STILL)
    torch.testing.assert_close(views, pixels, rtol=0, atol=1e-3)
    assert torch.equal(moved, masks)
    assert moved.dtype == torch.int64


@given(SIZES, st.integers(0, 1000))
@settings(deadline=None)
def test_a_mirror_turns_left_and_right_of_both(size: tuple[int, int], seed: int) -> None:
    pixels, masks = scene(8, *size, seed)
    drawn = draw(8, generator(seed))
    views, moved = seen(pixels, masks, drawn, only(mirror=True))
    for index, mirrored in enumerate(drawn[:, 0] < 0.5):
        wanted = masks[index].flip(1) if mirrored else masks[index]
        assert torch.equal(moved[index], wanted)
        torch.testing.assert_close(views[index, 0], 10.0 * wanted, rtol=0, atol=1e-3)


@given(st.integers(0, 1000), st.sampled_from([1.0, 2.0, 3.0]))
@settings(deadline=None)
def test_image_and_mask_show_the_same_place(seed: int, scale: float) -> None:
    """In the middle of areas of one label, what an image shows is what its mask says."""
    masks = torch.randint(0, 8, (4, 3, 4), generator=generator(seed)).repeat_interleave(8, 1).repeat_interleave(8, 2)
    pixels = (10.0 * masks)[:, None].repeat(1, 3, 1, 1)
    views, moved = seen(pixels, masks, draw(4, generator(seed)), only(mirror=True, scale_low=scale, scale_high=scale))
    # A pixel between two of the image's shows both, which are several apart in a larger view.
    reach, labels = int(scale), moved[:, None].float()
    alike = max_pool2d(labels, 2 * reach + 1, 1) == -max_pool2d(-labels, 2 * reach + 1, 1)
    agree = (views - 10.0 * moved[:, None]).abs()[:, :, reach:-reach, reach:-reach] < 1e-2
    assert agree[alike.expand_as(agree)].all()
    assert alike.float().mean() > 0.3
    assert not (moved == VOID).any()


def test_a_view_twice_as_large_is_a_part_of_half_the_size() -> None:
    masks = torch.arange(64).view(1, 8, 8)
    drawn = draw(200, generator())
    _, moved = seen(torch.zeros(200, 1, 8, 8), masks.repeat(200, 1, 1), drawn, only(scale_low=2, scale_high=2))
    tops, lefts = moved[:, 0, 0] // 8, moved[:, 0, 0] % 8
    assert set(tops.tolist()) == set(lefts.tolist()) == {0, 1, 2, 3, 4}
    for view in moved:
        rows, columns = view // 8, view % 8
        assert (rows.max() - rows.min()).item() in (3, 4)
        assert torch.equal(rows, rows[:, :1].expand(8, 8))
        assert torch.equal(columns, columns[:1].expand(8, 8))
        assert (rows[1:, 0] >= rows[:-1, 0]).all()


def test_beyond_a_smaller_image_all_is_void_and_the_image_is_whole() -> None:
    masks = torch.ones(50, 16, 16, dtype=torch.int64)
    pixels = torch.full((50, 3, 16, 16), 100.0)
    views, moved = seen(pixels, masks, draw(50, generator()), only(scale_low=0.5, scale_high=0.5))
    assert (moved == 1).sum((1, 2)).tolist() == [64] * 50
    assert set(moved.unique().tolist()) == {1, VOID}
    torch.testing.assert_close(views, pixels, rtol=0, atol=1e-3)
    assert len({tuple(view.flatten().tolist()) for view in moved}) > 20


def test_void_stays_void_and_no_label_is_invented() -> None:
    pixels, masks = scene(20, 12, 20)
    masks[:, 3:6] = VOID
    masks[masks == 4] = 5
    _, moved = seen(pixels, masks, draw(20, generator()), Scenes())
    assert set(moved.unique().tolist()) <= set(masks.unique().tolist())
    assert (moved == VOID).any((1, 2)).all()


def test_brightness_multiplies_and_contrast_spreads_around_the_mean() -> None:
    pixels = torch.rand(300, 3, 6, 8, generator=generator()) * 60 + 90
    _, masks = scene(300, 6, 8)
    views, moved = seen(pixels, masks, draw(300, generator()), only(brightness=0.2))
    factors = (views / pixels).flatten(1)
    torch.testing.assert_close(factors, factors[:, :1].expand_as(factors))
    assert factors.min() == pytest.approx(0.8, abs=0.01)
    assert factors.max() == pytest.approx(1.2, abs=0.01)
    assert torch.equal(moved, masks)
    views, _ = seen(pixels, masks, draw(300, generator()), only(contrast=0.2))
    torch.testing.assert_close(views.mean((1, 2, 3)), pixels.mean((1, 2, 3)))
    spread = views.std((1, 2, 3)) / pixels.std((1, 2, 3))
    assert spread.min() == pytest.approx(0.8, abs=0.01)
    assert spread.max() == pytest.approx(1.2, abs=0.01)


def test_pixels_stay_in_range_and_channels_lie_last() -> None:
    pixels = torch.rand(30, 3, 10, 14, generator=generator()) * 255
    views, _ = seen(pixels, scene(30, 10, 14)[1], draw(30, generator()), Scenes(brightness=0.9, contrast=0.9))
    assert views.min() >= 0
    assert views.max() <= 255
    assert views.shape == pixels.shape
    assert views.is_contiguous(memory_format=torch.channels_last)


def test_scales_are_drawn_evenly_in_ratio_and_each_image_draws_its_own() -> None:
    masks = torch.arange(100).expand(2000, 100, 100)
    drawn = draw(2000, generator())
    _, moved = seen(torch.zeros(2000, 1, 100, 100), masks, drawn, only(scale_low=0.5, scale_high=2))
    shown = (moved != VOID).any(1).sum(1)
    # Half of the views are smaller than their image.
    assert (shown < 100).float().mean() == pytest.approx(0.5, abs=0.05)
    assert shown.min() in (50, 51)
    across = moved[:, 0].where(moved[:, 0] != VOID, 0).amax(1) - moved[:, 0].amin(1)
    assert np.median(across[shown == 100]) == pytest.approx(100 / 2**0.5, abs=3)


def test_bits_follow_from_the_generator_alone() -> None:
    pixels, masks = scene(4, 10, 14)

    def view(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        return seen(pixels, masks, draw(4, generator(seed)), Scenes())

    torch.manual_seed(1)
    first = view(0)
    torch.manual_seed(2)
    assert all(torch.equal(one, other) for one, other in zip(first, view(0), strict=True))
    assert not torch.equal(first[0], view(1)[0])
    source = generator(0)
    assert not torch.equal(draw(4, source), draw(4, source)), "every batch is seen in its own way"
