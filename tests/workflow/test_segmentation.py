"""The lab of street scenes, cut down: every way to integers is made, audited, scored and weighed."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from running import Run, watched_run

from compresslab.measure.label_maps import read_label_maps

LAB, MODEL = "urban-segmentation", "efficient-unet"
SIMULATED, INTEGER = {"torch-qat", "onnx-qat"}, {"torch-int8", "onnx-qat-int8", "onnx-int8"}
OPTIONS = (
    "--config",
    "scale=smoke",
    "seeds=[0]",
    "languages=[zh-TW]",
    "limits={train_images: 16, validation_images: 10, test_images: 10, calibration_images: 8, epochs: 1, batch: 8}",
    "benchmark={rounds: 1, calls: 10, seconds: 0.02, warmup_calls: 2, offline_images: 4}",
)


@pytest.fixture(scope="module")
def lab_run(tmp_path_factory: pytest.TempPathFactory, copy_project: Callable[[Path], Path]) -> Run:
    """The lab as config.yaml has it, with smaller networks and two of its searched ones."""
    project = copy_project(tmp_path_factory.mktemp("streets") / "compresslab")
    configuration = yaml.safe_load((project / "config.yaml").read_text())
    lab = configuration["labs"][LAB]
    del lab["limits"]
    slim = [name for name in lab["models"] if name.startswith("slim-")]
    lab["models"] = {name: model for name, model in lab["models"].items() if name not in slim[2:]}
    for name, arguments in {MODEL: {"base_channels": 4, "depth": 2}, "unet": {"base_channels": 4}}.items():
        lab["models"][name]["arguments"] = arguments
    configuration["labs"] = {LAB: lab}
    return watched_run(project, yaml.safe_dump(configuration, sort_keys=False), *OPTIONS)


def table(lab_run: Run, name: str) -> pd.DataFrame:
    return pd.read_csv(lab_run.results / "tables" / LAB / f"{name}.csv")


def test_every_variant_is_scored_and_those_that_only_simulate_are_not_weighed(lab_run: Run) -> None:
    of_model = {"torch-fp32", "onnx-fp32", *SIMULATED, *INTEGER}
    scores = table(lab_run, "segmentation")
    assert set(scores.loc[scores["model"] == MODEL, "variant"]) == of_model
    for name in ("costs", "latency", "figure_of_merit"):
        weighed = table(lab_run, name)
        assert set(weighed.loc[weighed["model"] == MODEL, "variant"]) == of_model - SIMULATED, name
        assert set(weighed["model"]) == set(scores["model"]), name


def test_scores_are_those_of_the_label_maps(lab_run: Run) -> None:
    maps = read_label_maps(lab_run.results / "predictions" / LAB / MODEL / "torch-fp32" / "seed-0.npz")
    scored = maps.labels != 255
    classes = np.union1d(maps.labels[scored], maps.answers[scored])
    overlaps = [
        np.sum((maps.labels == label) & (maps.answers == label)) / np.sum((maps.labels == label) | hit)
        for label in classes
        for hit in [(maps.answers == label) & scored]
    ]
    row = table(lab_run, "segmentation").set_index(["model", "variant"]).loc[(MODEL, "torch-fp32")]
    assert row["miou_percent"] == pytest.approx(100 * np.mean(overlaps))
    assert row["miou_low_percent"] <= row["miou_percent"] <= row["miou_high_percent"]


def test_every_convolution_of_an_integer_variant_runs_as_integers(lab_run: Run) -> None:
    audit = table(lab_run, "audit")
    assert set(audit["variant"]) == INTEGER
    assert set(audit.loc[audit["expected"].eq(False), "node"]) == set()
    convolutions = audit[~audit["operator"].isin(["Resize", "Upsample"])]
    assert convolutions["runs_as"].eq("integer").all(), convolutions[convolutions["runs_as"] != "integer"].to_string()


def test_an_integer_network_is_its_simulation_but_for_rounding(lab_run: Run) -> None:
    compared = table(lab_run, "segmentation_comparisons").set_index(["variant", "reference"])
    for variant, simulation in {"torch-int8": "torch-qat", "onnx-qat-int8": "onnx-qat"}.items():
        assert compared.loc[(variant, simulation), "pixel_agreement_percent"].item() > 90
    assert ("torch-int8", "torch-fp32") in compared.index


def test_the_merit_is_what_the_costs_and_scores_say(lab_run: Run) -> None:
    merit = table(lab_run, "figure_of_merit").set_index(["model", "variant"])
    costs = table(lab_run, "costs").set_index(["model", "variant"])
    expected = (costs["flops"] / 1e9) ** 2 * (costs["stored_bytes"] / 1e6) ** 2
    np.testing.assert_allclose(merit["cost_gflops2_mb2"], expected[merit.index], rtol=1e-6)
    assert merit.loc[(MODEL, "torch-fp32"), "cost_to_baseline_ratio"] == 1
    assert (merit["condition"].eq("undefined") == merit["miou_percent"].le(65)).all()


def test_the_training_curves_hold_the_overlap(lab_run: Run) -> None:
    curves = table(lab_run, "training")
    assert curves["validation_miou_percent"].between(0, 100).all()
    card = json.loads((lab_run.results / "models" / LAB / MODEL / "torch-fp32" / "seed-0" / "card.json").read_text())
    assert card["parameters"]["loss"] == {"cross_entropy": 1.0, "dice": 1.0, "lovasz": 0.5}


def test_figures_and_report_are_made(lab_run: Run) -> None:
    for figure in ("segmented", "class_iou", "merit", "training"):
        assert (lab_run.results / "figures" / LAB / "zh-TW" / f"{figure}.svg").stat().st_size > 1000, figure
    assert not list((lab_run.results / "figures" / LAB / "zh-TW").glob("confusion*"))
    for suffix in ("html", "pdf", "docx"):
        assert (lab_run.results / "reports" / f"{LAB}.zh-TW.{suffix}").stat().st_size > 10_000


def test_every_module_that_a_job_loaded_is_among_its_code(lab_run: Run) -> None:
    stages, undeclared = lab_run.loaded_modules()
    assert undeclared == {}
    assert stages >= {"segment", "qat_eager", "convert_eager", "qat_pt2e", "convert_pt2e", "collect"}
