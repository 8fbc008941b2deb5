"""From raw files, or from a generator, to the one prepared format and its data card."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from compresslab.data.card import DataCard, DataFile, Source, Task
from compresslab.data.catalogue import open_dataset
from compresslab.data.dataset import Dataset, RemoteArchive
from compresslab.data.errors import DataError
from compresslab.data.masks import VOID
from compresslab.data.prepared import SPLITS, Splits, content_sha256, write_prepared
from compresslab.data.verify import content_problem, found_content

_VALUES_AT_ONCE = 1 << 22


def prepare(dataset: str, source: Source, raw: Path | None, out: Path) -> DataCard:
    """Build the splits of ``dataset`` and write them to ``out`` (``.npz``), with the card beside it (``.json``).

    ``raw`` is the folder that ``fetch`` filled; embedded data need none. The bytes written depend on the dataset, its
    source's content and this code alone. Raises DataError when a raw file is missing or not the published one.
    """
    module = open_dataset(dataset, source)
    files = _check_raw(dataset, module, raw)
    splits = module.read(raw)
    _check_labels(dataset, module, splits)
    caveats = [*module.CAVEATS, *_found_caveats(module, raw)]
    card = _describe(dataset, source, module, splits, files, caveats)
    write_prepared(out, splits, card)
    return card


def _check_raw(dataset: str, module: Dataset, raw: Path | None) -> list[DataFile]:
    if not module.FILES:
        return []
    if raw is None:
        raise DataError(f"{dataset}: the folder of its raw files is needed; fetch the dataset and name it")
    for remote in module.FILES:
        path = raw / remote.name
        if not (path.is_dir() if isinstance(remote, RemoteArchive) else path.is_file()):
            raise DataError(f"{dataset}: there is no {path}; fetch the dataset first")
        problem = content_problem(path, remote)
        if problem is not None:
            raise DataError(f"{dataset}: {path} {problem}; fetch the dataset again")
    return [found_content(raw / remote.name, remote) for remote in module.FILES]


def _found_caveats(module: Dataset, raw: Path | None) -> Sequence[Mapping[str, str]]:
    """What a dataset says of the files that were found, if it has anything to say."""
    found: Callable[[Path | None], Sequence[Mapping[str, str]]] = getattr(module, "found_caveats", lambda _: ())
    return found(raw)


def _check_labels(dataset: str, module: Dataset, splits: Splits) -> None:
    for split, (images, labels, _) in splits.items():
        masks = _task(module) == "segmentation"
        if labels.shape != images.shape[: 3 if masks else 1] or (masks and labels.dtype != np.uint8):
            raise DataError(
                f"{dataset}: the {split} labels are {labels.dtype} {labels.shape}, which does not fit images of "
                f"{images.shape}: {'uint8, one for every pixel' if masks else 'one for every image'}, are expected"
            )
        highest = int(labels.max(where=labels != VOID, initial=0) if masks else labels.max(initial=0))
        if highest >= len(module.CLASSES):
            raise DataError(
                f"{dataset}: a {split} label is {highest}, but the classes are 0 to {len(module.CLASSES) - 1}"
                f"{f', and void is {VOID}' if masks else ''}"
            )


def _describe(
    dataset: str,
    source: Source,
    module: Dataset,
    splits: Splits,
    files: list[DataFile],
    caveats: Sequence[Mapping[str, str]],
) -> DataCard:
    images = splits["train"].images
    mean, std = _mean_and_std(images)
    task = _task(module)
    labels = {split: _histogram(splits[split].labels, max(256, len(module.CLASSES))) for split in SPLITS}
    return DataCard(
        dataset=dataset,
        source=source,
        task=task,
        title=dict(module.TITLE),
        description=dict(module.DESCRIPTION),
        embedded=source == "embedded",
        substitute=module.SUBSTITUTE,
        classes=list(module.CLASSES),
        image_shape=images.shape[1:],
        label_map=dict(getattr(module, "LABEL_MAP", {})),
        counts={split: dict(zip(module.CLASSES, labels[split], strict=False)) for split in SPLITS},
        images={split: len(splits[split].images) for split in SPLITS},
        void_pixels={split: labels[split][VOID] for split in SPLITS} if task == "segmentation" else {},
        mean=mean,
        std=std,
        content_sha256=content_sha256(splits),
        files=files,
        protocol=dict(module.PROTOCOL),
        caveats=[dict(caveat) for caveat in caveats],
        licence=module.LICENCE,
        citation=module.CITATION,
    )


def _task(module: Dataset) -> Task:
    return getattr(module, "TASK", "classification")


def _mean_and_std(images: np.ndarray) -> tuple[list[float], list[float]]:
    """Mean and standard deviation per channel of pixels / 255, from exact integer sums."""
    mean, std = [], []
    for channel in range(images.shape[-1]):
        histogram = _histogram(images[..., channel], 256)
        count = sum(histogram)
        total = sum(value * times for value, times in enumerate(histogram))
        squares = sum(value * value * times for value, times in enumerate(histogram))
        mean.append(total / count / 255)
        std.append(math.sqrt(squares * count - total * total) / count / 255)
    return mean, std


def _histogram(values: np.ndarray, length: int) -> list[int]:
    """Return how often each of 0 to ``length - 1`` occurs in whole numbers (N, ...)."""
    histogram = np.zeros(length, np.int64)
    # In parts, since bincount makes eight bytes of every value.
    rows = max(1, _VALUES_AT_ONCE // max(1, values[:1].size))
    for first in range(0, len(values), rows):
        histogram += np.bincount(values[first : first + rows].reshape(-1), minlength=length)
    return [int(times) for times in histogram]
