"""Embedded digits: the same bits every time, every class, and something to learn."""

import hashlib

import numpy as np
import pytest

from compresslab.artifacts import file_sha256
from compresslab.data.card import read_card
from compresslab.data.digits import draw_digits
from compresslab.data.prepare import prepare
from compresslab.data.prepared import SPLITS, read_split


def test_equal_seeds_give_equal_bits_and_other_seeds_other_digits():
    images, labels = draw_digits(40, seed=5)
    again, labels_again = draw_digits(40, seed=5)
    other, _ = draw_digits(40, seed=6)
    assert images.tobytes() == again.tobytes()
    assert labels.tobytes() == labels_again.tobytes()
    assert not np.array_equal(images, other)


def test_bits_are_those_of_every_other_machine():
    """A changed digest means that embedded results are no longer comparable with earlier ones."""
    images, labels = draw_digits(200, seed=0)
    digest = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
    assert digest == "12fceff417a79c89354b06ae500c2d46edb3231190b80e6e0668a71afd2e5fbc"


def test_classes_are_balanced_and_shuffled():
    images, labels = draw_digits(203, seed=1)
    assert images.shape == (203, 28, 28, 1)
    assert images.dtype == np.uint8
    assert labels.dtype == np.int64
    counts = np.bincount(labels, minlength=10)
    assert counts.max() - counts.min() <= 1
    assert len(set(labels[:10].tolist())) > 1


def test_digits_are_inside_the_frame_and_not_blank():
    images, _ = draw_digits(300, seed=2)
    ink = images.reshape(300, -1).astype(int).sum(axis=1)
    border = np.concatenate([images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]], axis=1)
    assert ink.min() > 20 * 255 * 0.5, "a digit has at least some tens of inked pixels"
    assert (border > 0).any(axis=(1, 2)).mean() < 0.05, "hardly any digit touches the frame"


def test_digits_can_be_told_apart_but_not_by_their_pixels_alone():
    from sklearn.neighbors import KNeighborsClassifier

    (train, train_labels), (test, test_labels) = draw_digits(1500, seed=3), draw_digits(300, seed=4)
    neighbours = KNeighborsClassifier(1).fit(train.reshape(len(train), -1) / 255, train_labels)
    accuracy = neighbours.score(test.reshape(len(test), -1) / 255, test_labels)
    assert 0.7 < accuracy < 0.98


@pytest.fixture(scope="module")
def embedded(tmp_path_factory):
    path = tmp_path_factory.mktemp("embedded") / "mnist.npz"
    return path, prepare("mnist", "embedded", None, path)


def test_embedded_mnist_says_what_it_is(embedded):
    path, card = embedded
    assert read_card(path) == card
    assert card.embedded
    assert card.substitute
    assert card.files == []
    assert any("MNIST" in caveat["en"] and "MNIST" in caveat["zh-TW"] for caveat in card.caveats)
    assert {split: sum(card.counts[split].values()) for split in SPLITS} == {
        "train": 4000,
        "validation": 800,
        "test": 1000,
    }


def test_embedded_splits_share_no_image(embedded):
    path, _ = embedded
    images = np.concatenate([read_split(path, split).images for split in SPLITS])
    assert len(np.unique(images.reshape(len(images), -1), axis=0)) == len(images)


def test_preparing_twice_writes_the_same_bytes(embedded, tmp_path):
    path, _ = embedded
    prepare("mnist", "embedded", None, tmp_path / "again.npz")
    assert file_sha256(path) == file_sha256(tmp_path / "again.npz")
    assert file_sha256(path.with_suffix(".json")) == file_sha256(tmp_path / "again.json")


def test_card_statistics_are_those_of_the_training_pixels(embedded):
    path, card = embedded
    pixels = read_split(path, "train").images / 255
    assert card.mean == pytest.approx([pixels.mean()], abs=1e-12)
    assert card.std == pytest.approx([pixels.std()], abs=1e-12)
    assert card.image_shape == (28, 28, 1)
