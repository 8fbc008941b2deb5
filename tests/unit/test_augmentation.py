"""Augmented views: symmetries or crops of the same images, drawn by seed and epoch, the same in every framework."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from textures import CLASSES, PREPROCESSING, SHAPE, textures

from compresslab.config.training import Optimizer, Recipe
from compresslab.data.prepared import Split
from compresslab.models.numpy.architectures import make
from compresslab.models.torch.artifact import build
from compresslab.train.augmentation import FARTHEST, crops, symmetries
from compresslab.train.loop import Row, TrainingData
from compresslab.train.numpy.learner import train as train_in_numpy
from compresslab.train.torch.learner import train as train_in_torch


def enlarged(split: Split) -> Split:
    """Every pixel four times: LeNet-5 needs 16 x 16 of them."""
    return Split(split.images.repeat(2, axis=1).repeat(2, axis=2), split.labels, split.indices)


def symmetries_of(image: np.ndarray) -> set[bytes]:
    turned = [np.rot90(image, quarter) for quarter in range(4)]
    return {view.tobytes() for view in [*turned, *(view[:, ::-1] for view in turned)]}


def reflected(place: int, length: int) -> int:
    """Where a place outside of ``range(length)`` is seen in mirrors that stand on the first and on the last pixel."""
    while not 0 <= place < length:
        place = -place if place < 0 else 2 * (length - 1) - place
    return place


def crops_of(image: np.ndarray) -> set[bytes]:
    height, width, _ = image.shape
    shifts = range(-FARTHEST, FARTHEST + 1)
    rows = [[reflected(row + down, height) for row in range(height)] for down in shifts]
    columns = [[reflected(column + right, width) for column in range(width)] for right in shifts]
    return {image[down][:, turn].tobytes() for down in rows for right in columns for turn in (right, right[::-1])}


@given(st.integers(1, 30), st.integers(1, 6), st.integers(0, 99), st.integers(1, 99))
def test_every_view_is_a_symmetry_of_its_own_image(count: int, side: int, seed: int, epoch: int) -> None:
    images = np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    views = symmetries(images, seed, epoch)
    assert views.dtype == np.uint8
    assert all(view.tobytes() in symmetries_of(image) for view, image in zip(views, images, strict=True))
    np.testing.assert_array_equal(views, symmetries(images, seed, epoch))


def test_all_symmetries_occur_and_epochs_and_seeds_differ() -> None:
    image = np.arange(9, dtype=np.uint8).reshape(3, 3, 1)
    images = np.repeat(image[np.newaxis], 400, axis=0)
    draws = [symmetries(images, seed, epoch) for seed in (0, 1) for epoch in (1, 2)]
    for views in draws:
        found, counts = np.unique(views.reshape(400, -1), axis=0, return_counts=True)
        assert len(found) == 8
        assert counts.min() > 25
    assert len({views.tobytes() for views in draws}) == 4


def test_images_that_are_not_square_are_refused() -> None:
    with pytest.raises(ValueError, match="needs square images, not 4 x 6; set it to none"):
        symmetries(np.zeros((2, 4, 6, 1), np.uint8), 0, 1)


@given(st.integers(1, 12), st.integers(2, 9), st.integers(2, 9), st.integers(0, 99), st.integers(1, 99))
def test_every_crop_is_a_shift_or_a_mirrored_shift_of_its_own_image(
    count: int, height: int, width: int, seed: int, epoch: int
) -> None:
    images = np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    views = crops(images, seed, epoch)
    assert views.dtype == np.uint8
    assert all(view.tobytes() in crops_of(image) for view, image in zip(views, images, strict=True))
    np.testing.assert_array_equal(views, crops(images, seed, epoch))


def test_all_crops_occur_and_epochs_and_seeds_differ() -> None:
    image = np.arange(10 * 12, dtype=np.uint8).reshape(10, 12, 1)
    images = np.repeat(image[np.newaxis], 4000, axis=0)
    draws = [crops(images, seed, epoch) for seed in (0, 1) for epoch in (1, 2)]
    for views in draws:
        found, counts = np.unique(views.reshape(4000, -1), axis=0, return_counts=True)
        assert len(found) == 2 * 9 * 9
        assert counts.max() < 60, "each is drawn about 25 times"
    assert len({views.tobytes() for views in draws}) == 4


def test_frameworks_see_the_same_views(tmp_path: Path) -> None:
    shape = (2 * SHAPE[0], 2 * SHAPE[1], SHAPE[2])
    data = TrainingData(enlarged(textures(200, seed=1)), enlarged(textures(50, seed=2)), PREPROCESSING)

    def losses(augmentation: str) -> dict[str, list[Row]]:
        recipe = Recipe(
            epochs=2, batch=32, optimizer=Optimizer(lr=0.001), initialization="he", augmentation=augmentation
        )
        module = build("lenet5", shape, len(CLASSES))
        network = make("lenet5", shape, CLASSES, PREPROCESSING)
        folders = (tmp_path / augmentation / "torch", tmp_path / augmentation / "numpy")
        in_torch = train_in_torch(module, data, recipe, 0, folders[0], "same", log=lambda _: None)
        _, in_numpy = train_in_numpy(network, data, recipe, 0, folders[1], "same", log=lambda _: None)
        return {"torch": in_torch.history, "numpy": in_numpy.history}

    plain, turned, shifted = losses("none"), losses("symmetries"), losses("crops")
    for found in (plain, turned, shifted):
        for one, other in zip(found["torch"], found["numpy"], strict=True):
            assert one["train_loss"] == pytest.approx(other["train_loss"], rel=1e-3)
    first = [found["torch"][0]["train_loss"] for found in (plain, turned, shifted)]
    assert min(abs(one - other) for one, other in combinations(first, 2)) > 1e-3 * max(first)
