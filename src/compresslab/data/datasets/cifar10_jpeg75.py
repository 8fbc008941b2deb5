"""A copy of CIFAR-10 that went through JPEG at quality 75, for places that have nothing else; from a mirror only."""

from pathlib import Path

from compresslab.data.cifar import CAVEATS as _CAVEATS
from compresslab.data.cifar import CITATION as CITATION
from compresslab.data.cifar import CLASSES as CLASSES
from compresslab.data.cifar import JPEG75, read_splits
from compresslab.data.cifar import LICENCE as LICENCE
from compresslab.data.cifar import PROTOCOL as PROTOCOL
from compresslab.data.errors import DataError
from compresslab.data.prepared import Splits

# The copy usually lies where the original would.
MIRROR_FOLDERS = ("cifar10-jpeg75", "cifar10")

TITLE = {"en": "CIFAR-10 small photographs after JPEG at quality 75", "zh-TW": "CIFAR-10 小型照片（JPEG 品質 75 複本）"}
DESCRIPTION = {
    "en": "A copy of CIFAR-10, 60,000 colour photographs of 32 × 32 pixels of ten kinds, compressed as JPEG at quality "
    "75 and decoded again, in another order.",
    "zh-TW": "CIFAR-10（60,000 張 32 × 32 像素的彩色照片，共十類）的複本：影像以 JPEG 品質 75 壓縮後再解碼，順序也與"
    "原資料集不同。",
}
CAVEATS = (
    {
        "id": "cifar10-jpeg75",
        "en": "These are not the original images but a JPEG copy at quality 75: their pixels differ from the original "
        "ones by 6.0 of 255 levels on average, and a published CIFAR-10 network that scores 88.4 % on the original "
        "images scores 75.5 % on this copy without retraining. Numbers measured on it are not comparable with "
        "published ones.",
        "zh-TW": "這些不是原始影像，而是 JPEG 品質 75 的複本：像素值與原始影像平均相差 6.0（全幅 255）。某個已公開的 "
        "CIFAR-10 網路在原始影像上的準確率為 88.4 %，未經重新訓練，在此複本上只有 75.5 %。在此複本上量得的數字無法與"
        "已發表的數字比較。",
    },
    *_CAVEATS,
)
SUBSTITUTE = True
FILES = (JPEG75,)


def read(raw: Path | None) -> Splits:
    """Read the six binary files and split them as PROTOCOL says; images uint8 (N, 32, 32, 3), labels int64 (N,)."""
    if raw is None:
        raise DataError(f"cifar10-jpeg75 is read from the folder {JPEG75.name}; name the folder that holds it")
    return read_splits(raw / JPEG75.name)
