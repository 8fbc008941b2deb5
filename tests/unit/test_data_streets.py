"""Embedded streets: the same bits every time, masks that are exact, every class, and the same scene at every size."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compresslab.config.inventory import dataset_module
from compresslab.data.catalogue import open_dataset
from compresslab.data.masks import VOID
from compresslab.data.prepare import prepare
from compresslab.data.prepared import SPLITS, read_split
from compresslab.data.published_masks import resize_mask
from compresslab.data.sampling import Dice
from compresslab.data.street_canvas import Camera, Canvas
from compresslab.data.street_classes import CLASSES
from compresslab.data.streets import draw_streets

SIZES = {"camvid": (256, 512), "camvid-128x256": (128, 256), "camvid-64x128": (64, 128)}
WHITE = (1.0, 1.0, 1.0)


@pytest.fixture(scope="module")
def scenes():
    return draw_streets(24, 0, 64, 128)


def test_equal_seeds_give_equal_bits_and_other_seeds_other_scenes():
    images, masks = draw_streets(3, 5, 32, 64)
    again, masks_again = draw_streets(3, 5, 32, 64)
    other, other_masks = draw_streets(3, 6, 32, 64)
    assert images.tobytes() == again.tobytes()
    assert masks.tobytes() == masks_again.tobytes()
    for number in range(3):
        assert not np.array_equal(images[number], other[number])
        assert not np.array_equal(masks[number], other_masks[number])


def test_bits_are_those_of_every_other_machine():
    """A changed digest means that embedded results are no longer comparable with earlier ones."""
    images, masks = draw_streets(8, 0, 64, 128)
    digest = hashlib.sha256(images.tobytes() + masks.tobytes()).hexdigest()
    assert digest == "7d7dc849565fd2c19ad7fcfe9306f7a70e6b459a425c88412c7cd5e30d71a580"


def test_more_scenes_begin_with_the_same_ones(scenes):
    images, masks = draw_streets(2, 0, 64, 128)
    assert np.array_equal(images, scenes[0][:2])
    assert np.array_equal(masks, scenes[1][:2])


def test_every_class_is_in_most_scenes_and_void_in_some(scenes):
    images, masks = scenes
    assert images.shape == (24, 64, 128, 3)
    assert masks.shape == (24, 64, 128)
    assert images.dtype == masks.dtype == np.uint8
    assert set(np.unique(masks)) == {*range(len(CLASSES)), VOID}
    for label, name in enumerate(CLASSES):
        assert (masks == label).any(axis=(1, 2)).mean() > 0.6, name
        assert (masks == label).mean() > 0.005, name
    assert (masks == VOID).mean() < 0.1


def test_sky_is_above_and_road_below(scenes):
    _, masks = scenes
    rows = np.arange(64)[:, np.newaxis]
    heights = {name: np.broadcast_to(rows, (64, 128))[masks[0] == CLASSES.index(name)].mean() for name in CLASSES[:6]}
    assert heights["sky"] < heights["construction"] < heights["road"]


def test_colours_alone_do_not_give_the_classes_away(scenes):
    """Pixels named by the nearest mean colour of a class: better than always saying road, far from perfect."""
    images, masks = scenes
    pixels, labels = images[masks != VOID].astype(np.float64), masks[masks != VOID]
    means = np.stack([pixels[labels == label].mean(axis=0) for label in range(len(CLASSES))])
    nearest = ((pixels[:, np.newaxis] - means) ** 2).sum(axis=2).argmin(axis=1)
    assert 0.2 < (nearest == labels).mean() < 0.6


def test_a_scene_is_the_same_at_every_size():
    _, small = draw_streets(4, 3, 64, 128)
    _, large = draw_streets(4, 3, 192, 384)
    for number in range(4):
        assert (resize_mask(large[number], 64, 128) == small[number]).mean() > 0.95


coordinates = st.floats(0, 1)
points = st.tuples(st.floats(-0.5, 2.5), st.floats(-0.5, 1.5))


def _centres(canvas):
    return np.broadcast_arrays(canvas.x.astype(np.float64), canvas.y.astype(np.float64))


@given(centre=points, radius=st.floats(0.05, 0.6))
def test_a_disc_covers_the_pixels_whose_centres_it_covers(centre, radius):
    canvas = Canvas(16, 32)
    canvas.disc(centre, radius, WHITE, "human")
    x, y = _centres(canvas)
    distance = np.hypot(x - centre[0], y - centre[1]) - radius
    away_from_the_edge = np.abs(distance) > 1e-5
    assert np.array_equal((canvas.mask == 6)[away_from_the_edge], (distance < 0)[away_from_the_edge])
    assert (canvas.picture[distance < -1 / 16] == 1).all()
    assert (canvas.picture[distance > 1 / 16] == 0).all()


@given(start=points, end=points, radius=st.floats(0.05, 0.4))
def test_a_bar_covers_what_is_near_its_line(start, end, radius):
    canvas = Canvas(8, 16)
    canvas.bar(start, end, radius, WHITE, "object")
    along = np.linspace(0, 1, 400)[:, np.newaxis, np.newaxis]
    x, y = _centres(canvas)
    xs, ys = (start[axis] + along * (end[axis] - start[axis]) for axis in range(2))
    distance = np.hypot(x - xs, y - ys).min(axis=0) - radius
    away_from_the_edge = np.abs(distance) > 0.02
    assert np.array_equal((canvas.mask == 3)[away_from_the_edge], (distance < 0)[away_from_the_edge])


@given(left=coordinates, top=coordinates, wide=st.floats(0.1, 1), high=st.floats(0.1, 1))
def test_a_plate_is_the_same_in_either_direction(left, top, wide, high):
    corners = ((left, top), (left + wide, top), (left + wide, top + high), (left, top + high))
    one, other = Canvas(16, 32), Canvas(16, 32)
    one.plate(corners, WHITE, "vehicle")
    other.plate(corners[::-1], WHITE, "vehicle")
    assert np.array_equal(one.mask, other.mask)
    x, y = _centres(one)
    distance = np.maximum(np.abs(x - left - wide / 2) - wide / 2, np.abs(y - top - high / 2) - high / 2)
    away_from_the_edge = np.abs(distance) > 1e-5
    assert np.array_equal((one.mask == 7)[away_from_the_edge], (distance < 0)[away_from_the_edge])


def test_the_thinnest_line_is_seen_at_every_size():
    for height in (16, 64, 256):
        canvas = Canvas(height, 2 * height)
        canvas.bar((0.5, 0.0), (0.5, 1.0), 1e-6, WHITE, "object")
        assert (canvas.mask == 3).any(axis=1).all()


def test_a_camera_sees_what_is_far_smaller_and_nearer_to_the_horizon():
    camera = Camera(horizon=0.4, vanishing=1.0, focal=1.2, above=1.5)
    assert camera.place(3, 1.5, 10) == pytest.approx((1.36, 0.4))
    near, far = camera.place(2, 0, 5), camera.place(2, 0, 50)
    assert near[1] > far[1] > 0.4
    assert camera.length(1.8, 5) == pytest.approx(10 * camera.length(1.8, 50))


def test_dice_are_fair_and_follow_their_seed_and_number():
    dice = Dice(1, 2)
    drawn = [dice.between(-1, 3) for _ in range(2_000)]
    assert min(drawn) >= -1
    assert max(drawn) < 3
    assert np.mean(drawn) == pytest.approx(1, abs=0.1)
    again = Dice(1, 2)
    assert drawn == [again.between(-1, 3) for _ in range(2_000)]
    assert drawn[0] not in (Dice(2, 1).between(-1, 3), Dice(1, 3).between(-1, 3))
    assert {dice.chosen("abc") for _ in range(100)} == set("abc")
    grain = dice.many((50, 40))
    assert grain.dtype == np.float32
    assert grain.min() >= 0
    assert grain.max() < 1


@pytest.mark.parametrize("name", SIZES)
def test_embedded_camvid_says_what_it_is(tmp_path, monkeypatch, name):
    module = open_dataset(name, "embedded")
    assert tuple(module.CLASSES) == CLASSES == tuple(open_dataset(name, "upstream").CLASSES)
    monkeypatch.setattr(f"{dataset_module(name, 'embedded')}._IMAGES", {"train": 3, "validation": 1, "test": 2})
    card = prepare(name, "embedded", None, tmp_path / "streets.npz")
    height, width = SIZES[name]
    assert card.task == "segmentation"
    assert card.image_shape == (height, width, 3)
    assert card.images == {"train": 3, "validation": 1, "test": 2}
    assert card.embedded
    assert card.substitute
    assert "CamVid" in card.caveats[0]["en"]
    for split in SPLITS:
        labels = read_split(tmp_path / "streets.npz", split).labels
        assert card.void_pixels[split] == (labels == VOID).sum()
        assert card.counts[split] == {name: (labels == label).sum() for label, name in enumerate(CLASSES)}


def test_embedded_splits_share_no_scene():
    scenes = [draw_streets(6, seed, 32, 64)[1] for seed in range(3)]
    assert len({mask.tobytes() for masks in scenes for mask in masks}) == 18
