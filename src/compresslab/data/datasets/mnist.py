"""MNIST: 70,000 handwritten digits, 28 by 28 pixels."""

from pathlib import Path

import numpy as np

from compresslab.data.dataset import RemoteFile
from compresslab.data.errors import DataError
from compresslab.data.idx import read_idx
from compresslab.data.prepared import Samples, Splits
from compresslab.data.splitting import stratified_holdout

# Public copies of the published files; the page that published them first often refuses downloads.
_ADDRESSES = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
_VALIDATION_IMAGES = 5_000
_VALIDATION_SEED = 0

TITLE = {"en": "MNIST handwritten digits", "zh-TW": "MNIST 手寫數字"}
DESCRIPTION = {
    "en": "70,000 grey images of 28 × 28 pixels of handwritten digits, size-normalized and centred, from two NIST "
    "collections.",
    "zh-TW": "70,000 張 28 × 28 像素的灰階手寫數字影像，取自兩個 NIST 資料庫，大小已正規化並置中。",
}
PROTOCOL = {
    "en": "The official 10,000 test images are the test set. Of the official 60,000 training images, 5,000 are the "
    "validation set: drawn at random with a fixed seed, each class in proportion. The other 55,000 are the training "
    "set. Nothing is chosen by the test set.",
    "zh-TW": "測試集為官方的 10,000 張測試影像。官方的 60,000 張訓練影像中，以固定的隨機種子按各類別比例抽出 5,000 張"
    "作為驗證集，其餘 55,000 張為訓練集。測試集不參與任何選擇。",
}
CAVEATS = (
    {
        "id": "mnist-writers",
        "en": "MNIST does not say who wrote which digit, so the same hand may appear in training and validation; "
        "the official test set comes from other writers.",
        "zh-TW": "MNIST 未標示書寫者，同一人的筆跡可能同時出現在訓練集與驗證集；官方測試集則來自其他書寫者。",
    },
)
CLASSES = tuple("0123456789")
LICENCE = "CC BY-SA 3.0 (Y. LeCun and C. Cortes)"
CITATION = (
    "Y. LeCun, L. Bottou, Y. Bengio, P. Haffner: Gradient-based learning applied to document recognition. "
    "Proceedings of the IEEE 86(11), 1998, 2278-2324."
)
SUBSTITUTE = False


def _published(name: str, sha256: str, size: int) -> RemoteFile:
    return RemoteFile(name, tuple(address + name for address in _ADDRESSES), sha256, size)


FILES = (
    _published(
        "train-images-idx3-ubyte.gz", "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db", 47_040_016
    ),
    _published(
        "train-labels-idx1-ubyte.gz", "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5", 60_008
    ),
    _published(
        "t10k-images-idx3-ubyte.gz", "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7", 7_840_016
    ),
    _published("t10k-labels-idx1-ubyte.gz", "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2", 10_008),
)


def read(raw: Path | None) -> Splits:
    """Read the four IDX files in ``raw`` and split them as PROTOCOL says; images (N, 28, 28, 1), labels int64."""
    if raw is None:
        raise DataError("mnist is read from its four IDX files; name their folder")
    images, labels = _read_pair(raw, "train")
    kept, held_out = stratified_holdout(labels, _VALIDATION_IMAGES, _VALIDATION_SEED)
    return {
        "train": Samples(images[kept], labels[kept]),
        "validation": Samples(images[held_out], labels[held_out]),
        "test": Samples(*_read_pair(raw, "t10k")),
    }


def _read_pair(raw: Path, prefix: str) -> tuple[np.ndarray, np.ndarray]:
    images = read_idx(raw / f"{prefix}-images-idx3-ubyte.gz", dimensions=3)
    labels = read_idx(raw / f"{prefix}-labels-idx1-ubyte.gz", dimensions=1)
    if len(images) != len(labels) or labels.max(initial=0) >= len(CLASSES):
        raise DataError(f"{raw}: {len(images)} {prefix} images do not go with {len(labels)} labels; fetch them again")
    return images[..., np.newaxis], labels.astype(np.int64)
