"""Scores of a segmentation: scikit-learn as the oracle, cases worked out by hand, and intervals that mean something."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, jaccard_score, precision_score, recall_score

from compresslab.measure.label_maps import LabelMaps
from compresslab.measure.segmentation import (
    Confusions,
    confusion,
    confusions,
    mean_iou,
    mean_iou_difference,
    score,
    score_by_class,
)
from compresslab.tables.segmentation import compare_maps

VOID = 255
NAMES = ["road", "sky", "human", "vehicle"]


def maps(answers, labels):
    answers, labels = np.asarray(answers, np.uint8), np.asarray(labels, np.uint8)
    return LabelMaps(answers, labels, np.arange(len(answers)))


def drawn(seed, images=12, side=16, classes=4, wrong=0.3, void=0.1):
    """Maps of which a share of pixels is answered at random, and another share is void."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, (images, side, side))
    answers = np.where(generator.random(labels.shape) < wrong, generator.integers(0, classes, labels.shape), labels)
    return maps(answers, np.where(generator.random(labels.shape) < void, VOID, labels))


@pytest.mark.parametrize("missing", [None, 2])
def test_scores_are_those_of_scikit_learn_over_the_labelled_pixels(missing):
    seen = drawn(0)
    if missing is not None:
        seen = maps(
            np.where(seen.answers == missing, 0, seen.answers), np.where(seen.labels == missing, 0, seen.labels)
        )
    labelled = seen.labels != VOID
    truth, answers = seen.labels[labelled], seen.answers[labelled]
    occurring = [number for number in range(4) if number != missing]
    row = score(confusions(seen, 4)).iloc[0]
    expected = jaccard_score(truth, answers, labels=occurring, average=None)
    assert row["miou_percent"] == pytest.approx(100 * expected.mean())
    assert row["pixel_accuracy_percent"] == pytest.approx(100 * np.mean(truth == answers))
    assert row["mean_class_accuracy_percent"] == pytest.approx(100 * balanced_accuracy_score(truth, answers))
    assert (row["images"], row["pixels"]) == (12, labelled.sum())
    by_class = score_by_class(confusions(seen, 4), NAMES).set_index("class")
    for ours, theirs in (("precision_percent", precision_score), ("recall_percent", recall_score)):
        oracle = theirs(truth, answers, labels=range(4), average=None, zero_division=0)
        np.testing.assert_allclose(by_class[ours], 100 * oracle)
    np.testing.assert_allclose(by_class["iou_percent"].dropna(), 100 * expected)
    absent = by_class.index[by_class["iou_percent"].isna()].tolist()
    assert absent == ([] if missing is None else [NAMES[missing]])
    assert by_class["iou_low_percent"].isna().sum() == len(absent)


def test_a_case_worked_out_by_hand():
    # Road: 2 hits, 1 missed, none wrong: 2/3. Sky: 1 hit, 1 wrong: 1/2. The void pixel is answered, and not counted.
    counted = confusions(maps([[[0, 0], [1, 1]], [[3, 0], [1, 1]]], [[[0, 0], [1, 0]], [[VOID] * 2] * 2]), 4)
    assert score(counted)["miou_percent"].item() == pytest.approx(100 * (2 / 3 + 1 / 2) / 2)
    assert score(counted)["pixel_accuracy_percent"].item() == 75
    assert score(counted)["mean_class_accuracy_percent"].item() == pytest.approx(100 * (2 / 3 + 1) / 2)
    cells = confusion(counted, NAMES).set_index(["true_class", "predicted_class"])["pixels"]
    assert len(cells) == 16
    assert cells[cells > 0].to_dict() == {("road", "road"): 2, ("road", "sky"): 1, ("sky", "sky"): 1}


def test_a_class_that_is_answered_but_never_labelled_counts_as_missed():
    counted = confusions(maps([[[0, 2]]], [[[0, 0]]]), 3)
    assert mean_iou(counted).estimate == pytest.approx((1 / 2 + 0) / 2)
    row = score_by_class(counted, NAMES[:3]).set_index("class").loc["human"]
    assert (row["pixels"], row["iou_percent"], row["precision_percent"], row["recall_percent"]) == (0, 0, 0, 0)


def test_one_image_has_an_interval_of_no_width():
    interval = mean_iou(confusions(drawn(1, images=1), 4))
    assert interval.low == interval.estimate == interval.high


def test_an_image_that_is_all_void_changes_no_interval():
    seen = drawn(2)
    void = np.full((1, 16, 16), VOID, np.uint8)
    with_void = maps(np.concatenate([seen.answers, void * 0]), np.concatenate([seen.labels, void]))
    plain, more = confusions(seen, 4), confusions(with_void, 4)
    assert mean_iou(plain) == mean_iou(more)
    assert (plain.images, more.images) == (12, 13)


def test_a_split_without_a_labelled_pixel_cannot_be_scored():
    with pytest.raises(ValueError, match="no pixel of the test split is labelled"):
        confusions(maps(np.zeros((2, 3, 3)), np.full((2, 3, 3), VOID)), 4)


