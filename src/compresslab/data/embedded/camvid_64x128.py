"""Drawn street scenes in place of CamVid at 64 × 128, for a first look on any machine."""

from pathlib import Path

from compresslab.data.dataset import Remote
from compresslab.data.prepared import Splits
from compresslab.data.street_classes import CLASSES as CLASSES
from compresslab.data.streets import CAVEATS as CAVEATS
from compresslab.data.streets import CITATION as CITATION
from compresslab.data.streets import LICENCE as LICENCE
from compresslab.data.streets import describe, draw_splits, protocol

TASK = "segmentation"

_IMAGES = {"train": 240, "validation": 60, "test": 80}
_HEIGHT, _WIDTH = 64, 128

TITLE = {
    "en": f"Drawn street scenes in place of CamVid ({_WIDTH} × {_HEIGHT})",
    "zh-TW": f"以程式繪製的街景（代替 CamVid，{_WIDTH} × {_HEIGHT}）",
}
DESCRIPTION = describe(_IMAGES, _HEIGHT, _WIDTH)
PROTOCOL = protocol(_IMAGES)
SUBSTITUTE = True
FILES: tuple[Remote, ...] = ()


def read(raw: Path | None) -> Splits:  # noqa: ARG001 - the interface of every dataset
    """Draw the three splits; images uint8 (N, 64, 128, 3), masks uint8 (N, 64, 128)."""
    return draw_splits(_IMAGES, _HEIGHT, _WIDTH)
