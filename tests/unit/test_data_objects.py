"""Embedded objects: the same bits every time, every class, forms that are what they claim, and something to learn."""

import hashlib

import numpy as np
import pytest

from compresslab.data.cifar import CLASSES
from compresslab.data.object_forms import FORMS, Bar, Plate
from compresslab.data.objects import draw_objects
from compresslab.data.prepare import prepare
from compresslab.data.prepared import SPLITS, read_split


def test_equal_seeds_give_equal_bits_and_other_seeds_other_objects():
    images, labels = draw_objects(40, seed=5)
    again, labels_again = draw_objects(40, seed=5)
    other, _ = draw_objects(40, seed=6)
    assert images.tobytes() == again.tobytes()
    assert labels.tobytes() == labels_again.tobytes()
    assert not np.array_equal(images, other)


def test_bits_are_those_of_every_other_machine():
    """A changed digest means that embedded results are no longer comparable with earlier ones."""
    images, labels = draw_objects(200, seed=0)
    digest = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
    assert digest == "52f3c66bff39614a1104b94bc7896562aad6059c38bc5023686c54af2243504a"


def test_classes_are_balanced_and_shuffled():
    images, labels = draw_objects(203, seed=1)
    assert images.shape == (203, 32, 32, 3)
    assert images.dtype == np.uint8
    assert labels.dtype == np.int64
    counts = np.bincount(labels, minlength=10)
    assert counts.max() - counts.min() <= 1
    assert len(set(labels[:10].tolist())) > 1


def test_every_class_has_forms_inside_the_box():
    assert tuple(FORMS) == CLASSES
    for forms in FORMS.values():
        assert len(forms) > 1
        for form in forms:
            for part in form:
                assert np.abs(part.points).max() <= 1
                assert not isinstance(part, Bar) or max(part.radii) < 0.5


def test_plates_are_convex_and_go_round_clockwise():
    """A plate that is not has sides that cut it away."""
    plates = [part for forms in FORMS.values() for form in forms for part in form if isinstance(part, Plate)]
    for plate in plates:
        corners = np.array(plate.points)
        ahead = np.roll(corners, -1, axis=0) - corners
        turns = ahead[:, 0] * np.roll(ahead, -1, axis=0)[:, 1] - ahead[:, 1] * np.roll(ahead, -1, axis=0)[:, 0]
        assert (turns > 0).all(), plate


def test_objects_can_be_told_apart_but_not_by_their_pixels_or_colours_alone():
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier

    (train, train_labels), (test, test_labels) = draw_objects(800, seed=3), draw_objects(200, seed=4)
    near, far = train.reshape(len(train), -1) / 255, test.reshape(len(test), -1) / 255
    pixels = KNeighborsClassifier(1).fit(near, train_labels).score(far, test_labels)
    means = [images.mean(axis=(1, 2)) / 255 for images in (train, test)]
    colours = LogisticRegression(max_iter=500).fit(means[0], train_labels).score(means[1], test_labels)
    assert 0.15 < pixels < 0.6
    assert colours < 0.35


@pytest.fixture(scope="module")
def embedded(tmp_path_factory):
    path = tmp_path_factory.mktemp("embedded") / "cifar10.npz"
    return path, prepare("cifar10", "embedded", None, path)


def test_embedded_cifar10_says_what_it_is(embedded):
    _, card = embedded
    assert card.embedded
    assert card.substitute
    assert card.files == []
    assert card.classes == list(CLASSES)
    assert any("CIFAR-10" in caveat["en"] and "CIFAR-10" in caveat["zh-TW"] for caveat in card.caveats)
    for split, each in (("train", 400), ("validation", 80), ("test", 100)):
        assert card.counts[split] == dict.fromkeys(CLASSES, each)


def test_embedded_splits_share_no_image(embedded):
    path, _ = embedded
    images = np.concatenate([read_split(path, split).images for split in SPLITS])
    assert len({image.tobytes() for image in images}) == len(images)