@pytest.mark.parametrize(("answers", "labels", "complaint"), [(4, 0, "answer 4"), (0, 7, "label 7")])
def test_a_number_that_is_no_class_is_refused(answers, labels, complaint):
    with pytest.raises(ValueError, match=complaint):
        confusions(maps([[[answers]]], [[[labels]]]), 4)


def test_names_must_be_as_many_as_classes():
    with pytest.raises(ValueError, match="4 classes were counted, but 3 have names"):
        score_by_class(confusions(drawn(0), 4), NAMES[:3])


def test_the_resamples_are_those_of_drawing_images_one_by_one():
    """The same interval, up to Monte Carlo error, as a bootstrap that picks images and adds up what they count."""
    seen = drawn(3, images=20, wrong=0.5)
    # A few hard images, so that it matters which ones are drawn.
    hard = np.arange(20)[:, None, None] < 5
    counted = confusions(maps(np.where(hard, (seen.answers + 1) % 4, seen.answers), seen.labels), 4)
    generator = np.random.default_rng(7)
    drawn_anew = [counted.by_image[generator.integers(0, 20, 20)].sum(axis=0) for _ in range(2000)]
    replicates = [np.mean(np.diag(sums) / (sums.sum(0) + sums.sum(1) - np.diag(sums))) for sums in drawn_anew]
    low, high = np.quantile(replicates, [0.025, 0.975])
    interval = mean_iou(counted)
    assert interval.low == pytest.approx(low, abs=0.1 * (high - low))
    assert interval.high == pytest.approx(high, abs=0.1 * (high - low))


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    """Images of a population whose mean IoU is known: of 95 % intervals over 40 of them, most hold it."""
    generator = np.random.default_rng(5)
    population = np.zeros((4000, 2, 2), np.int64)
    wrong = generator.binomial(100, generator.beta(2, 6, size=4000))
    population[:, 0, 0], population[:, 0, 1], population[:, 1, 1] = 100 - wrong, wrong, 100
    truth = mean_iou(Confusions(population)).estimate
    intervals = [mean_iou(Confusions(population[generator.choice(4000, 40, replace=False)])) for _ in range(40)]
    covered = sum(interval.low <= truth <= interval.high for interval in intervals)
    assert covered >= 33


def compared(variant, reference):
    return compare_maps(variant, reference, confusions(variant, 4), confusions(reference, 4))


def test_a_variant_differs_from_itself_by_nothing():
    seen = drawn(0)
    found = compared(seen, seen)
    assert (found["pixel_agreement_percent"], found["miou_difference_points"]) == (100, 0)
    assert (found["miou_difference_low_points"], found["miou_difference_high_points"]) == (0, 0)
    assert found["miou_verdict"] == "noise"


def test_a_real_difference_is_called_so_from_either_side():
    good, bad = drawn(0, wrong=0.2), drawn(0, wrong=0.6)
    down, up = compared(bad, good), compared(good, bad)
    assert (down["miou_verdict"], up["miou_verdict"]) == ("worse", "better")
    assert down["miou_difference_points"] == -up["miou_difference_points"]
    assert down["miou_difference_low_points"] == pytest.approx(-up["miou_difference_high_points"], abs=1)
    own, other = (score(confusions(side, 4)).iloc[0] for side in (bad, good))
    assert down["miou_difference_points"] == pytest.approx(own["miou_percent"] - other["miou_percent"])
    assert down["pixel_accuracy_difference_points"] == pytest.approx(
        own["pixel_accuracy_percent"] - other["pixel_accuracy_percent"]
    )


def test_a_loss_that_only_one_image_shows_is_noise():
    seen = drawn(0)
    answers = seen.answers.copy()
    answers[0] = 0
    found = compared(maps(answers, seen.labels), seen)
    assert found["miou_verdict"] == "noise"
    assert found["miou_difference_points"] < 0
    labelled = seen.labels != VOID
    same = (answers == seen.answers)[labelled]
    assert found["pixel_agreement_percent"] == pytest.approx(100 * same.mean())


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 1), st.floats(0, 1))
def test_a_difference_is_that_of_the_two_scores_and_lies_in_its_interval(seed, wrong, other_wrong):
    one, two = (confusions(drawn(seed, images=6, side=4, wrong=share), 4) for share in (wrong, other_wrong))
    paired = mean_iou_difference(one, two)
    assert paired.estimate == pytest.approx(mean_iou(one).estimate - mean_iou(two).estimate)
    assert paired.low <= paired.estimate <= paired.high


def test_variants_that_answered_other_images_are_not_compared():
    one, two = drawn(0), drawn(1)
    with pytest.raises(ValueError, match="the same test images; run segment again"):
        compared(one, two)
    with pytest.raises(ValueError, match="the same test images; run segment again"):
        mean_iou_difference(confusions(one, 4), confusions(two, 4))
