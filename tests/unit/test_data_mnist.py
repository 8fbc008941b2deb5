"""MNIST: the IDX reader, the protocol on a small copy of its layout, and the real files where a mirror has them."""

import gzip
import hashlib
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compresslab.artifacts import file_sha256
from compresslab.data.datasets import mnist
from compresslab.data.errors import DataError
from compresslab.data.fetch import fetch
from compresslab.data.idx import parse_idx, read_idx
from compresslab.data.prepare import prepare
from compresslab.data.prepared import SPLITS, read_split


def _idx(array: np.ndarray) -> bytes:
    header = b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


@given(st.lists(st.integers(0, 5), min_size=1, max_size=4), st.integers(0, 2**32 - 1))
def test_idx_survives_the_round_trip(shape, seed):
    array = np.random.default_rng(seed).integers(0, 256, shape)
    np.testing.assert_array_equal(parse_idx(_idx(array), array.ndim), array)


@given(st.binary(max_size=64), st.integers(1, 3))
def test_idx_never_accepts_what_it_cannot_account_for(content, dimensions):
    try:
        array = parse_idx(content, dimensions)
    except DataError:
        return
    assert _idx(array) == content


@given(st.data())
def test_idx_of_another_length_is_refused(data):
    content = _idx(np.arange(24).reshape(2, 3, 4))
    shorter = content[: data.draw(st.integers(0, len(content) - 1))]
    longer = content + data.draw(st.binary(min_size=1, max_size=9))
    for wrong in (shorter, longer):
        with pytest.raises(DataError):
            parse_idx(wrong, 3)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "too few"),
        (b"\1\0\x08\x01\0\0\0\0", "not an IDX file"),
        (b"\0\0\x0d\x01\0\0\0\0", "type 0x0d"),
        (b"\0\0\x08\x03\0\0\0\0", "3 dimensions"),
        (b"\0\0\x08\x01\xff\xff\xff\xff", "needs 4294967295 bytes, there are 0"),
    ],
)
def test_idx_errors_say_what_is_wrong_and_where(tmp_path, content, reason):
    path = tmp_path / "labels.gz"
    path.write_bytes(gzip.compress(content, mtime=0))
    with pytest.raises(DataError, match=reason) as caught:
        read_idx(path, dimensions=1)
    assert str(path) in str(caught.value)
    assert "fetch it again" in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"plain", gzip.compress(_idx(np.zeros(50)), mtime=0)[:-12]], ids=["plain", "truncated"]
)
def test_idx_that_cannot_be_unpacked_is_named(tmp_path, content):
    path = tmp_path / "labels.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"labels\.gz: truncated or not a gzip file"):
        read_idx(path, dimensions=1)


def test_idx_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match="fetch the dataset first"):
        read_idx(tmp_path / "none.gz", dimensions=1)


def _small_mnist(folder: Path, train: int = 200, test: int = 30) -> None:
    rng = np.random.default_rng(0)
    for prefix, count in (("train", train), ("t10k", test)):
        images = rng.integers(0, 256, (count, 28, 28))
        (folder / f"{prefix}-images-idx3-ubyte.gz").write_bytes(gzip.compress(_idx(images), mtime=0))
        (folder / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(_idx(np.arange(count) % 10), mtime=0))


def test_mnist_validation_comes_out_of_the_training_images(tmp_path, monkeypatch):
    monkeypatch.setattr(mnist, "_VALIDATION_IMAGES", 50)
    _small_mnist(tmp_path)
    splits = mnist.read(tmp_path)
    official = read_idx(tmp_path / "train-images-idx3-ubyte.gz", 3)[..., np.newaxis]
    ours = np.concatenate([splits["train"].images, splits["validation"].images])
    assert sorted(map(bytes, ours)) == sorted(map(bytes, official))
    assert np.bincount(splits["validation"].labels).tolist() == [5] * 10
    assert splits["test"].images.shape == (30, 28, 28, 1)
    assert all(samples.labels.dtype == np.int64 for samples in splits.values())


def test_mnist_labels_must_go_with_the_images(tmp_path):
    _small_mnist(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(_idx(np.zeros(199)), mtime=0))
    with pytest.raises(DataError, match="200 train images do not go with 199 labels"):
        mnist.read(tmp_path)


def test_preparing_refuses_files_that_are_not_the_published_ones(tmp_path):
    _small_mnist(tmp_path)
    with pytest.raises(DataError, match=r"train-images.* is truncated .*; fetch the dataset again"):
        prepare("mnist", "upstream", tmp_path, tmp_path / "out.npz")
    (tmp_path / "train-images-idx3-ubyte.gz").unlink()
    with pytest.raises(DataError, match="fetch the dataset first"):
        prepare("mnist", "mirror", tmp_path, tmp_path / "out.npz")
    with pytest.raises(DataError, match="folder of its raw files"):
        prepare("mnist", "upstream", None, tmp_path / "out.npz")
    assert not (tmp_path / "out.npz").exists()


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    mirror = os.environ.get("COMPRESSLAB_MIRROR")
    if not mirror or not (Path(mirror) / "mnist").is_dir():
        pytest.skip("COMPRESSLAB_MIRROR names no mirror directory that holds mnist/")
    folder = tmp_path_factory.mktemp("real")
    fetch("mnist", "mirror", folder / "raw", Path(mirror))
    return folder, prepare("mnist", "mirror", folder / "raw", folder / "mnist.npz")


@pytest.mark.real_data
def test_real_mnist_is_split_as_its_card_says(real):
    _, card = real
    assert {split: sum(card.counts[split].values()) for split in SPLITS} == {
        "train": 55_000,
        "validation": 5_000,
        "test": 10_000,
    }
    assert list(card.counts["test"].values()) == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    official = {label: card.counts["train"][label] + card.counts["validation"][label] for label in card.classes}
    assert list(official.values()) == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    for label, count in official.items():
        assert abs(card.counts["validation"][label] - count / 12) < 1
    assert card.mean == pytest.approx([0.1307], abs=1e-3)
    assert card.std == pytest.approx([0.3081], abs=1e-3)
    assert not card.embedded
    assert not card.substitute


@pytest.mark.real_data
def test_real_mnist_splits_are_the_official_images(real):
    """Published md5 of the decompressed training images; the splits hold each image of the file once."""
    folder, _ = real
    content = gzip.decompress((folder / "raw" / "train-images-idx3-ubyte.gz").read_bytes())
    assert hashlib.md5(content).hexdigest() == "6bbc9ace898e44ae57da46a324031adb"
    ours = [read_split(folder / "mnist.npz", split).images for split in ("train", "validation")]
    official = np.frombuffer(content, np.uint8, offset=16).reshape(-1, 784)
    assert sorted(map(bytes, np.concatenate(ours).reshape(-1, 784))) == sorted(map(bytes, official))


@pytest.mark.real_data
def test_real_mnist_is_prepared_to_the_same_bytes(real, tmp_path):
    folder, _ = real
    prepare("mnist", "mirror", folder / "raw", tmp_path / "mnist.npz")
    for suffix in (".npz", ".json"):
        assert file_sha256(tmp_path / f"mnist{suffix}") == file_sha256(folder / f"mnist{suffix}")
