"""Answers per pixel: what their file holds, what it refuses, and how they come out of an engine a few at a time."""

import numpy as np
import pytest

from compresslab.arrays import write_arrays
from compresslab.measure.label_maps import LabelMaps, read_label_maps, write_label_maps
from compresslab.stages.segment import CHUNK_PIXELS, answers_per_pixel


def some_maps(images=3, height=4, width=6):
    generator = np.random.default_rng(0)
    answers = generator.integers(0, 8, (images, height, width)).astype(np.uint8)
    labels = np.where(generator.random(answers.shape) < 0.2, 255, answers).astype(np.uint8)
    return LabelMaps(answers, labels, np.arange(images))


def test_maps_come_back_as_they_were_written_and_take_the_same_bytes(tmp_path):
    maps = some_maps()
    for name in ("one.npz", "two.npz"):
        write_label_maps(tmp_path / name, maps)
    again = read_label_maps(tmp_path / "one.npz")
    for member in ("answers", "labels", "indices"):
        np.testing.assert_array_equal(getattr(again, member), getattr(maps, member))
    assert (again.answers.dtype, again.labels.dtype, again.indices.dtype) == (np.uint8, np.uint8, np.int64)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"answers": np.zeros((3, 4), np.uint8)}, r"the shape \(images, height, width\), found \(3, 4\)"),
        ({"answers": np.zeros((0, 4, 6), np.uint8)}, r"found \(0, 4, 6\)"),
        ({"labels": np.zeros((3, 6, 4), np.uint8)}, "labels of the same shape"),
        ({"labels": np.zeros(3, np.uint8)}, "labels of the same shape"),
        ({"indices": np.arange(4)}, "an index per image"),
        ({"labels": np.zeros((3, 4, 6), np.int64)}, "labels must be uint8, found int64"),
        ({"answers": np.full((3, 4, 6), 255, np.uint8)}, "answers must be classes, found 255"),
    ],
)
def test_contradictions_are_refused_and_their_file_is_named(tmp_path, changes, complaint):
    maps = some_maps()
    members = {"answers": maps.answers, "labels": maps.labels, "indices": maps.indices} | changes
    with pytest.raises(ValueError, match=complaint):
        LabelMaps(**members)
    write_arrays(tmp_path / "seed-0.npz", members)
    with pytest.raises(ValueError, match=rf"seed-0\.npz: .*{complaint}.*run segment again"):
        read_label_maps(tmp_path / "seed-0.npz")


def test_the_predictions_of_a_classification_are_no_maps(tmp_path):
    write_arrays(tmp_path / "seed-0.npz", {"logits": np.zeros((3, 10)), "labels": np.zeros(3), "indices": np.arange(3)})
    with pytest.raises(ValueError, match=r"seed-0\.npz lacks answers: .*run segment again"):
        read_label_maps(tmp_path / "seed-0.npz")


class Colours:
    """An engine whose logits are the channels of the pixels, plus what ``answers`` does to them."""

    def __init__(self, change=lambda logits: logits):
        self.largest = 0
        self._change = change

    def predict(self, images):
        self.largest = max(self.largest, images[..., 0].size)
        return self._change(images.transpose(0, 3, 1, 2).astype(np.float32))


def pictures(count, height, width, channels=5):
    return np.random.default_rng(1).integers(0, 9, (count, height, width, channels)).astype(np.uint8)


@pytest.mark.parametrize(("count", "height", "width"), [(7, 200, 300), (3, 600, 700), (1, 3, 5)])
def test_the_largest_logit_of_every_pixel_is_found_a_few_images_at_a_time(count, height, width):
    engine, images = Colours(), pictures(count, height, width)
    answers = answers_per_pixel(engine, images)
    assert answers.dtype == np.uint8
    np.testing.assert_array_equal(answers, images.argmax(axis=-1))
    assert engine.largest <= max(CHUNK_PIXELS, height * width)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda logits: logits.mean(axis=(2, 3)), r"logits of shape \(2, 5\), not with a class for every pixel"),
        (lambda logits: logits[:, :, ::2, ::2], r"logits of shape \(2, 5, 2, 3\)"),
        (lambda logits: logits[:1], r"logits of shape \(1, 5, 4, 6\)"),
        (lambda logits: logits * np.nan, "not finite"),
    ],
)
def test_an_engine_that_does_not_answer_every_pixel_is_refused(change, complaint):
    with pytest.raises(ValueError, match=complaint):
        answers_per_pixel(Colours(change), pictures(2, 4, 6))
