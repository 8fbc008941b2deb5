"""Prepared datasets: one ``.npz`` for all of them, and the data card beside it.

Members: ``{split}_images`` uint8 (N, H, W, C) and ``{split}_labels``, int64 (N,) for classification or uint8
(N, H, W) masks for segmentation, for every split of ``SPLITS``; and, of a dataset that knows where each sample comes
from, ``{split}_origins``, text (N,). The archive is not compressed, so that a split is read without touching the
others.
"""

import hashlib
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from compresslab.arrays import write_arrays
from compresslab.artifacts import write_json
from compresslab.data.card import DataCard
from compresslab.data.errors import DataError
from compresslab.data.sampling import permutation

SPLITS = ("train", "validation", "test")


class Samples(NamedTuple):
    """What a dataset gives for a split: images, labels and, where they are known, the samples' origins.

    An origin is a short ASCII text that names a sample in the published data, such as ``00041012:3``, the fourth box
    of that image.
    """

    images: np.ndarray
    labels: np.ndarray
    origins: np.ndarray | None = None


Splits = Mapping[str, Samples]


@dataclass(frozen=True, eq=False)
class Split:
    """Samples of one split: uint8 images (N, H, W, C), their labels, and their int64 positions in the whole split.

    ``labels``: int64 (N,) or, for segmentation, uint8 (N, H, W), in which 255 is no class (``masks.VOID``).
    ``origins``: text (N,), where each sample comes from, or None when the dataset does not say.
    """

    images: np.ndarray
    labels: np.ndarray
    indices: np.ndarray
    origins: np.ndarray | None = None


def read_split(path: Path, split: str, limit: int | None = None) -> Split:
    """Read one split of a prepared dataset; only that split's members are read.

    With ``limit``, the first ``limit`` samples of a fixed permutation, in their original order: the same samples
    every time, and a smaller limit's samples are among a larger one's. Raises DataError, naming the file, when it
    is missing or damaged, and ValueError for an unknown split or a limit below 1.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}; the splits are {', '.join(SPLITS)}")
    if limit is not None and limit < 1:
        raise ValueError(f"a limit of {limit} images leaves nothing of the {split} split; give 1 or more")
    images, labels, origins = _read_samples(Path(path), split)
    count = len(images)
    if images.dtype != np.uint8 or images.ndim != 4 or not _go_with(labels, images):
        raise DataError(
            f"{path}: {split}_images {images.dtype} {images.shape} and {split}_labels {labels.dtype} {labels.shape} "
            "are not a prepared split; prepare the dataset again"
        )
    if origins is not None and (origins.dtype.kind != "U" or origins.shape != (count,)):
        raise DataError(
            f"{path}: {split}_origins {origins.dtype} {origins.shape} do not name {count} samples; "
            "prepare the dataset again"
        )
    if limit is None or limit >= count:
        return Split(images, labels, np.arange(count, dtype=np.int64), origins)
    indices = np.sort(permutation(0, count)[:limit])
    return Split(images[indices], labels[indices], indices, None if origins is None else origins[indices])


def calibration_images(path: Path, count: int) -> Split:
    """Return ``count`` images to calibrate quantization with: always training images, always the same ones."""
    return read_split(path, "train", limit=count)


def write_prepared(path: Path, splits: Splits, card: DataCard) -> None:
    """Write the arrays to ``path`` (``.npz``) and the card beside it (``.json``), each of them whole or not at all.

    Raises ValueError when a split is missing or the card describes other arrays.
    """
    if set(splits) != set(SPLITS):
        raise ValueError(f"a prepared dataset has the splits {', '.join(SPLITS)}, got {', '.join(splits)}")
    if card.content_sha256 != content_sha256(splits):
        raise ValueError(f"the card of {card.dataset} describes other arrays than the ones to be written to {path}")
    write_arrays(path, _members(splits))
    write_json(Path(path).with_suffix(".json"), card.model_dump(mode="json"))


def content_sha256(splits: Splits) -> str:
    """SHA-256 over name, dtype, shape and values of every array, in hexadecimal."""
    digest = hashlib.sha256()
    for name, array in _members(splits).items():
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _go_with(labels: np.ndarray, images: np.ndarray) -> bool:
    """Say whether these are labels of ``images``: one for each image, or one for each pixel, uint8."""
    return labels.shape == images.shape[:1] or (labels.shape == images.shape[:3] and labels.dtype == np.uint8)


def _members(splits: Splits) -> dict[str, np.ndarray]:
    members: dict[str, np.ndarray] = {}
    for split in SPLITS:
        images, labels, origins = splits[split]
        members |= {f"{split}_images": images, f"{split}_labels": labels}
        if origins is not None:
            members[f"{split}_origins"] = origins
    return members


def _read_samples(path: Path, split: str) -> Samples:
    try:
        with np.load(path, allow_pickle=False) as archive:
            origins = archive.get(f"{split}_origins")
            return Samples(archive[f"{split}_images"], archive[f"{split}_labels"], origins)
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no prepared dataset; run its prepare stage first") from error
    except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(
            f"{path}: truncated, damaged or not a prepared dataset; delete it and prepare it again"
        ) from error
