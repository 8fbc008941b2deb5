"""CamVid street scenes at 256 × 512, with a class for every pixel."""

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

TITLE = {"en": "CamVid street scenes (512 × 256)", "zh-TW": "CamVid 街景（512 × 256）"}
DESCRIPTION = describe(256, 512)
SUBSTITUTE = False
FILES = (ARCHIVE,)


def read(raw: Path | None) -> Splits:
    """Read the frames; images uint8 (N, 256, 512, 3), masks uint8 (N, 256, 512), origins such as ``0001TP_006690``."""
    return read_splits("camvid", raw, 256, 512)
