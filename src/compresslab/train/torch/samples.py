"""A split as whole tensors on the device of a training."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch

from compresslab.data.prepared import Split
from compresslab.data.preprocessing import Preprocessing


@dataclass(frozen=True)
class Samples:
    """Images, uint8 (N, H, W, C), labels, and mean and std for every number of an image (H, W, C).

    Labels are int64 (N,), or uint8 masks (N, H, W), which stay so until their batch is made.

    Batches are (N, C, H, W). They come with channels last in memory, as the images lie, and are transposed only when
    they are normalized, if ``layout`` is another one.
    """

    images: torch.Tensor
    labels: torch.Tensor
    mean: torch.Tensor
    std: torch.Tensor
    layout: torch.memory_format = torch.channels_last

    @classmethod
    def of(
        cls,
        split: Split,
        preprocessing: Preprocessing,
        device: torch.device,
        layout: torch.memory_format = torch.channels_last,
    ) -> Self:
        """Take a split to the device."""
        # As large as an image, since an operation over three channels at a time is slow.
        shape = split.images.shape[1:]
        mean, std = (
            torch.tensor(values).expand(shape).contiguous() for values in (preprocessing.mean, preprocessing.std)
        )
        labels = torch.tensor(split.labels, dtype=torch.int64 if split.labels.ndim == 1 else torch.uint8)
        images = torch.tensor(split.images)
        return cls(images.to(device), labels.to(device), mean.to(device), std.to(device), layout)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    def fitting(self, images: int, pixels: int) -> int:
        """Return how many images a batch may have: ``images``; with masks also at most ``pixels``, but one at least."""
        return images if self.labels.ndim == 1 else min(images, max(1, pixels // self.labels[0].numel()))

    def showing(self, images: np.ndarray) -> Self:
        """Return the same samples with other images, uint8 (N, H, W, C)."""
        return replace(self, images=torch.tensor(images).to(self.images.device))

    def batch(self, choice: torch.Tensor | slice) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the chosen pixels, float32 (N, C, H, W) from 0 to 255, and int64 labels."""
        # The images stay uint8 until here: four times less memory, and faster to gather than float32.
        if isinstance(choice, slice):
            pixels, labels = self.images[choice], self.labels[choice]
        else:
            pixels, labels = self.images.index_select(0, choice), self.labels.index_select(0, choice)
        return pixels.float().permute(0, 3, 1, 2), labels.long()

    def normalized(self, pixels: torch.Tensor) -> torch.Tensor:
        """Normalize what :meth:`batch` gave, which it overwrites; on the CPU bit for bit as ``Preprocessing`` does."""
        rows = pixels.permute(0, 2, 3, 1)
        images = rows.div_(255).sub_(self.mean).div_(self.std).permute(0, 3, 1, 2)
        # A copy, since one channel is contiguous in any order, but convolutions read the layout off the strides.
        return images if self.layout is torch.channels_last else images.clone(memory_format=self.layout)
