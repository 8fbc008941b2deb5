"""Confusion of labels and answers per pixel, and intersection over union, against the definitions pixel by pixel."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from compresslab.data.confusion import confusion_matrix, intersection_over_union, mean_intersection_over_union
from compresslab.data.masks import VOID

CLASSES = 4
MASKS = st.tuples(st.integers(1, 3), st.integers(1, 4)).flatmap(
    lambda shape: st.tuples(
        arrays(np.uint8, shape, elements=st.sampled_from([*range(CLASSES), VOID])),
        arrays(np.uint8, shape, elements=st.integers(0, CLASSES - 1)),
    )
)


def by_definition(labels: np.ndarray, answers: np.ndarray) -> list[float]:
    """Intersection over union of every class, as sets of pixels."""
    pixels = [(int(label), int(answer)) for label, answer in zip(labels.flat, answers.flat, strict=True)]
    shares = []
    for wanted in range(CLASSES):
        true = {place for place, (label, _) in enumerate(pixels) if label == wanted}
        answered = {place for place, (label, answer) in enumerate(pixels) if answer == wanted and label != VOID}
        shares.append(len(true & answered) / len(true | answered) if true | answered else math.nan)
    return shares


@given(MASKS)
def test_shares_are_those_of_sets_of_pixels(masks: tuple[np.ndarray, np.ndarray]) -> None:
    labels, answers = masks
    confusion = confusion_matrix(labels, answers, CLASSES)
    assert confusion.dtype == np.int64
    assert confusion.sum() == (labels != VOID).sum()
    shares = by_definition(labels, answers)
    np.testing.assert_allclose(intersection_over_union(confusion), shares)
    known = [share for share in shares if not math.isnan(share)]
    mean = mean_intersection_over_union(confusion)
    assert mean == pytest.approx(np.mean(known)) if known else np.isnan(mean)


@given(st.lists(MASKS, min_size=1, max_size=3))
def test_matrices_of_parts_add_up_and_are_judged_together(parts: list[tuple[np.ndarray, np.ndarray]]) -> None:
    matrices = [confusion_matrix(labels, answers, CLASSES) for labels, answers in parts]
    labels, answers = (np.concatenate([part[side].ravel() for part in parts]) for side in (0, 1))
    np.testing.assert_array_equal(np.sum(matrices, axis=0), confusion_matrix(labels, answers, CLASSES))
    together = mean_intersection_over_union(np.stack(matrices))
    np.testing.assert_array_equal(together, [mean_intersection_over_union(matrix) for matrix in matrices])


def test_a_row_is_a_label_and_a_column_an_answer() -> None:
    confusion = confusion_matrix(np.array([0, 0, 1, VOID]), np.array([1, 1, 1, 0]), 2)
    np.testing.assert_array_equal(confusion, [[0, 2], [0, 1]])


@pytest.mark.parametrize(
    ("labels", "answers", "says"),
    [
        ([4], [0], "label 4 is none of the 4 classes, 0 to 3"),
        ([0], [VOID], "answer 255 is none of the 4 classes, 0 to 3"),
        ([0, 1], [0], r"labels \(2,\) and answers \(1,\) differ in shape"),
    ],
)
def test_what_is_no_class_is_refused(labels: list[int], answers: list[int], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        confusion_matrix(np.array(labels, np.uint8), np.array(answers, np.uint8), 4)
