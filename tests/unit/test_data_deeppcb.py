"""DeepPCB: the crops, the protocol on a small copy of its layout, and the real files where a mirror has them."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from compresslab.artifacts import file_sha256
from compresslab.config.inventory import raw_name
from compresslab.data.datasets import deeppcb, deeppcb_pair
from compresslab.data.defects import (
    BACKGROUND,
    CLASSES,
    MARGIN,
    SIZE,
    Board,
    background_squares,
    crop_squares,
    grey_crops,
    pair_crops,
)
from compresslab.data.errors import DataError
from compresslab.data.fetch import fetch
from compresslab.data.pcbdata import split_pairs
from compresslab.data.prepare import prepare
from compresslab.data.prepared import SPLITS, read_split

BOARD_SIDE = 160


def _board(boxes, name="00041012", shape=(BOARD_SIDE, BOARD_SIDE), images=2):
    rng = np.random.default_rng(0)
    pictures = tuple(rng.integers(0, 256, shape, dtype=np.uint8) for _ in range(images))
    boxes = np.array(boxes, np.int64).reshape(-1, 4)
    return Board(name, pictures, boxes, 1 + np.arange(len(boxes)) % 6)


@st.composite
def _boxes(draw, side=BOARD_SIDE):
    x1, y1 = draw(st.integers(0, side - 2)), draw(st.integers(0, side - 2))
    return x1, y1, draw(st.integers(x1 + 1, min(side, x1 + 60))), draw(st.integers(y1 + 1, min(side, y1 + 60)))


@given(st.lists(_boxes(), min_size=1, max_size=8))
def test_a_crop_is_a_square_inside_the_board_around_its_box(boxes):
    for (x1, y1, x2, y2), (left, top, side) in zip(boxes, crop_squares(np.array(boxes), 160, 160), strict=True):
        assert 0 <= left <= x1
        assert 0 <= top <= y1
        assert x2 <= left + side <= 160
        assert y2 <= top + side <= 160


def test_a_crop_away_from_the_border_is_centred_with_context():
    (left, top, side), (small_left, small_top, small_side) = crop_squares(
        np.array([(60, 70, 100, 90), (80, 80, 84, 84)]), 160, 160
    )
    assert (left + side / 2, top + side / 2) == (80, 80)
    assert side > 40
    assert (small_left + small_side / 2, small_top + small_side / 2) == (82, 82)
    assert small_side == 32


def test_a_box_longer_than_the_board_is_wide_is_cropped_as_far_as_it_goes():
    ((_, _, side),) = crop_squares(np.array([(0, 10, 300, 20)]), 100, 300)
    assert side == 100


@given(st.lists(_boxes(), min_size=1, max_size=12), st.text("0123456789", min_size=1, max_size=8))
def test_background_touches_no_box_and_stays_inside(boxes, name):
    board = _board(boxes, name)
    squares = background_squares(board)
    assert len(squares) <= max(1, round(len(boxes) / 6 + 1e-9))
    sides = set(crop_squares(board.boxes, 160, 160)[:, 2])
    for left, top, side in squares:
        assert side in sides
        assert 0 <= left <= 160 - side
        assert 0 <= top <= 160 - side
        for x1, y1, x2, y2 in boxes:
            gap = max(x1 - left - side, left - x2, y1 - top - side, top - y2)
            assert gap >= MARGIN


def test_background_depends_on_the_name_and_not_on_the_order():
    boxes = [(5, 5, 15, 15)]
    first, other = (background_squares(_board(boxes, name)) for name in ("00041012", "00041013"))
    np.testing.assert_array_equal(first, background_squares(_board(boxes)))
    assert not np.array_equal(first, other)


def test_a_board_without_room_has_no_background():
    crops = grey_crops([_board([(0, 0, BOARD_SIDE, BOARD_SIDE)])])
    assert crops.labels.tolist() == [1]


def test_crops_say_where_they_come_from():
    crops = grey_crops([_board([(5, 5, 15, 15)] * 9), _board([(5, 5, 15, 15)], name="00041013")])
    expected = [f"00041012:{number}" for number in range(9)] + ["00041012:bg0", "00041012:bg1"]
    assert crops.origins.tolist() == [*expected, "00041013:0", "00041013:bg0"]
    assert [origin.split(":")[1].startswith("bg") for origin in crops.origins] == (crops.labels == BACKGROUND).tolist()


def test_a_crop_is_scaled_smoothly():
    """Structures of twice the scale keep their place and their level; a fine pattern becomes its mean, not stripes."""
    blocks = np.random.default_rng(1).integers(0, 2, (8, 8)).repeat(8, 0).repeat(8, 1).astype(np.uint8) * 255
    stripes = np.tile(np.array([[0, 255]], np.uint8), (64, 32))
    for image, expected in ((blocks, blocks[::2, ::2]), (stripes, np.full((32, 32), 127))):
        box = np.array([(0, 0, 64, 64)])
        crop = grey_crops([Board("x", (image,), box, np.array([1]))]).images[0, 2:-2, 2:-2, 0]
        inner = np.abs(crop.astype(int) - expected[2:-2, 2:-2])
        assert np.median(inner) <= 1
        assert inner.mean() < 16


def test_the_pair_has_the_plain_crops_the_template_and_their_difference():
    boards = [_board([(5, 5, 15, 15), (60, 60, 90, 70)])]
    plain, pair = grey_crops(boards), pair_crops(boards)
    np.testing.assert_array_equal(plain.images, np.repeat(pair.images[..., :1], 3, axis=-1))
    tested, template, difference = np.moveaxis(pair.images.astype(int), -1, 0)
    np.testing.assert_array_equal(difference, abs(tested - template))
    swapped = [Board(board.name, board.images[::-1], board.boxes, board.labels) for board in boards]
    np.testing.assert_array_equal(pair_crops(swapped).images[..., 0], template)
    assert plain.images.shape[1:] == (SIZE, SIZE, 3)
    np.testing.assert_array_equal(plain.labels, pair.labels)
    np.testing.assert_array_equal(plain.origins, pair.origins)


# The protocol, on a folder laid out as the published one.


def _write_boards(folder: Path, trainval: int = 20, test: int = 6) -> Path:
    """Write a small PCBData: boards of 160 pixels, each with two boxes; return the folder that holds it."""
    rng = np.random.default_rng(0)
    root = folder / "PCBData"
    for name, start, count in (("trainval", 0, trainval), ("test", trainval, test)):
        lines = []
        for number in range(start, start + count):
            images, boxes = f"group1/1/{number:04}", f"group1/1_not/{number:04}.txt"
            for suffix in ("test", "temp"):
                path = root / f"{images}_{suffix}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                picture = rng.integers(0, 2, (20, 20)).repeat(8, 0).repeat(8, 1) * 255
                # The published images are partly grey, partly in colour.
                Image.fromarray(picture.astype(np.uint8)).convert("RGB" if number % 2 else "L").save(path)
            (root / boxes).parent.mkdir(exist_ok=True)
            (root / boxes).write_text(f"10 10 40 50 {1 + number % 6}\n100 90 140 120 {1 + (number + 1) % 6}\n")
            lines.append(f"{images}.jpg {boxes}")
        # As published, the last line has no line end.
        (root / f"{name}.txt").write_text("\n".join(lines))
    return folder


@pytest.fixture
def raw(tmp_path):
    return _write_boards(tmp_path)


def _images_of(samples):
    return {origin.split(":")[0] for origin in samples.origins}


def test_no_image_is_in_two_splits_and_lists_are_kept(raw):
    splits = deeppcb.read(raw)
    names = {split: _images_of(splits[split]) for split in SPLITS}
    assert names["test"] == {f"{number:04}" for number in range(20, 26)}
    assert names["train"] | names["validation"] == {f"{number:04}" for number in range(20)}
    assert not names["train"] & names["validation"]
    assert 0 < len(names["validation"]) < len(names["train"])
    counts = Counter(splits["test"].labels.tolist())
    assert counts == {BACKGROUND: 6, **dict.fromkeys(range(1, 7), 2)}


def test_both_datasets_read_the_same_crops(raw):
    plain, pair = deeppcb.read(raw), deeppcb_pair.read(raw)
    for split in SPLITS:
        np.testing.assert_array_equal(plain[split].images[..., 1], pair[split].images[..., 0])
        np.testing.assert_array_equal(plain[split].labels, pair[split].labels)
        np.testing.assert_array_equal(plain[split].origins, pair[split].origins)
    tested, template = (Image.open(raw / f"PCBData/group1/1/0020_{name}.jpg").convert("L") for name in ("test", "temp"))
    (left, top, side), *_ = crop_squares(np.array([(10, 10, 40, 50)]), 160, 160).tolist()
    for channel, image in enumerate((tested, template)):
        centre = image.crop((left, top, left + side, top + side))
        assert abs(np.mean(centre) - pair["test"].images[0, ..., channel].mean()) < 2


def test_reading_twice_gives_the_same_arrays(raw):
    first, second = deeppcb_pair.read(raw), deeppcb_pair.read(raw)
    for split in SPLITS:
        for one, other in zip(first[split], second[split], strict=True):
            np.testing.assert_array_equal(one, other)


def test_progress_is_shown(raw, capfd):
    deeppcb.read(raw)
    assert "cutting train: 100%" in capfd.readouterr().err


@pytest.mark.parametrize("module", [deeppcb, deeppcb_pair])
def test_the_folder_must_be_named(module):
    with pytest.raises(DataError, match="name the folder"):
        module.read(None)


LIST, TEST_LIST = "PCBData/trainval.txt", "PCBData/test.txt"
BOXES, IMAGE = "PCBData/group1/1_not/0003.txt", "PCBData/group1/1/0003_test.jpg"


def _put(raw, name, content):
    path = raw / name
    path.write_bytes(content(path.read_bytes()) if callable(content) else content)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        (LIST, b"group1/1/0000.jpg\n", r"trainval\.txt:1: expected the paths of an image \(\.jpg\) and of its boxes"),
        (LIST, b"\na b c\n", r"trainval\.txt:2: expected the paths"),
        (LIST, b"a.png b.txt\n", r"trainval\.txt:1: expected the paths"),
        (LIST, b"../a.jpg b.txt\n", r"trainval\.txt:1: expected the paths"),
        (LIST, b"", r"trainval\.txt: lists no images"),
        (LIST, b"\xff\xfe", r"trainval\.txt: is not a text file"),
        (
            LIST,
            lambda old: old + b"\n" + old.splitlines()[4],
            r"trainval\.txt:21: group1/1/0004\.jpg is listed already",
        ),
        (TEST_LIST, b"group1/1/0002.jpg group1/1_not/0002.txt", r"test\.txt:1: group1/1/0002\.jpg .*trainval\.txt:3"),
        (BOXES, b"10 10 40 50 1\n10 10 40 1\n", r"0003\.txt:2: expected five whole numbers"),
        (BOXES, b"10 10 40 50 1 7\n", r"0003\.txt:1: expected five whole numbers"),
        (BOXES, b"10 10 40 5x 1\n", r"0003\.txt:1: expected five whole numbers"),
        (BOXES, b"10,10,40,50,1\n", r"0003\.txt:1: expected five whole numbers"),
        (BOXES, b"10 10 10 50 1\n", r"0003\.txt:1: the box 10 10 10 50 is empty or leaves the image of 160 × 160"),
        (BOXES, b"10 50 40 10 1\n", r"0003\.txt:1: the box 10 50 40 10 is empty"),
        (BOXES, b"-1 10 40 50 1\n", r"0003\.txt:1: the box -1 10 40 50 is empty or leaves"),
        (BOXES, b"10 10 40 161 1\n", r"0003\.txt:1: the box 10 10 40 161 is empty or leaves"),
        (BOXES, b"10 10 40 50 0\n", r"0003\.txt:1: the type is 0, but defects are 1 to 6"),
        (BOXES, b"10 10 40 50 7\n", r"0003\.txt:1: the type is 7"),
        (BOXES, b"\n", r"0003\.txt: names no defect"),
        (IMAGE, lambda old: old[: len(old) // 2], r"0003_test\.jpg: is truncated, damaged or not a JPEG"),
        (IMAGE, b"GIF89a", r"0003_test\.jpg: is truncated, damaged or not a JPEG"),
        (IMAGE, b"", r"0003_test\.jpg: is truncated, damaged or not a JPEG"),
    ],
)
def test_bad_input_is_one_line_with_its_place(raw, name, content, reason):
    _put(raw, name, content)
    with pytest.raises(DataError, match=reason) as caught:
        deeppcb.read(raw)
    assert "\n" not in str(caught.value)
    assert str(raw) in str(caught.value)
    assert str(caught.value).endswith("; fetch the dataset again")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (LIST, r"trainval\.txt: there is no such file"),
        (BOXES, r"0003\.txt: there is no such file"),
        (IMAGE, r"0003_test\.jpg: there is no such image"),
        (IMAGE.replace("test", "temp"), r"0003_temp\.jpg: there is no such image"),
    ],
)
def test_a_missing_file_is_named(raw, name, reason):
    (raw / name).unlink()
    with pytest.raises(DataError, match=reason):
        deeppcb_pair.read(raw)


def test_a_template_of_another_size_is_named(raw):
    Image.new("L", (160, 170)).save(raw / "PCBData/group1/1/0003_temp.jpg")
    with pytest.raises(DataError, match=r"0003_test\.jpg: its template has another size"):
        deeppcb_pair.read(raw)


def test_preparing_refuses_a_folder_that_is_not_the_published_one(raw, tmp_path):
    with pytest.raises(DataError, match=r"PCBData is incomplete .*; fetch the dataset again"):
        prepare("deeppcb", "mirror", raw, tmp_path / "out.npz")
    with pytest.raises(DataError, match="fetch the dataset first"):
        prepare("deeppcb-pair", "mirror", tmp_path / "elsewhere", tmp_path / "out.npz")


def test_both_datasets_share_their_raw_files():
    assert raw_name("deeppcb-pair") == "deeppcb"
    assert raw_name("deeppcb") == "deeppcb"
    assert raw_name("mnist") == "mnist"
    assert raw_name("no-such-dataset") == "no-such-dataset"
    assert deeppcb.FILES == deeppcb_pair.FILES


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    mirror = os.environ.get("COMPRESSLAB_MIRROR")
    if not mirror or not (Path(mirror) / "deeppcb").is_dir():
        pytest.skip("COMPRESSLAB_MIRROR names no mirror directory that holds deeppcb/")
    folder = tmp_path_factory.mktemp("real")
    fetch("deeppcb", "mirror", folder / "raw", Path(mirror))
    names = ("deeppcb", "deeppcb-pair")
    return folder, {name: prepare(name, "mirror", folder / "raw", folder / f"{name}.npz") for name in names}


@pytest.mark.real_data
def test_real_deeppcb_has_the_published_images_and_defects(real):
    folder, cards = real
    pairs = split_pairs(folder / "raw" / "PCBData")
    assert {split: len(pairs[split]) for split in SPLITS} == {"train": 800, "validation": 200, "test": 500}
    assert len({pair.images for split in SPLITS for pair in pairs[split]}) == 1_500
    designs = {split: [pair.images.parts[-3] for pair in pairs[split]] for split in SPLITS}
    assert sum(design not in {*designs["train"], *designs["validation"]} for design in designs["test"]) == 332
    counts = cards["deeppcb"].counts
    trainval = {name: counts["train"][name] + counts["validation"][name] for name in CLASSES}
    assert list(trainval.values())[1:] == [1283, 1028, 1379, 1142, 1010, 1031]
    assert list(counts["test"].values())[1:] == [659, 478, 586, 483, 464, 470]
    for split in SPLITS:
        defects = sum(counts[split].values()) - counts[split]["background"]
        assert counts[split]["background"] == pytest.approx(defects / 6, rel=0.1)


@pytest.mark.real_data
def test_the_card_states_the_real_counts(real):
    _, cards = real
    for card in cards.values():
        for split in SPLITS:
            for number in (sum(card.counts[split].values()), card.counts[split]["background"]):
                assert all(f"{number:,}" in card.protocol[language] for language in ("en", "zh-TW"))


@pytest.mark.real_data
def test_real_splits_share_no_image_and_both_datasets_share_crops(real):
    folder, _ = real
    seen = []
    for split in SPLITS:
        plain, pair = (read_split(folder / f"{name}.npz", split) for name in ("deeppcb", "deeppcb-pair"))
        np.testing.assert_array_equal(plain.images[..., 2], pair.images[..., 0])
        np.testing.assert_array_equal(plain.labels, pair.labels)
        np.testing.assert_array_equal(plain.origins, pair.origins)
        assert len(set(plain.origins)) == len(plain.origins)
        seen += sorted(_images_of(plain))
    assert len(seen) == len(set(seen)) == 1_500


@pytest.mark.real_data
def test_real_deeppcb_is_prepared_to_the_same_bytes(real, tmp_path):
    folder, _ = real
    prepare("deeppcb-pair", "mirror", folder / "raw", tmp_path / "deeppcb-pair.npz")
    for suffix in (".npz", ".json"):
        assert file_sha256(tmp_path / f"deeppcb-pair{suffix}") == file_sha256(folder / f"deeppcb-pair{suffix}")
