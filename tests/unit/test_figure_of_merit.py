"""The figure of merit: worked out by hand, next to its pole, on the front, and against a baseline."""

import numpy as np
import pandas as pd
import pytest

from compresslab.data.confusion import mean_intersection_over_union
from compresslab.measure.segmentation import Confusions, mean_iou
from compresslab.tables.figure_of_merit import Candidate, figures_of_merit
from compresslab.tables.schemas import TABLES

IMAGES = 50


def counted(wrong_percent, spread=0.0, images=IMAGES):
    """Two classes with as many pixels, of which as many are answered as the other; ``spread`` between images."""
    wrong = np.round(100 * (wrong_percent + spread * np.linspace(-1, 1, images)) * (1 - 1e-9)).astype(np.int64)
    half = 10_000
    return Confusions(np.array([[[half - count, count], [count, half - count]] for count in wrong]))


def candidate(name="unet/torch-fp32", flops=2e9, stored_bytes=3e6, wrong=10.0, spread=0.0, **more):
    return Candidate(name, int(flops), int(stored_bytes), counted(wrong, spread), **more)


def rows(*candidates, baseline="unet/torch-fp32"):
    frame = figures_of_merit(candidates, baseline)
    # Whatever comes out fits its table.
    TABLES["figure_of_merit"].validated(frame.assign(lab="urban-segmentation", seed=0))
    return frame.assign(name=frame["model"] + "/" + frame["variant"]).set_index("name")


def test_a_figure_worked_out_by_hand():
    # 10 % wrong both ways: IoU 0.9 / 1.1. GFLOPs^2 MB^2: 2^2 x 3^2 = 36.
    row = rows(candidate()).loc["unet/torch-fp32"]
    assert (row["gflops"], row["model_mb"], row["cost_gflops2_mb2"]) == (2, 3, 36)
    assert row["miou_percent"] == pytest.approx(100 * 9 / 11)
    assert row["merit_gflops2_mb2"] == pytest.approx(36 / (9 / 11 - 0.65))
    assert row["condition"] == "defined"
    assert np.isnan(row["validation_miou_percent"])


def test_the_interval_is_that_of_the_mean_iou_turned_around():
    unsure = candidate(spread=6, validation_miou_percent=83.5)
    row, miou = rows(unsure).iloc[0], mean_iou(unsure.counted)
    assert miou.low < miou.estimate < miou.high
    assert row["merit_low_gflops2_mb2"] == pytest.approx(36 / (miou.high - 0.65))
    assert row["merit_high_gflops2_mb2"] == pytest.approx(36 / (miou.low - 0.65))
    assert row["validation_miou_percent"] == 83.5


@pytest.mark.parametrize(
    ("wrong", "spread", "condition", "known"),
    [
        (20.0, 0.0, "defined", ("value", "low", "high")),
        (21.0, 10.0, "ill_conditioned", ("value", "low")),
        (22.0, 10.0, "undefined", ()),
        (30.0, 0.0, "undefined", ()),
    ],
)
def test_a_mean_iou_near_the_pole_leaves_the_figure_open(wrong, spread, condition, known):
    # 0.65 is what 21.21 % wrong make.
    row = rows(candidate(wrong=wrong, spread=spread)).iloc[0]
    names = {"value": "merit_gflops2_mb2", "low": "merit_low_gflops2_mb2", "high": "merit_high_gflops2_mb2"}
    assert row["condition"] == condition
    assert {name for name, column in names.items() if not np.isnan(row[column])} == set(known)


def test_the_front_holds_what_no_other_variant_beats_in_both():
    frame = rows(
        candidate(),
        candidate("unet/onnx-fp32"),
        candidate("small/torch-fp32", flops=1e9, wrong=15),
        candidate("worse/torch-fp32", flops=1e9, wrong=16),
        candidate("dearer/torch-fp32", flops=3e9, wrong=10),
        candidate("tiny/torch-fp32", flops=0.1e9, wrong=60),
    )
    assert frame.index[frame["on_front"]].tolist() == [
        "unet/torch-fp32",
        "unet/onnx-fp32",
        "small/torch-fp32",
        "tiny/torch-fp32",
    ]


def test_a_baseline_is_as_good_as_itself():
    row = rows(candidate(spread=8)).iloc[0]
    ratios = [f"merit_to_baseline{bound}_ratio" for bound in ("", "_low", "_high")]
    assert [*row[ratios], row["cost_to_baseline_ratio"]] == [1, 1, 1, 1]
    points = [f"miou_to_baseline{bound}_points" for bound in ("", "_low", "_high")]
    assert [*row[points]] == [0, 0, 0]
    assert row["miou_to_baseline_verdict"] == "noise"


def test_a_ratio_to_the_baseline_is_that_of_the_figures_over_the_same_draws():
    small = candidate("small/torch-fp32", flops=1e9, stored_bytes=1.5e6, wrong=12, spread=5)
    big = candidate(spread=6)
    frame = rows(big, small)
    row = frame.loc["small/torch-fp32"]
    figures = frame["merit_gflops2_mb2"]
    assert row["cost_to_baseline_ratio"] == 1 / 16
    assert row["merit_to_baseline_ratio"] == pytest.approx(figures["small/torch-fp32"] / figures["unet/torch-fp32"])
    above, below = (mean_intersection_over_union(side.counted.resampled) - 0.65 for side in (big, small))
    expected = np.quantile(above / below / 16, [0.025, 0.975])
    assert row["merit_to_baseline_low_ratio"] == pytest.approx(expected[0], rel=1e-3)
    assert row["merit_to_baseline_high_ratio"] == pytest.approx(expected[1], rel=1e-3)
    assert row["miou_to_baseline_points"] == pytest.approx(
        row["miou_percent"] - frame.loc["unet/torch-fp32", "miou_percent"]
    )
    assert row["miou_to_baseline_verdict"] == "worse"


@pytest.mark.parametrize(
    ("own", "base", "known"),
    [
        ((10, 0), (12, 0), ("value", "low", "high")),
        ((21, 10), (12, 0), ("value", "low")),
        ((12, 0), (21, 10), ("value", "high")),
        ((21, 10), (21, 10), ("value",)),
        ((21, 10), (21, -10), ("value",)),
        ((30, 0), (12, 0), ()),
        ((12, 0), (30, 0), ()),
    ],
)
def test_a_side_on_which_the_ratio_has_no_bound_stays_empty(own, base, known):
    """A negative spread makes other images the hard ones: one side may have a figure where the other has none."""
    frame = rows(candidate(wrong=base[0], spread=base[1]), candidate("small/torch-fp32", wrong=own[0], spread=own[1]))
    row = frame.loc["small/torch-fp32"]
    names = {"value": "", "low": "_low", "high": "_high"}
    found = {name for name, bound in names.items() if not np.isnan(row[f"merit_to_baseline{bound}_ratio"])}
    assert found == set(known)


def test_a_baseline_without_costs_is_refused():
    with pytest.raises(ValueError, match="unet/torch-qat has no costs of its own; choose another baseline"):
        figures_of_merit([candidate()], "unet/torch-qat")


def test_rows_keep_the_order_of_the_candidates():
    frame = figures_of_merit([candidate("b/x"), candidate("a/x")], "b/x")
    assert isinstance(frame, pd.DataFrame)
    assert frame["model"].tolist() == ["b", "a"]
