"""Read the published folder of DeepPCB: lists of image pairs, boxes of defects, grey images.

A list has a line ``group/NNNNN/XXXX.jpg group/NNNNN_not/XXXX.txt`` for every pair; the images themselves are
``XXXX_test.jpg`` and ``XXXX_temp.jpg``. The second file has a line ``x1 y1 x2 y2 type`` for every defect.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from compresslab.data.dataset import RemoteArchive, stays_inside
from compresslab.data.defects import CLASSES, Board
from compresslab.data.errors import DataError
from compresslab.data.progress import progress_bar
from compresslab.data.sampling import permutation

ARCHIVE = RemoteArchive(
    name="PCBData",
    file="DeepPCB-master.zip",
    urls=(
        "https://github.com/tangsanli5201/DeepPCB/archive/refs/heads/master.zip",
        "https://codeload.github.com/tangsanli5201/DeepPCB/zip/refs/heads/master",
    ),
    root="DeepPCB-*/PCBData",
    wanted=("*.txt", "*/*/*.txt", "*/*/*.jpg"),
    sha256="fc384a8e1f919011918a98e3a0815e1295f1e9bfe84984d85f5595bf5b3d0e8f",
    bytes=125_768_620,
    files=4_503,
    most_bytes=400_000_000,
)

PROTOCOL = {
    "en": "DeepPCB has no standard protocol for classification; this is ours. The official lists are kept, so that no "
    "image is in two splits: the 500 images of test.txt are the test set; of the 1,000 images of trainval.txt, 200 "
    "drawn at random with a fixed seed are the validation set and 800 the training set. Around the centre of every "
    "published box, a square is cut out of the image: 1.1 times as long as the longer side of the box, at least 32 "
    "pixels, shifted where it would leave the image, and scaled to 32 × 32 pixels (Lanczos). For every six defects of "
    "an image, rounded, and at least once, a background square as large as a defect's is placed at random where it "
    "touches no box; nearly half of them show bare board or bare copper only. That makes 6,451 training crops (958 of "
    "them background), 1,622 validation crops (242) and 3,681 test crops (541). Nothing is chosen by the test set.",
    "zh-TW": "DeepPCB 沒有標準的分類評估方式，以下由本流程自訂。沿用官方清單，任何影像只屬於一個分割：test.txt 的 500 "
    "張影像為測試集；trainval.txt 的 1,000 張影像中，以固定的隨機種子抽出 200 張作為驗證集，其餘 800 張為訓練集。以每"
    "個標註框的中心裁切一個正方形，邊長為框長邊的 1.1 倍且至少 32 像素，超出影像時向內平移，再以 Lanczos 濾波縮放為 "
    "32 × 32 像素。每張影像約每六個瑕疵隨機取一個不碰到任何標註框的背景正方形（四捨五入，至少一個），大小與瑕疵的裁切"
    "範圍相同，其中近半只有空白板面或完整銅面。如此得到訓練集 6,451 張（其中背景 958 張）、驗證集 1,622 張（242 張）、"
    "測試集 3,681 張（541 張）。測試集不參與任何選擇。",
}
CAVEATS = (
    {
        "id": "deeppcb-research",
        "en": "DeepPCB is for research use only.",
        "zh-TW": "DeepPCB 僅限研究用途。",
    },
    {
        "id": "deeppcb-painted",
        "en": "Many defects are artificial: DeepPCB's authors added them to scans of real boards, and template and "
        "tested image are aligned and binarized. A score says little about photographs from a production line.",
        "zh-TW": "許多瑕疵並非真實瑕疵，而是 DeepPCB 作者加到真實電路板掃描影像上的；樣板與待測影像皆已對齊並二值化。"
        "所得分數難以代表產線上實拍影像的表現。",
    },
    {
        "id": "deeppcb-designs",
        "en": "332 of the 500 official test images show four board designs (groups of images) that the 1,000 images "
        "of trainval.txt do not have, so test scores tend to be lower than validation scores.",
        "zh-TW": "官方 500 張測試影像中，有 332 張屬於四組電路板設計，未出現在 trainval.txt 的 1,000 張影像裡，因此測"
        "試分數往往低於驗證分數。",
    },
    {
        "id": "deeppcb-dependent",
        "en": "Crops of one image are not independent of each other, so intervals that count crops are somewhat too "
        "narrow.",
        "zh-TW": "同一張影像的裁切彼此並不獨立，因此以裁切數計算的信賴區間略嫌過窄。",
    },
    {
        "id": "deeppcb-boxes",
        "en": "Crops are placed by the published boxes: scores are of naming a defect that was found, not of finding "
        "it.",
        "zh-TW": "裁切位置取自已公布的標註框：分數衡量的是辨認已找到的瑕疵，而非找出瑕疵。",
    },
)
LICENCE = "MIT licence of its repository; for research use only (S. Tang et al.)"
CITATION = (
    "S. Tang, F. He, X. Huang, J. Yang: Online PCB defect detector on a new PCB defect dataset. arXiv:1902.06197, 2019."
)

TESTED, TEMPLATE = "_test.jpg", "_temp.jpg"
_VALIDATION_SHARE = 0.2
_VALIDATION_SEED = 0
_AGAIN = "fetch the dataset again"


@dataclass(frozen=True)
class Pair:
    """One line of a list: the path of its images without ``_test.jpg``, and of its boxes."""

    images: Path
    boxes: Path


def split_pairs(folder: Path) -> dict[str, list[Pair]]:
    """Read both lists of ``folder``; a fixed fifth of the pairs of ``trainval.txt`` is the validation split.

    Raises DataError, naming file and line, for a list that cannot be understood or an image that is listed twice.
    """
    seen: dict[Path, str] = {}
    official = [_read_list(folder, name, seen) for name in ("trainval.txt", "test.txt")]
    trainval, test = official
    order = permutation(_VALIDATION_SEED, len(trainval))
    held_out = set(order[: round(len(trainval) * _VALIDATION_SHARE)].tolist())
    return {
        "train": [pair for number, pair in enumerate(trainval) if number not in held_out],
        "validation": [pair for number, pair in enumerate(trainval) if number in held_out],
        "test": test,
    }


def read_boards(pairs: Sequence[Pair], suffixes: Sequence[str], description: str) -> Iterator[Board]:
    """Read the boards of ``pairs``, one at a time, with the images of ``suffixes``, and show the progress.

    Raises DataError, naming file and line, for anything that is missing, damaged or does not fit together.
    """
    with progress_bar(description, len(pairs), "board") as bar:
        for pair in pairs:
            images = tuple(_read_image(pair.images.with_name(pair.images.name + suffix)) for suffix in suffixes)
            if len({image.shape for image in images}) > 1:
                raise DataError(f"{pair.images}{suffixes[0]}: its template has another size; {_AGAIN}")
            boxes, labels = _read_boxes(pair.boxes, *images[0].shape)
            yield Board(pair.images.name, images, boxes, labels)
            bar.update()


def _read_list(folder: Path, name: str, seen: dict[Path, str]) -> list[Pair]:
    pairs = []
    for place, words in _lines(folder / name):
        if len(words) != 2 or not words[0].endswith(".jpg") or not all(map(stays_inside, words)):
            raise DataError(f"{place}: expected the paths of an image (.jpg) and of its boxes (.txt); {_AGAIN}")
        pair = Pair((folder / words[0]).with_suffix(""), folder / words[1])
        if pair.images in seen:
            raise DataError(f"{place}: {words[0]} is listed already in {seen[pair.images]}; {_AGAIN}")
        seen[pair.images] = place
        pairs.append(pair)
    if not pairs:
        raise DataError(f"{folder / name}: lists no images; {_AGAIN}")
    return pairs


def _read_boxes(path: Path, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return boxes int64 (n, 4) and labels int64 (n,) of an image of the given size."""
    rows = []
    for place, words in _lines(path):
        try:
            x1, y1, x2, y2, label = map(int, words)
        except ValueError as error:
            raise DataError(f"{place}: expected five whole numbers, x1 y1 x2 y2 type; {_AGAIN}") from error
        if not (0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height):
            box = " ".join(words[:4])
            raise DataError(f"{place}: the box {box} is empty or leaves the image of {width} × {height}; {_AGAIN}")
        if not 1 <= label < len(CLASSES):
            raise DataError(f"{place}: the type is {label}, but defects are 1 to {len(CLASSES) - 1}; {_AGAIN}")
        rows.append((x1, y1, x2, y2, label))
    if not rows:
        raise DataError(f"{path}: names no defect; {_AGAIN}")
    table = np.array(rows, np.int64)
    return table[:, :4], table[:, 4]


def _lines(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield the place, ``file:line``, and the words of every line that is not empty."""
    try:
        text = path.read_text(encoding="ascii")
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file; {_AGAIN}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not a text file; {_AGAIN}") from error
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            yield f"{path}:{number}", line.split()


def _read_image(path: Path) -> np.ndarray:
    """Decode a JPEG to grey uint8 (H, W)."""
    try:
        with Image.open(path, formats=["JPEG"]) as image:
            image.draft("L", image.size)
            return np.asarray(image.convert("L"))
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such image; {_AGAIN}") from error
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: is truncated, damaged or not a JPEG image; {_AGAIN}") from error
