"""What elastic distortion makes of images, to be looked at: the same drawing and the same filters as in a training."""

import numpy as np
import torch

from compresslab.config.training import Elastic
from compresslab.train.torch.distortion import displacements_px, distorted, draw


def elastic_views(images: np.ndarray, elastic: Elastic, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return ``count`` distorted views (count, N, H, W, C) of uint8 ``images`` (N, H, W, C), and one displacement.

    The displacement, float32 (2, H, W), is that of the first view of the first image: how far down and to the right of
    itself each pixel of the view shows the image. ``seed`` decides all of it.
    """
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float()
    drawn = [draw(pixels, generator) for _ in range(count)]
    views = torch.stack([distorted(pixels, numbers, elastic) for numbers in drawn])
    right_and_down = displacements_px(drawn[0][:1], elastic)[0]
    return views.round().clamp(0, 255).byte().permute(0, 1, 3, 4, 2).numpy(), right_and_down.flip(0).numpy()
