"""Drawn circuit boards in place of DeepPCB, for a first look on any machine."""

from pathlib import Path

from compresslab.data.boards import BOARDS, draw_boards
from compresslab.data.boards import CAVEATS as CAVEATS
from compresslab.data.boards import CITATION as CITATION
from compresslab.data.boards import LICENCE as LICENCE
from compresslab.data.boards import PROTOCOL as PROTOCOL
from compresslab.data.dataset import Remote
from compresslab.data.defects import CLASSES as CLASSES
from compresslab.data.defects import grey_crops
from compresslab.data.prepared import Splits

TITLE = {"en": "Drawn circuit boards in place of DeepPCB", "zh-TW": "以程式繪製的電路板（代替 DeepPCB）"}
DESCRIPTION = {
    "en": "Crops of 32 × 32 pixels around six kinds of defects, and without a defect, of circuit boards that "
    "compresslab draws itself, in the format of DeepPCB's: the tested board in three equal grey channels.",
    "zh-TW": "由 compresslab 自行繪製的電路板上，六種瑕疵與無瑕疵處的 32 × 32 像素裁切影像，格式與 DeepPCB 的裁切影像"
    "相同：待測電路板影像，三個通道為相同的灰階值。",
}
SUBSTITUTE = True
FILES: tuple[Remote, ...] = ()


def read(raw: Path | None) -> Splits:  # noqa: ARG001 - the interface of every dataset
    """Cut the tested images of drawn boards; images uint8 (N, 32, 32, 3), labels int64 (N,), origins."""
    return {
        split: grey_crops(draw_boards(count, seed, f"drawing boards for {split}"))
        for split, (count, seed) in BOARDS.items()
    }
