"""Drawn circuit boards: what each kind of defect does to the copper, and that the same seed draws the same boards."""

from itertools import islice

import numpy as np
import pytest
from scipy import ndimage

from compresslab.artifacts import file_sha256
from compresslab.data import boards
from compresslab.data.defects import BACKGROUND, CLASSES
from compresslab.data.prepare import prepare
from compresslab.data.prepared import SPLITS, read_split


def _pieces(mask, diagonally):
    return ndimage.label(mask, np.ones((3, 3)) if diagonally else None)[1]


def _did_what_it_says(kind, before, after):
    """Judge a defect by the pieces of copper and of bare board in its box."""
    added, removed = (after & ~before).any(), (before & ~after).any()
    copper = _pieces(after, False) - _pieces(before, False)
    bare = _pieces(~after, True) - _pieces(~before, True)
    return {
        "open": removed and not added and copper >= 1,
        "short": added and not removed and (copper <= -1 or bare >= 1),
        "mousebite": removed and not added and copper == 0 and bare == 0,
        "spur": added and not removed and copper == 0 and bare == 0,
        "copper": added and not removed and copper == 1,
        "pin-hole": removed and not added and copper == 0 and bare == 1,
    }[kind]


def test_every_kind_of_defect_does_to_the_copper_what_its_name_says():
    judged = {kind: [] for kind in CLASSES[1:]}
    for seed in range(5):
        luck = boards._Luck(seed)
        board, boxes = boards._draw_template(luck), []
        for turn in range(36):
            before = board.copy()
            box = boards._place(board, 1 + turn % 6, boxes, luck)
            if box:
                boxes.append(box)
                inside = (slice(box[1], box[3]), slice(box[0], box[2]))
                judged[CLASSES[1 + turn % 6]].append(
                    _did_what_it_says(CLASSES[1 + turn % 6], before[inside], board[inside])
                )
                board_outside = board.copy()
                board_outside[inside] = before[inside]
                np.testing.assert_array_equal(board_outside, before)
    for kind, verdicts in judged.items():
        assert len(verdicts) > 20, kind
        assert np.mean(verdicts) > 0.93, kind


def test_boxes_lie_on_the_board_and_apart():
    for board in boards.draw_boards(5, 7, "test"):
        x1, y1, x2, y2 = board.boxes.T
        assert np.all((x1 >= 0) & (x1 < x2) & (x2 <= boards.SIDE) & (y1 >= 0) & (y1 < y2) & (y2 <= boards.SIDE))
        for number, box in enumerate(board.boxes):
            others = np.delete(board.boxes, number, axis=0)
            assert not np.any(
                (box[0] < others[:, 2]) & (others[:, 0] < box[2]) & (box[1] < others[:, 3]) & (others[:, 1] < box[3])
            )
        assert len(board.labels) == len(board.boxes) >= 6


def test_images_are_binary_and_differ_little_but_at_the_defects():
    for board in boards.draw_boards(4, 3, "test"):
        tested, template = board.images
        assert tested.shape == template.shape == (640, 640)
        assert set(np.unique(tested)) | set(np.unique(template)) == {0, 255}
        assert 0.03 < np.mean(template == 0) < 0.9
        # Edges are shifted by a pixel or two; thick differences are defects.
        thick = ndimage.binary_opening(tested != template, np.ones((5, 5)))
        ys, xs = np.nonzero(thick)
        x1, y1, x2, y2 = board.boxes.T[..., np.newaxis]
        inside = ((x1 - 2 <= xs) & (xs < x2 + 2) & (y1 - 2 <= ys) & (ys < y2 + 2)).any(axis=0)
        assert inside.mean() > 0.9


def test_a_seed_draws_the_same_boards_and_another_one_others():
    first, again = (list(boards.draw_boards(2, 5, "test")) for _ in range(2))
    more, other = list(boards.draw_boards(3, 5, "test")), list(boards.draw_boards(2, 6, "test"))
    for one, two, three, four in zip(first, again, more, other, strict=False):
        assert one.name == two.name == three.name != four.name
        for field in ("boxes", "labels"):
            np.testing.assert_array_equal(getattr(one, field), getattr(two, field))
            np.testing.assert_array_equal(getattr(one, field), getattr(three, field))
        np.testing.assert_array_equal(one.images, two.images)
        assert not np.array_equal(one.images, four.images)


def test_no_draw_repeats_a_board_of_another_split():
    """The first boards of every split, seen from afar, are all different."""
    seeds = [seed for _, seed in boards.BOARDS.values()]
    seen = [board.images[1].tobytes() for seed in seeds for board in islice(boards.draw_boards(3, seed, "test"), 3)]
    assert len(set(seen)) == 9


@pytest.fixture(scope="module")
def embedded(tmp_path_factory):
    """Both embedded datasets, of fewer boards."""
    folder = tmp_path_factory.mktemp("embedded")
    few = {"train": (8, 0), "validation": (4, 1), "test": (4, 2)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boards, "BOARDS", few)
        for module in ("deeppcb", "deeppcb_pair"):
            patch.setattr(f"compresslab.data.embedded.{module}.BOARDS", few)
        cards = {name: prepare(name, "embedded", None, folder / f"{name}.npz") for name in ("deeppcb", "deeppcb-pair")}
        prepare("deeppcb-pair", "embedded", None, folder / "again.npz")
    return folder, cards


def test_embedded_crops_have_the_format_of_the_real_ones(embedded):
    folder, cards = embedded
    for name, card in cards.items():
        assert card.classes == list(CLASSES)
        assert card.image_shape == (32, 32, 3)
        assert card.embedded
        assert card.substitute
        for split in SPLITS:
            part = read_split(folder / f"{name}.npz", split)
            assert part.labels.dtype == np.int64
            assert len(set(part.origins)) == len(part.labels)
            assert [":bg" in origin for origin in part.origins] == (part.labels == BACKGROUND).tolist()
            assert min(card.counts[split].values()) > 0


def test_embedded_datasets_share_their_crops(embedded):
    folder, _ = embedded
    for split in SPLITS:
        plain, pair = (read_split(folder / f"{name}.npz", split) for name in ("deeppcb", "deeppcb-pair"))
        np.testing.assert_array_equal(plain.images[..., 0], pair.images[..., 0])
        np.testing.assert_array_equal(plain.labels, pair.labels)
        np.testing.assert_array_equal(plain.origins, pair.origins)


def test_embedded_data_are_prepared_to_the_same_bytes(embedded):
    folder, _ = embedded
    for suffix in (".npz", ".json"):
        assert file_sha256(folder / f"again{suffix}") == file_sha256(folder / f"deeppcb-pair{suffix}")
