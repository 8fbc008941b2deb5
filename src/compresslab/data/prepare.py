"""From raw files, or from a generator, to the one prepared format and its data card."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from compresslab.data.card import DataCard, Source
from compresslab.data.catalogue import open_dataset
from compresslab.data.dataset import Dataset, RemoteArchive, published
from compresslab.data.errors import DataError
from compresslab.data.prepared import SPLITS, Splits, content_sha256, write_prepared
from compresslab.data.verify import content_problem


def prepare(dataset: str, source: Source, raw: Path | None, out: Path) -> DataCard:
    """Build the splits of ``dataset`` and write them to ``out`` (``.npz``), with the card beside it (``.json``).

    ``raw`` is the folder that ``fetch`` filled; embedded data need none. The bytes written depend on the dataset, its
    source's content and this code alone. Raises DataError when a raw file is missing or not the published one.
    """
    module = open_dataset(dataset, source)
    _check_raw(dataset, module, raw)
    splits = module.read(raw)
    card = _describe(dataset, source, module, splits)
    write_prepared(out, splits, card)
    return card


def _check_raw(dataset: str, module: Dataset, raw: Path | None) -> None:
    if not module.FILES:
        return
    if raw is None:
        raise DataError(f"{dataset}: the folder of its raw files is needed; fetch the dataset and name it")
    for remote in module.FILES:
        path = raw / remote.name
        if not (path.is_dir() if isinstance(remote, RemoteArchive) else path.is_file()):
            raise DataError(f"{dataset}: there is no {path}; fetch the dataset first")
        problem = content_problem(path, remote)
        if problem is not None:
            raise DataError(f"{dataset}: {path} {problem}; fetch the dataset again")


def _describe(dataset: str, source: Source, module: Dataset, splits: Splits) -> DataCard:
    images = splits["train"].images
    mean, std = _mean_and_std(images)
    return DataCard(
        dataset=dataset,
        source=source,
        title=dict(module.TITLE),
        description=dict(module.DESCRIPTION),
        embedded=source == "embedded",
        substitute=module.SUBSTITUTE,
        classes=list(module.CLASSES),
        image_shape=images.shape[1:],
        counts={split: _count_classes(splits[split].labels, module.CLASSES) for split in SPLITS},
        mean=mean,
        std=std,
        content_sha256=content_sha256(splits),
        files=published(module.FILES),
        protocol=dict(module.PROTOCOL),
        caveats=[dict(caveat) for caveat in module.CAVEATS],
        licence=module.LICENCE,
        citation=module.CITATION,
    )


def _count_classes(labels: np.ndarray, classes: Sequence[str]) -> dict[str, int]:
    counts = np.bincount(labels.reshape(-1), minlength=len(classes))
    return dict(zip(classes, counts.tolist(), strict=True))


def _mean_and_std(images: np.ndarray) -> tuple[list[float], list[float]]:
    """Mean and standard deviation per channel of pixels / 255, from exact integer sums."""
    mean, std = [], []
    for channel in range(images.shape[-1]):
        histogram = np.bincount(images[..., channel].reshape(-1), minlength=256).tolist()
        count = sum(histogram)
        total = sum(value * times for value, times in enumerate(histogram))
        squares = sum(value * value * times for value, times in enumerate(histogram))
        mean.append(total / count / 255)
        std.append(math.sqrt(squares * count - total * total) / count / 255)
    return mean, std
