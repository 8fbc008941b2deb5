"""The lab from a checkpoint to a page, cut down: every way to quantize is made, audited and compared."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from running import Run, watched_run

from compresslab.data.prepared import read_split

LAB, MODEL = "cifar-onnx", "resnet18"
QUANTIZED = {
    *("onnx-int8", "onnx-int8-tensor", "onnx-int8-s8s8", "onnx-int8-percentile", "onnx-int8-entropy"),
    *("onnx-int8-dynamic", "onnx-int8-mixed"),
}
OPTIONS = (
    "--config",
    "scale=smoke",
    "seeds=[0]",
    "languages=[en]",
    "limits={train_images: 600, validation_images: 60, test_images: 120, calibration_images: 16, epochs: 2}",
    "benchmark={rounds: 1, calls: 20, seconds: 0.02, warmup_calls: 5, offline_images: 60}",
)


@pytest.fixture(scope="module")
def lab_run(tmp_path_factory: pytest.TempPathFactory, copy_project: Callable[[Path], Path]) -> Run:
    """The lab as config.yaml has it, with a network that trains in seconds in the place of ResNet-18."""
    project = copy_project(tmp_path_factory.mktemp("cifar") / "compresslab")
    configuration = yaml.safe_load((project / "config.yaml").read_text())
    lab = configuration["labs"][LAB]
    del lab["limits"]
    lab["models"][MODEL] |= {"architecture": "lenet5", "arguments": {}}
    configuration["labs"] = {LAB: lab}
    return watched_run(project, yaml.safe_dump(configuration, sort_keys=False), *OPTIONS)


def table(lab_run: Run, name: str) -> pd.DataFrame:
    return pd.read_csv(lab_run.results / "tables" / LAB / f"{name}.csv", keep_default_na=False)


def card(lab_run: Run, variant: str) -> dict:
    return json.loads((lab_run.results / "models" / LAB / MODEL / variant / "seed-0" / "card.json").read_text())


def test_every_variant_is_made_measured_and_reported(lab_run: Run) -> None:
    assert set(table(lab_run, "scores")["variant"]) == {"torch-fp32", "onnx-fp32", *QUANTIZED}
    assert set(table(lab_run, "latency")["variant"]) == {"torch-fp32", "onnx-fp32", *QUANTIZED}
    for suffix in ("html", "pdf", "docx"):
        assert (lab_run.results / "reports" / f"{LAB}.en.{suffix}").stat().st_size > 10_000


def test_calibration_sees_training_images_which_the_card_lists(lab_run: Run) -> None:
    train = read_split(lab_run.project / "data" / "prepared" / "embedded" / "cifar10.npz", "train", limit=16)
    for variant in ("onnx-int8", "onnx-int8-mixed"):
        assert card(lab_run, variant)["calibration_indices"] == train.indices.tolist()


def test_the_export_answers_as_its_network(lab_run: Run) -> None:
    exported = card(lab_run, "onnx-fp32")
    assert exported["largest_logit_difference"] <= exported["parameters"]["tolerance"]


def test_the_mixed_variant_keeps_the_most_sensitive_layers(lab_run: Run) -> None:
    sensitivity = table(lab_run, "sensitivity")
    assert set(sensitivity["variant"]) == {"onnx-int8-mixed"}
    kept = sensitivity.sort_values("relative_l2_percent", ascending=False)["layer"].head(2)
    assert set(sensitivity.loc[sensitivity["kept_float"], "layer"]) == set(kept)
    audit = table(lab_run, "audit").set_index(["variant", "node"])["runs_as"]
    assert audit.loc["onnx-int8-mixed"].reindex(kept).ne("integer").all()
    assert audit.loc["onnx-int8"].reindex(sensitivity["layer"]).eq("integer").all()


def test_the_same_images_are_answered_after_every_codec(lab_run: Run) -> None:
    shift = table(lab_run, "codec_shift")
    assert list(dict.fromkeys(shift["codec"])) == ["original", "jpeg95", "jpeg90", "jpeg75", "jpeg50"]
    scores = table(lab_run, "scores").set_index("variant")["accuracy_percent"]
    original = shift[shift["codec"] == "original"].set_index("variant")["accuracy_percent"]
    np.testing.assert_allclose(original, scores[original.index])
    assert shift.loc[shift["variant"] == "onnx-fp32", "excess_drop_points"].eq(0).all()


def test_a_quantized_variant_is_compared_with_its_parent_layer_by_layer(lab_run: Run) -> None:
    layers = table(lab_run, "layers")
    assert set(layers["variant"]) == QUANTIZED
    comparisons = table(lab_run, "comparisons").set_index(["variant", "reference"])
    assert {(variant, "onnx-fp32") for variant in QUANTIZED} <= set(comparisons.index)


def test_published_accuracies_are_not_judged_on_generated_images(lab_run: Run) -> None:
    verdicts = table(lab_run, "claims").set_index("claim")["verdict"]
    assert len(verdicts) >= 8
    assert verdicts[verdicts.index.str.contains("agree|relative-l2")].eq("not_comparable").all()


def test_every_module_that_a_job_loaded_is_among_its_code(lab_run: Run) -> None:
    stages, undeclared = lab_run.loaded_modules()
    assert undeclared == {}
    assert stages >= {"predict_reencoded", "ptq_onnx", "ptq_onnx_dynamic", "ptq_onnx_mixed", "figure", "collect"}
