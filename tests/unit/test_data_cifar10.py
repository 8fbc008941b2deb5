"""CIFAR-10 and its JPEG copy: the reader, the protocol and both layouts of a mirror, small; the real copy if there."""

import hashlib
import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest

from compresslab.artifacts import file_sha256
from compresslab.data import cifar
from compresslab.data.archive import archive_problem, tree_sha256
from compresslab.data.cifar import CLASSES, FOLDER, JPEG75, ORIGINAL, read_batch, read_splits
from compresslab.data.datasets import cifar10, cifar10_jpeg75
from compresslab.data.errors import DataError
from compresslab.data.fetch import fetch
from compresslab.data.prepare import prepare
from compresslab.data.prepared import SPLITS, read_split

NAMES = (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin")
RECORDS = 40
RECORD = 3073


def _batch(seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    records = rng.integers(0, 256, (RECORDS, RECORD), dtype=np.uint8)
    records[:, 0] = rng.permutation(np.arange(RECORDS) % len(CLASSES))
    return records.tobytes()


def _files(first_seed: int = 0) -> dict[str, bytes]:
    return {name: _batch(seed) for seed, name in enumerate(NAMES, start=first_seed)}


def _write(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def _tree(files: dict[str, bytes]) -> str:
    return tree_sha256({name: (len(content), hashlib.sha256(content).hexdigest()) for name, content in files.items()})


@pytest.fixture
def small(monkeypatch):
    """Files of 40 records, original ones and a copy with other pixels, published as the two datasets."""
    originals, copies = _files(), _files(100)
    monkeypatch.setattr(cifar, "_RECORDS", RECORDS)
    monkeypatch.setattr(cifar, "_VALIDATION_IMAGES", 20)
    trees = _tree(originals), _tree(copies)
    for module, remote, own, other in ((cifar10, ORIGINAL, *trees), (cifar10_jpeg75, JPEG75, *trees[::-1])):
        lookalikes = {other: next(iter(remote.lookalikes.values()))}
        archive = cifar._archive(remote.file, remote.urls, own, lookalikes)
        monkeypatch.setattr(module, "FILES", (archive,))
    return originals, copies


def test_pixels_come_from_three_planes(tmp_path, monkeypatch):
    monkeypatch.setattr(cifar, "_RECORDS", 1)
    red, green, blue = np.arange(3 * 1024, dtype=np.int64).reshape(3, 32, 32) % 251
    planes = np.stack([red, green, blue]).astype(np.uint8)
    (tmp_path / "one.bin").write_bytes(b"\7" + planes.tobytes())
    images, labels = read_batch(tmp_path / "one.bin")
    assert CLASSES[labels.item()] == "horse"
    assert images.dtype == np.uint8
    for row, column in ((0, 0), (0, 31), (31, 0), (5, 9)):
        assert images[0, row, column].tolist() == [red[row, column], green[row, column], blue[row, column]]


@pytest.mark.usefixtures("small")
def test_validation_comes_out_of_the_training_images_by_class(tmp_path):
    files = _files()
    splits = read_splits(_write(tmp_path / FOLDER, files))
    assert {split: len(splits[split].labels) for split in SPLITS} == {"train": 180, "validation": 20, "test": RECORDS}
    assert np.bincount(splits["validation"].labels).tolist() == [2] * 10

    def records(samples):
        pixels = samples.images.transpose(0, 3, 1, 2).reshape(-1, RECORD - 1)
        return [bytes([label]) + bytes(pixel) for label, pixel in zip(samples.labels, pixels, strict=True)]

    ours = sorted(records(splits["train"]) + records(splits["validation"]))
    content = b"".join(files[name] for name in NAMES[:5])
    assert ours == sorted(content[start : start + RECORD] for start in range(0, len(content), RECORD))
    assert b"".join(records(splits["test"])) == files["test_batch.bin"]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("data_batch_3.bin", lambda old: old[:-1], r"holds 122,919 bytes, not 40 records of 3,073"),
        ("data_batch_3.bin", lambda old: old + b"\0", r"holds 122,921 bytes, not 40 records"),
        ("test_batch.bin", lambda _: b"", r"holds 0 bytes, not 40 records"),
        (
            "data_batch_1.bin",
            lambda old: old[: 2 * RECORD] + b"\x0a" + old[2 * RECORD + 1 :],
            r"the label of record 2 is 10, but classes are 0 to 9",
        ),
        ("data_batch_5.bin", None, r"there is no such file"),
    ],
    ids=["short", "long", "empty", "label", "missing"],
)
def test_bad_input_is_one_line_with_its_place(tmp_path, name, change, reason):
    folder = _write(tmp_path / FOLDER, _files())
    if change:
        (folder / name).write_bytes(change((folder / name).read_bytes()))
    else:
        (folder / name).unlink()
    with pytest.raises(DataError, match=reason) as caught:
        read_splits(folder)
    assert str(caught.value).startswith(f"{folder / name}: ")
    assert str(caught.value).endswith("; fetch the dataset again")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("module", [cifar10, cifar10_jpeg75])
def test_the_folder_must_be_named(module):
    with pytest.raises(DataError, match="name the folder"):
        module.read(None)


def test_the_tree_is_that_of_the_published_files():
    """SHA-256 of each file as TorchVision for Ruby publishes them."""
    published = (
        "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
        "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
        "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
        "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
        "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
        "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
    )
    listed = {name: (30_730_000, sha256) for name, sha256 in zip(NAMES, published, strict=True)}
    assert ORIGINAL.sha256 == tree_sha256(listed)
    assert ORIGINAL.bytes == JPEG75.bytes == 6 * 30_730_000


def test_the_published_archive_is_laid_out_as_expected(tmp_path, small):
    """It also holds class names and a page, which are not kept."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in {**small[0], "batches.meta.txt": b"airplane\n", "readme.html": b"<html>"}.items():
            member = tarfile.TarInfo(f"{FOLDER}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    (tmp_path / "mirror" / "cifar10").mkdir(parents=True)
    (tmp_path / "mirror" / "cifar10" / "cifar-10-binary.tar.gz").write_bytes(packed.getvalue())
    fetch("cifar10", "mirror", tmp_path / "raw", tmp_path / "mirror")
    assert sorted(path.name for path in (tmp_path / "raw" / FOLDER).iterdir()) == sorted(NAMES)
    card = prepare("cifar10", "mirror", tmp_path / "raw", tmp_path / "out.npz")
    assert not card.substitute
    assert card.files[0].url == "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"


@pytest.mark.parametrize("folders", [("cifar10-jpeg75",), ("cifar10",), ("cifar10-jpeg75", "cifar10")])
def test_the_copy_lies_under_its_own_name_or_where_the_original_would(tmp_path, small, folders):
    for folder, files in zip(folders, small[::-1], strict=False):
        _write(tmp_path / "mirror" / folder / FOLDER, files)
    fetch("cifar10-jpeg75", "mirror", tmp_path / "raw", tmp_path / "mirror")
    card = prepare("cifar10-jpeg75", "mirror", tmp_path / "raw", tmp_path / "out.npz")
    assert card.substitute
    assert card.files[0].url is None
    assert all("88.4 %" in card.caveats[0][language] for language in ("en", "zh-TW"))


def test_an_empty_folder_of_the_copys_name_is_passed_over(tmp_path, small):
    (tmp_path / "mirror" / "cifar10-jpeg75").mkdir(parents=True)
    _write(tmp_path / "mirror" / "cifar10" / FOLDER, small[1])
    fetch("cifar10-jpeg75", "mirror", tmp_path / "raw", tmp_path / "mirror")
    assert archive_problem(tmp_path / "raw" / FOLDER, cifar10_jpeg75.FILES[0]) is None


def _refused(tmp_path, dataset: str, source="mirror") -> str:
    (tmp_path / "mirror").mkdir(exist_ok=True)
    with pytest.raises(DataError) as caught:
        fetch(dataset, source, tmp_path / "raw", tmp_path / "mirror")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "raw" / FOLDER).exists()
    return str(caught.value)


def test_the_copy_is_not_taken_for_the_original_nor_the_original_for_the_copy(tmp_path, small):
    folder = _write(tmp_path / "mirror" / "cifar10" / FOLDER, small[1])
    message = _refused(tmp_path, "cifar10")
    assert f"{folder} is the quality-75 JPEG copy" in message
    assert "data.instead: {cifar10: cifar10-jpeg75}" in message
    for name, content in small[0].items():
        (folder / name).write_bytes(content)
    assert "is the original CIFAR-10 (the dataset cifar10 reads that one)" in _refused(tmp_path, "cifar10-jpeg75")


def test_files_that_are_neither_are_refused_as_such(tmp_path, small):
    _write(tmp_path / "mirror" / "cifar10" / FOLDER, {**small[1], "test_batch.bin": _batch(7)})
    for dataset in ("cifar10", "cifar10-jpeg75"):
        assert "does not hold the published files" in _refused(tmp_path, dataset)


def test_a_mirror_without_the_copy_is_told_where_it_is_looked_for(tmp_path):
    message = _refused(tmp_path, "cifar10-jpeg75")
    assert f"no directory {tmp_path}/mirror/cifar10-jpeg75 or {tmp_path}/mirror/cifar10; check data.mirror" in message
    (tmp_path / "mirror" / "cifar10").mkdir()
    assert f"mirror/cifar10 lacks {FOLDER}/ or cifar10-jpeg75.tar.gz" in _refused(tmp_path, "cifar10-jpeg75")


def test_the_copy_has_no_public_address(tmp_path):
    message = _refused(tmp_path, "cifar10-jpeg75", "upstream")
    assert "has no public address; set data.source to mirror" in message
    assert f"cifar10-jpeg75/{FOLDER} or cifar10/{FOLDER}" in message


def test_a_raw_folder_that_changed_is_noticed(tmp_path, small):
    _write(tmp_path / "mirror" / "cifar10" / FOLDER, small[0])
    fetch("cifar10", "mirror", tmp_path / "raw", tmp_path / "mirror")
    (tmp_path / "raw" / FOLDER / "test_batch.bin").write_bytes(_batch(7))
    with pytest.raises(DataError, match=r"does not hold the published files .*; fetch the dataset again"):
        prepare("cifar10", "mirror", tmp_path / "raw", tmp_path / "out.npz")
    fetch("cifar10", "mirror", tmp_path / "raw", tmp_path / "mirror")
    prepare("cifar10", "mirror", tmp_path / "raw", tmp_path / "out.npz")


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    mirror = os.environ.get("COMPRESSLAB_MIRROR")
    if not mirror or not any((Path(mirror) / name).is_dir() for name in cifar10_jpeg75.MIRROR_FOLDERS):
        pytest.skip("COMPRESSLAB_MIRROR names no mirror directory that holds cifar10-jpeg75/ or cifar10/")
    folder = tmp_path_factory.mktemp("real")
    fetch("cifar10-jpeg75", "mirror", folder / "raw", Path(mirror))
    return folder, prepare("cifar10-jpeg75", "mirror", folder / "raw", folder / "cifar10-jpeg75.npz")


@pytest.mark.real_data
def test_the_real_copy_is_split_as_its_card_says(real):
    folder, card = real
    for split, each in (("train", 4_500), ("validation", 500), ("test", 1_000)):
        assert card.counts[split] == dict.fromkeys(CLASSES, each)
        assert read_split(folder / "cifar10-jpeg75.npz", split).images.shape == (10 * each, 32, 32, 3)
    # Published statistics of the original; JPEG hardly changes them.
    assert card.mean == pytest.approx([0.4914, 0.4822, 0.4465], abs=0.002)
    assert card.std == pytest.approx([0.2470, 0.2435, 0.2616], abs=0.004)


@pytest.mark.real_data
def test_the_real_copy_is_prepared_to_the_same_bytes(real, tmp_path):
    folder, _ = real
    prepare("cifar10-jpeg75", "mirror", folder / "raw", tmp_path / "cifar10-jpeg75.npz")
    for suffix in (".npz", ".json"):
        assert file_sha256(tmp_path / f"cifar10-jpeg75{suffix}") == file_sha256(folder / f"cifar10-jpeg75{suffix}")
