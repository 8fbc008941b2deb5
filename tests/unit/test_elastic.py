"""Elastic distortion: its settings are pixels, its bits follow from the seed, and background stays background."""

import math
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, map_coordinates

from compresslab.config.training import Elastic
from compresslab.train.torch.distortion import displacements_px, distorted, draw


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def strokes(count: int = 4, height: int = 28, width: int = 28) -> torch.Tensor:
    """Bright bars on a background of zeros, like digits."""
    images = torch.zeros(count, 1, height, width)
    images[:, :, height // 3 : -height // 3, width // 2 - 2 : width // 2 + 2] = 255
    return images


def test_the_settings_are_those_of_the_paper() -> None:
    assert Elastic() == Elastic(strength_px=34, smoothness_px=4)


def test_without_strength_nothing_moves() -> None:
    images = torch.rand(3, 2, 20, 28, generator=generator()) * 255
    still = distorted(images, draw(images, generator()), Elastic(strength_px=0))
    torch.testing.assert_close(still, images, rtol=0, atol=1e-3)


@given(st.integers(8, 40), st.integers(8, 40), st.floats(0, 12), st.floats(0.5, 5))
@settings(max_examples=25, deadline=None)
def test_it_is_scipys_filter_and_interpolation(height: int, width: int, strength: float, smoothness: float) -> None:
    """An image that is not square tells x from y."""
    images = torch.rand(2, 1, height, width, generator=generator(height)) * 255
    drawn = draw(images, generator(width))
    found = distorted(images, drawn, Elastic(strength_px=strength, smoothness_px=smoothness))
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    for image, field, result in zip(images, drawn, found, strict=True):
        reach = math.ceil(4 * smoothness)
        right, down = (
            strength * gaussian_filter(part.double().numpy(), smoothness, mode="constant", radius=reach)
            for part in field
        )
        places = [rows.numpy() + down, columns.numpy() + right]
        wanted = torch.from_numpy(map_coordinates(image[0].double().numpy(), places, order=1, mode="constant"))
        # SciPy has no pixels outside; kornia fades into zeros over the last half pixel. Inside, they agree.
        inside = torch.from_numpy(
            (places[0] >= 0) & (places[0] <= height - 1) & (places[1] >= 0) & (places[1] <= width - 1)
        )
        torch.testing.assert_close(result[0].double()[inside], wanted[inside], rtol=0, atol=0.01)


def test_a_ramp_shows_the_displacement_in_pixels() -> None:
    ramp = torch.arange(40.0).expand(1, 1, 28, 40).contiguous()
    drawn = draw(ramp, generator())
    right, down = displacements_px(drawn, Elastic())[0]
    inside = (slice(8, -8), slice(8, -8))
    moved = (distorted(ramp, drawn, Elastic()) - ramp)[0, 0]
    torch.testing.assert_close(moved[inside], right[inside], rtol=0, atol=1e-4)
    falling = torch.arange(28.0)[:, None].expand(1, 1, 28, 40).contiguous()
    moved = (distorted(falling, drawn, Elastic()) - falling)[0, 0]
    torch.testing.assert_close(moved[inside], down[inside], rtol=0, atol=1e-4)


@pytest.mark.parametrize(("strength", "smoothness"), [(34, 4), (17, 4), (34, 6)])
def test_the_mean_displacement_is_that_of_smoothed_noise(strength: float, smoothness: float) -> None:
    """Uniform noise has variance 1/3; a Gaussian of width s in two dimensions leaves 1 / (4 pi s^2) of it."""
    images = torch.zeros(300, 1, 60, 60)
    fields = displacements_px(draw(images, generator()), Elastic(strength_px=strength, smoothness_px=smoothness))
    inner = fields[:, :, 25:35, 25:35]
    expected = strength / (3**0.5 * 2 * torch.pi**0.5 * smoothness)
    assert float(inner.std()) == pytest.approx(expected, rel=0.05)
    assert float(inner.mean()) == pytest.approx(0, abs=expected / 5)


def test_bits_follow_from_the_seed_alone() -> None:
    images = strokes()

    def view(seed: int) -> torch.Tensor:
        return distorted(images, draw(images, generator(seed)), Elastic())

    torch.manual_seed(1)
    first = view(0)
    torch.manual_seed(2)
    assert torch.equal(first, view(0))
    assert not torch.equal(first, view(1))
    assert not torch.equal(first[0], first[1]), "every image is distorted in its own way"
    source = generator(0)
    both = [draw(images, source) for _ in range(2)]
    assert not torch.equal(*both), "every batch is distorted in its own way"


def test_background_stays_background_and_brightness_stays_in_range() -> None:
    images = strokes(50)
    views = distorted(images, draw(images, generator()), Elastic())
    assert float(views.min()) >= 0
    assert float(views.max()) <= 255.001
    edge = torch.cat([views[..., 0, :], views[..., -1, :], views[..., 0], views[..., -1]], dim=-1)
    assert torch.equal(edge, torch.zeros_like(edge))
    assert torch.equal(distorted(0 * images, draw(images, generator()), Elastic()), 0 * images)


def test_kornia_is_not_imported_where_nothing_is_distorted() -> None:
    script = "import sys, compresslab.train.torch.learner; sys.exit('kornia' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)
