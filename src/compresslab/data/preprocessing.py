"""The one preprocessing between stored pixels and a network: scale to 0..1, then standardize each channel."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np


@dataclass(frozen=True)
class Preprocessing:
    """Per-channel standardization; ``mean`` and ``std`` are of the training pixels divided by 255."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.mean or len(self.mean) != len(self.std):
            raise ValueError(f"preprocessing needs one mean and one std per channel, got {self.mean} and {self.std}")
        if not np.all(np.isfinite(self.mean)) or not all(np.isfinite(std) and std > 0 for std in self.std):
            raise ValueError(f"preprocessing needs finite means and positive stds, got {self.mean} and {self.std}")

    def normalize(self, images: np.ndarray) -> np.ndarray:
        """Turn uint8 images (N, H, W, C) into float32 (N, H, W, C): ``(x / 255 - mean) / std``.

        Raises ValueError for another dtype or another number of channels.
        """
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != len(self.mean):
            raise ValueError(
                f"expected uint8 images (N, H, W, {len(self.mean)}), got {images.dtype} {tuple(images.shape)}"
            )
        values = images.astype(np.float32)
        values /= np.float32(255)
        values -= np.asarray(self.mean, np.float32)
        values /= np.asarray(self.std, np.float32)
        return values

    def to_json(self) -> dict[str, list[float]]:
        """Return ``{"mean": [...], "std": [...]}``, which ``from_json`` reads back without loss."""
        return {"mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read what ``to_json`` wrote; raises ValueError for anything else."""
        try:
            return cls(_floats(value["mean"]), _floats(value["std"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f'preprocessing must be {{"mean": [...], "std": [...]}}, got {value!r}') from error


def _floats(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
