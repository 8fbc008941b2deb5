"""DeepPCB as a classification task that sees the template, too: tested, template and difference as three channels."""

from pathlib import Path

from compresslab.data.defects import CLASSES as CLASSES
from compresslab.data.defects import pair_crops
from compresslab.data.errors import DataError
from compresslab.data.pcbdata import ARCHIVE, TEMPLATE, TESTED, read_boards, split_pairs
from compresslab.data.pcbdata import CAVEATS as CAVEATS
from compresslab.data.pcbdata import CITATION as CITATION
from compresslab.data.pcbdata import LICENCE as LICENCE
from compresslab.data.pcbdata import PROTOCOL as PROTOCOL
from compresslab.data.prepared import Splits

RAW = "deeppcb"

TITLE = {"en": "DeepPCB defects of circuit boards, with templates", "zh-TW": "DeepPCB 電路板瑕疵（含樣板）"}
DESCRIPTION = {
    "en": "Crops of 32 × 32 pixels around six kinds of defects, and without a defect, of the 1,500 pairs of images of "
    "circuit boards of DeepPCB: the tested board, its template and their absolute difference. Crops, order and labels "
    "are those of deeppcb.",
    "zh-TW": "取自 DeepPCB 1,500 對電路板影像的 32 × 32 像素裁切影像，涵蓋六種瑕疵與無瑕疵處：三個通道依序為待測影像、"
    "樣板影像，以及兩者之差的絕對值。裁切位置、順序與標籤皆與 deeppcb 相同。",
}
SUBSTITUTE = False
FILES = (ARCHIVE,)


def read(raw: Path | None) -> Splits:
    """Cut both images; images uint8 (N, 32, 32, 3), labels int64 (N,), origins such as ``00041012:3``."""
    if raw is None:
        raise DataError("deeppcb-pair is read from the folder PCBData; name the folder that holds it")
    pairs = split_pairs(raw / ARCHIVE.name)
    return {split: pair_crops(read_boards(pairs[split], (TESTED, TEMPLATE), f"cutting {split}")) for split in pairs}
