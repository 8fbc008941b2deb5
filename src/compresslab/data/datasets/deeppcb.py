"""DeepPCB as a classification task: one grey crop per defect, and crops without a defect."""

from pathlib import Path

from compresslab.data.defects import CLASSES as CLASSES
from compresslab.data.defects import grey_crops
from compresslab.data.errors import DataError
from compresslab.data.pcbdata import ARCHIVE, TESTED, read_boards, split_pairs
from compresslab.data.pcbdata import CAVEATS as CAVEATS
from compresslab.data.pcbdata import CITATION as CITATION
from compresslab.data.pcbdata import LICENCE as LICENCE
from compresslab.data.pcbdata import PROTOCOL as PROTOCOL
from compresslab.data.prepared import Splits

TITLE = {"en": "DeepPCB defects of circuit boards", "zh-TW": "DeepPCB 電路板瑕疵"}
DESCRIPTION = {
    "en": "Crops of 32 × 32 pixels around six kinds of defects, and without a defect, of the 1,500 images of circuit "
    "boards of DeepPCB: the tested board in three equal grey channels.",
    "zh-TW": "取自 DeepPCB 1,500 張電路板影像的 32 × 32 像素裁切影像，涵蓋六種瑕疵與無瑕疵處：待測電路板影像，三個通道"
    "為相同的灰階值。",
}
SUBSTITUTE = False
FILES = (ARCHIVE,)


def read(raw: Path | None) -> Splits:
    """Cut the tested images; images uint8 (N, 32, 32, 3), labels int64 (N,), origins such as ``00041012:3``."""
    if raw is None:
        raise DataError("deeppcb is read from the folder PCBData; name the folder that holds it")
    pairs = split_pairs(raw / ARCHIVE.name)
    return {split: grey_crops(read_boards(pairs[split], (TESTED,), f"cutting {split}")) for split in pairs}
