"""Read CIFAR-10's binary files: six of 10,000 records, each a label byte and the red, green and blue plane of an image.

The original files and a JPEG copy of them have the same layout, so both datasets are read and described here.
"""

from pathlib import Path

import numpy as np

from compresslab.data.dataset import RemoteArchive
from compresslab.data.errors import DataError
from compresslab.data.prepared import Samples, Splits
from compresslab.data.splitting import stratified_holdout

FOLDER = "cifar-10-batches-bin"
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
"""In the order of the labels, as the published ``batches.meta.txt`` lists them."""

PROTOCOL = {
    "en": "The official 10,000 test images are the test set. Of the official 50,000 training images, 5,000 are the "
    "validation set: drawn at random with a fixed seed, 500 of every class. The other 45,000 are the training set. "
    "Nothing is chosen by the test set.",
    "zh-TW": "測試集為官方的 10,000 張測試影像。官方的 50,000 張訓練影像中，以固定的隨機種子每類抽出 500 張，共 5,000 "
    "張作為驗證集，其餘 45,000 張為訓練集。測試集不參與任何選擇。",
}
CAVEATS = (
    {
        "id": "cifar10-duplicates",
        "en": "3.3 % of the test images have a near-duplicate among the training images (Barz and Denzler, Journal of "
        "Imaging 6(6), 2020), so scores are somewhat better than they would be on new photographs.",
        "zh-TW": "測試影像中有 3.3 % 在訓練影像裡有近乎相同的影像（Barz 與 Denzler，Journal of Imaging 6(6)，2020），"
        "因此分數會比面對全新照片時略高。",
    },
    {
        "id": "cifar10-origin",
        "en": "The photographs were collected from the web, as part of 80 Million Tiny Images, which its authors "
        "withdrew in 2020 because of offensive labels; nobody states their licence.",
        "zh-TW": "這些照片蒐集自網路，屬於 80 Million Tiny Images 的一部分；該資料集因含有冒犯性標籤，已由作者於 2020 "
        "年撤下。照片的授權不明。",
    },
)
LICENCE = "none stated; its authors ask to cite the report (A. Krizhevsky, V. Nair and G. Hinton)"
CITATION = (
    "A. Krizhevsky: Learning multiple layers of features from tiny images. Technical report, University of Toronto, "
    "2009."
)

_TRAINING = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
_TEST = "test_batch.bin"
_RECORDS = 10_000
_SIDE = 32
_VALIDATION_IMAGES = 5_000
_VALIDATION_SEED = 0
_AGAIN = "fetch the dataset again"

# Hashes of the trees of the six files. batches.meta.txt is left out of them, since nobody has published its checksum:
# its ten names are CLASSES. The original's follows from the SHA-256 of each file, which TorchVision for Ruby
# publishes (github.com/ankane/torchvision-ruby, lib/torchvision/datasets/cifar10.rb), together with that of their
# archive, c4a38c50... (170,052,171 bytes), which TensorFlow Datasets gives, too. The archive's md5, on its own page, is
# c32a1d4ab5d03f1284b67883e8d87530.
_ORIGINAL = "6b06d4009bca0cea39947e276712e187372167d789eb6de9aa845777ccda9dcf"
_JPEG75 = "6879c37087094874d9212de130197abb26772bc7a60b0203065e3b39da267505"


def _archive(file: str, urls: tuple[str, ...], sha256: str, lookalikes: dict[str, str]) -> RemoteArchive:
    return RemoteArchive(
        name=FOLDER,
        file=file,
        urls=urls,
        root=FOLDER,
        wanted=("data_batch_*.bin", _TEST),
        sha256=sha256,
        bytes=6 * _RECORDS * (1 + 3 * _SIDE * _SIDE),
        files=6,
        most_bytes=250_000_000,
        lookalikes=lookalikes,
    )


ORIGINAL = _archive(
    "cifar-10-binary.tar.gz",
    ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
    _ORIGINAL,
    {_JPEG75: "the quality-75 JPEG copy (to use that one, set data.instead: {cifar10: cifar10-jpeg75})"},
)
JPEG75 = _archive(
    "cifar10-jpeg75.tar.gz", (), _JPEG75, {_ORIGINAL: "the original CIFAR-10 (the dataset cifar10 reads that one)"}
)


def read_splits(folder: Path) -> Splits:
    """Read the six files in ``folder`` and split them as PROTOCOL says; images (N, 32, 32, 3), labels int64 (N,).

    Raises DataError, naming the file, when one is missing, has another size or a label that is none.
    """
    batches = [read_batch(folder / name) for name in _TRAINING]
    images, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    kept, held_out = stratified_holdout(labels, _VALIDATION_IMAGES, _VALIDATION_SEED)
    return {
        "train": Samples(images[kept], labels[kept]),
        "validation": Samples(images[held_out], labels[held_out]),
        "test": Samples(*read_batch(folder / _TEST)),
    }


def read_batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read one file: uint8 images (10000, 32, 32, 3), RGB, and int64 labels (10000,).

    Raises DataError, naming the file, when it is missing, has another size or a label that is none.
    """
    record = 1 + 3 * _SIDE * _SIDE
    try:
        content = np.fromfile(path, np.uint8)
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file; {_AGAIN}") from error
    if content.size != _RECORDS * record:
        raise DataError(f"{path}: holds {content.size:,} bytes, not {_RECORDS:,} records of {record:,}; {_AGAIN}")
    records = content.reshape(_RECORDS, record)
    labels = records[:, 0].astype(np.int64)
    if labels.max() >= len(CLASSES):
        number = int(np.argmax(labels >= len(CLASSES)))
        raise DataError(
            f"{path}: the label of record {number:,} is {labels[number]}, but classes are 0 to {len(CLASSES) - 1}; "
            f"{_AGAIN}"
        )
    planes = records[:, 1:].reshape(_RECORDS, 3, _SIDE, _SIDE)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels
