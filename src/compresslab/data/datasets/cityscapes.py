"""Cityscapes at 256 × 512, with a class for every pixel; its user has to register, so it comes from a mirror only."""

from pathlib import Path

from compresslab.data.dataset import RemoteArchive
from compresslab.data.errors import DataError
from compresslab.data.frames import Frame, Shape, read_frames
from compresslab.data.prepared import Splits
from compresslab.data.published_masks import class_table, label_map
from compresslab.data.street_classes import CITYSCAPES
from compresslab.data.street_classes import CLASSES as CLASSES

TASK = "segmentation"
# A mirror of nothing else may hold the two folders at its top.
MIRROR_FOLDERS = ("cityscapes", ".")

_SHAPE = Shape(published=(1024, 2048), wanted=(256, 512))
_TRAIN_FRAMES, _VAL_FRAMES = 2_975, 500
_HELD_OUT = ("bochum", "erfurt", "ulm")
"""Cities of the official training set that are the validation set."""
_IMAGE, _LABELS = "_leftImg8bit.png", "_gtFine_labelIds.png"
_AGAIN = "fetch the dataset again"

TITLE = {"en": "Cityscapes street scenes (512 × 256)", "zh-TW": "Cityscapes 街景（512 × 256）"}
DESCRIPTION = {
    "en": "3,475 frames from 21 cities, seen from a car, resized from 2048 × 1024 to 512 × 256 pixels, with one of "
    "eight classes, or none, for every pixel (fine annotations).",
    "zh-TW": "從車上拍攝的 21 個城市的 3,475 張影像，由 2048 × 1024 縮放為 512 × 256 像素；每個像素標有八個類別之一，"
    "或不屬於任何類別（精細標註）。",
}
PROTOCOL = {
    "en": "Labels of the official test set are withheld, so the official 500 validation frames, of Frankfurt, Lindau "
    "and Münster, are the test set. Of the 2,975 official training frames, the 300 of three whole cities (Bochum, "
    "Erfurt, Ulm) are the validation set, so that no street is in two splits; the other 2,675 are the training set. "
    "The classes are Cityscapes' categories, with road and sidewalk apart; what its own evaluation ignores is void. "
    "Photographs are resized by Lanczos' filter, label maps by the nearest pixel. Nothing is chosen by the test set.",
    "zh-TW": "官方測試集未公開標籤，因此以官方驗證集的 500 張影像（法蘭克福、林道、明斯特）作為測試集。官方訓練集的 "
    "2,975 張影像中，三個完整城市（波鴻、艾福特、烏爾姆）的 300 張作為驗證集，使任何街道只屬於一個分割；其餘 2,675 張為"
    "訓練集。類別為 Cityscapes 的大類，其中道路與人行道分開；官方評估所忽略的標籤一律為 void。照片以 Lanczos 濾波縮放，"
    "標籤圖以最近鄰法縮放。測試集不參與任何選擇。",
}
CAVEATS = (
    {
        "id": "cityscapes-split",
        "en": "Published results on Cityscapes are of 19 classes at 2048 × 1024, and those on its validation set may "
        "have been chosen by it; scores of eight classes at 512 × 256 cannot be compared with them.",
        "zh-TW": "已發表的 Cityscapes 結果採用 19 個類別與 2048 × 1024 解析度，且在其驗證集上的結果可能正是以該集挑選而"
        "得；此處 8 個類別、512 × 256 的分數無法與之比較。",
    },
    {
        "id": "cityscapes-unhashed",
        "en": "No checksums of Cityscapes' files are published: their number and sizes were checked, and the checksums "
        "in this card are of the files that were found.",
        "zh-TW": "Cityscapes 的檔案沒有公開的雜湊值，因此只檢查了張數與尺寸；此資料卡中的雜湊值是對實際取得的檔案計算"
        "而得。",
    },
)
LICENCE = "Cityscapes licence: registration, non-commercial use, no redistribution (Daimler AG, MPI, TU Darmstadt)"
CITATION = (
    "M. Cordts, M. Omran, S. Ramos, T. Rehfeld, M. Enzweiler, R. Benenson, U. Franke, S. Roth, B. Schiele: The "
    "Cityscapes dataset for semantic urban scene understanding. IEEE Conference on Computer Vision and Pattern "
    "Recognition, 2016, 3213-3223."
)
LABEL_MAP = label_map(CITYSCAPES)
SUBSTITUTE = False


def _part(name: str, suffix: str, bytes_of_a_pixel: int) -> RemoteArchive:
    wanted = tuple(f"{folder}/*/*{suffix}" for folder in ("train", "val"))
    files = _TRAIN_FRAMES + _VAL_FRAMES
    height, width = _SHAPE.published
    return RemoteArchive(
        name=name,
        file=f"{name}_trainvaltest.zip",
        urls=(),
        root=name,
        wanted=wanted,
        unhashed=wanted,
        sha256=None,
        bytes=files * height * width * bytes_of_a_pixel,
        files=files,
        most_bytes=40_000_000_000,
    )


FILES = (_part("leftImg8bit", _IMAGE, 3), _part("gtFine", _LABELS, 1))


def read(raw: Path | None) -> Splits:
    """Read the frames; images uint8 (N, 256, 512, 3), masks uint8 (N, 256, 512), origins ``ulm_000000_000019``."""
    if raw is None:
        raise DataError("cityscapes is read from the folders leftImg8bit and gtFine; name the folder that holds them")
    train = _list_frames(raw, "train")
    splits = {
        "train": [frame for frame in train if frame.image.parent.name not in _HELD_OUT],
        "validation": [frame for frame in train if frame.image.parent.name in _HELD_OUT],
        "test": _list_frames(raw, "val"),
    }
    for split, frames in splits.items():
        if not frames:
            raise DataError(f"{raw / 'leftImg8bit'}: there are no frames of the {split} split; {_AGAIN}")
    table = class_table(CITYSCAPES, CLASSES)
    return {split: read_frames(frames, _SHAPE, table, f"resizing {split}") for split, frames in splits.items()}


def _list_frames(raw: Path, folder: str) -> list[Frame]:
    """Every photograph of a folder, in the order of the names, with its label map."""
    frames = []
    for image in sorted((raw / "leftImg8bit" / folder).glob(f"*/*{_IMAGE}")):
        name = image.name.removesuffix(_IMAGE)
        frames.append(Frame(name, image, raw / "gtFine" / folder / image.parent.name / (name + _LABELS)))
    return frames
