"""CamVid street scenes at 128 × 256, with a class for every pixel."""

from pathlib import Path

from compresslab.data.camvid import ARCHIVE, describe, read_splits
from compresslab.data.camvid import CAVEATS as CAVEATS
from compresslab.data.camvid import CITATION as CITATION
from compresslab.data.camvid import LABEL_MAP as LABEL_MAP
from compresslab.data.camvid import LICENCE as LICENCE
from compresslab.data.camvid import PROTOCOL as PROTOCOL
from compresslab.data.camvid import found_caveats as found_caveats
from compresslab.data.prepared import Splits
from compresslab.data.street_classes import CLASSES as CLASSES

TASK = "segmentation"
RAW = "camvid"

TITLE = {"en": "CamVid street scenes (256 × 128)", "zh-TW": "CamVid 街景（256 × 128）"}
DESCRIPTION = describe(128, 256)
SUBSTITUTE = False
FILES = (ARCHIVE,)


def read(raw: Path | None) -> Splits:
    """Read the frames; images uint8 (N, 128, 256, 3), masks uint8 (N, 128, 256), origins such as ``0001TP_006690``."""
    return read_splits("camvid-128x256", raw, 128, 256)
