"""CIFAR-10: 60,000 small colour photographs of ten kinds of animals and vehicles."""

from pathlib import Path

from compresslab.data.cifar import CAVEATS as CAVEATS
from compresslab.data.cifar import CITATION as CITATION
from compresslab.data.cifar import CLASSES as CLASSES
from compresslab.data.cifar import LICENCE as LICENCE
from compresslab.data.cifar import ORIGINAL, read_splits
from compresslab.data.cifar import PROTOCOL as PROTOCOL
from compresslab.data.errors import DataError
from compresslab.data.prepared import Splits

TITLE = {"en": "CIFAR-10 small photographs", "zh-TW": "CIFAR-10 小型照片"}
DESCRIPTION = {
    "en": "60,000 colour photographs of 32 × 32 pixels of four kinds of vehicles and six kinds of animals, 6,000 of "
    "each kind.",
    "zh-TW": "60,000 張 32 × 32 像素的彩色照片，內容為四種交通工具與六種動物，每種 6,000 張。",
}
SUBSTITUTE = False
FILES = (ORIGINAL,)


def read(raw: Path | None) -> Splits:
    """Read the six binary files and split them as PROTOCOL says; images uint8 (N, 32, 32, 3), labels int64 (N,)."""
    if raw is None:
        raise DataError(f"cifar10 is read from the folder {ORIGINAL.name}; name the folder that holds it")
    return read_splits(raw / ORIGINAL.name)
