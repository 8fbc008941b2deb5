"""Scores against numbers worked out by hand and published ones."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compresslab.measure.predictions import Predictions, read_predictions, write_predictions
from compresslab.measure.scores import confusion, score, score_by_class, wilson_interval


def predictions(answers, labels, classes=3, margin=4.0):
    logits = np.zeros((len(answers), classes), np.float32)
    logits[np.arange(len(answers)), answers] = margin
    return Predictions(logits, np.asarray(labels, np.int64), np.arange(len(answers)))


# 0 is right twice and taken for 1 once; 1 is right once; 2 is right once and taken for 0 once.
SMALL = predictions(answers=[0, 0, 1, 1, 2, 0], labels=[0, 0, 0, 1, 2, 2])


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        # Newcombe (1998), Statistics in Medicine 17, table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_interval_is_the_published_one(successes, trials, low, high):
    assert wilson_interval(successes, trials) == pytest.approx((low, high), abs=5e-5)


def test_scores_of_six_images_by_hand():
    row = score(SMALL).iloc[0]
    assert row["images"] == 6
    assert row["accuracy_percent"] == pytest.approx(100 * 4 / 6)
    assert row["macro_precision_percent"] == pytest.approx(100 * (2 / 3 + 1 / 2 + 1) / 3)
    assert row["macro_recall_percent"] == pytest.approx(100 * (2 / 3 + 1 + 1 / 2) / 3)
    assert row["macro_f1_percent"] == pytest.approx(100 * (2 / 3 + 2 / 3 + 2 / 3) / 3)
    right, wrong = (math.log(math.exp(4) + 2) - logit for logit in (4, 0))
    assert row["mean_loss"] == pytest.approx((4 * right + 2 * wrong) / 6)


def test_uninformed_logits_lose_the_logarithm_of_the_classes():
    guess = Predictions(np.zeros((5, 10), np.float32), np.arange(5), np.arange(5))
    assert score(guess)["mean_loss"].item() == pytest.approx(math.log(10))


def test_loss_of_huge_logits_stays_finite():
    sure = Predictions(np.array([[1e4, 0.0]], np.float32), np.array([1]), np.array([0]))
    assert score(sure)["mean_loss"].item() == pytest.approx(1e4)


def test_classes_keep_their_order_and_an_absent_class_scores_zero():
    table = score_by_class(predictions([0, 0], [0, 0]), ["short", "open", "copper"])
    assert table["class"].tolist() == ["short", "open", "copper"]
    assert table["images"].tolist() == [2, 0, 0]
    assert table["recall_percent"].tolist() == [100, 0, 0]


def test_confusion_counts_every_pair_by_hand():
    table = confusion(SMALL, ["a", "b", "c"]).set_index(["true_class", "predicted_class"])["images"]
    expected = {("a", "a"): 2, ("a", "b"): 1, ("b", "b"): 1, ("c", "c"): 1, ("c", "a"): 1}
    assert table[table > 0].to_dict() == expected
    assert len(table) == 9


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40))
def test_accuracy_is_the_diagonal_and_lies_in_its_interval(pairs):
    given_predictions = predictions(*zip(*pairs, strict=True), classes=4)
    row = score(given_predictions).iloc[0]
    table = confusion(given_predictions, list("abcd"))
    diagonal = table.loc[table["true_class"] == table["predicted_class"], "images"].sum()
    assert row["accuracy_percent"] == pytest.approx(100 * diagonal / len(pairs))
    assert row["accuracy_low_percent"] <= row["accuracy_percent"] + 1e-9
    assert row["accuracy_percent"] <= row["accuracy_high_percent"] + 1e-9


def test_predictions_come_back_as_they_were_written(tmp_path):
    write_predictions(tmp_path / "seed-0.npz", SMALL)
    again = read_predictions(tmp_path / "seed-0.npz")
    assert (again.logits == SMALL.logits).all()
    assert (again.labels == SMALL.labels).all()
    assert again.logits.dtype == np.float32


@pytest.mark.parametrize(
    ("logits", "labels", "complaint"),
    [
        (np.zeros((3, 2)), [0, 1], "as many labels"),
        (np.full((2, 2), np.nan), [0, 1], "not finite"),
        (np.zeros((2, 2)), [0, 2], "between 0 and 1"),
        (np.zeros((0, 2)), [], "shape"),
    ],
)
def test_contradictory_predictions_are_refused(logits, labels, complaint):
    with pytest.raises(ValueError, match=complaint):
        Predictions(logits, np.asarray(labels, np.int64), np.arange(len(logits)))


def test_a_foreign_file_is_named(tmp_path):
    np.savez(tmp_path / "other.npz", logits=np.zeros((1, 2)))
    with pytest.raises(ValueError, match=r"other\.npz lacks indices, labels"):
        read_predictions(tmp_path / "other.npz")


def test_class_names_must_fit_the_logits():
    with pytest.raises(ValueError, match="3 logits per image but 2 class names"):
        score_by_class(SMALL, ["a", "b"])
