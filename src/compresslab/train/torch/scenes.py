"""Other views of scenes and their masks: mirrored, scaled, cut out, brighter or darker, with more or less contrast.

A view is as large as its image. It is looked up in the image between pixels, and in the mask at the nearest pixel. A
view of a smaller scale shows what a mirror at the image's border would; its mask is void there.
"""

import torch
from torch.nn import functional

from compresslab.config.training import Scenes
from compresslab.data.masks import VOID

DRAWN = 6
"""Numbers that decide a view: mirrored or not, scale, place down and across, brightness, contrast."""


def draw(count: int, generator: torch.Generator) -> torch.Tensor:
    """Draw the numbers of ``count`` views, float32 (count, ``DRAWN``) from 0 to 1."""
    return torch.rand((count, DRAWN), generator=generator, device=generator.device, dtype=torch.float32)


def seen(
    pixels: torch.Tensor, masks: torch.Tensor, drawn: torch.Tensor, scenes: Scenes
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the views that were ``drawn`` (N, ``DRAWN``): pixels, float32 (N, C, H, W) from 0 to 255, and masks.

    ``masks`` are int64 (N, H, W), with ``VOID`` where nothing is asked. Of scales, doubling is as likely as halving.
    """
    mirrored, scale, down, across, brightness, contrast = drawn.unbind(1)
    sign = torch.where(mirrored < 0.5, -1.0, 1.0) if scenes.mirror else torch.ones_like(mirrored)
    share = 1 / (scenes.scale_low * (scenes.scale_high / scenes.scale_low) ** scale)
    places = functional.affine_grid(_positions(sign * share, share, across, down), [*pixels.shape], align_corners=False)
    views = functional.grid_sample(pixels, places, "bilinear", "reflection", align_corners=False)
    views = _exposed(views, _factor(brightness, scenes.brightness), _factor(contrast, scenes.contrast))
    return views.contiguous(memory_format=torch.channels_last), _masks_at(masks, places)


def _positions(right: torch.Tensor, down: torch.Tensor, across: torch.Tensor, along: torch.Tensor) -> torch.Tensor:
    """Return maps (N, 2, 3) of a view's positions to the image's, which go from -1 to 1 in both directions.

    ``right`` and ``down`` are the shares of the image that a view shows, negative where it is mirrored; ``across`` and
    ``along``, from 0 to 1, put it anywhere within the image, or the image anywhere within it.
    """
    none = torch.zeros_like(right)
    room_across, room_along = 1 - right.abs(), 1 - down.abs()
    rows = [right, none, room_across * (2 * across - 1), none, down, room_along * (2 * along - 1)]
    return torch.stack(rows, dim=1).view(-1, 2, 3)


def _masks_at(masks: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    # Outside is 0, so void has to be 0 meanwhile. Labels are small enough for float32.
    found = functional.grid_sample((masks[:, None] - VOID).float(), places, "nearest", "zeros", align_corners=False)
    return found[:, 0].long() + VOID


def _exposed(pixels: torch.Tensor, brightness: torch.Tensor, contrast: torch.Tensor) -> torch.Tensor:
    """Multiply pixels (N, C, H, W) by ``brightness`` (N,), their distance from the image's mean by ``contrast`` too."""
    mean = pixels.mean((1, 2, 3)) * brightness * (1 - contrast)
    return torch.addcmul(mean[:, None, None, None], pixels, (brightness * contrast)[:, None, None, None]).clamp_(0, 255)


def _factor(drawn: torch.Tensor, reach: float) -> torch.Tensor:
    return 1 + reach * (2 * drawn - 1)
