"""The lab of three frameworks, cut down: every method gives what it promises, and the frameworks do the same work.

It runs with `--use-conda`, every job in the environment of its rule and Snakemake in one that holds nothing else, by
way of a stand-in for conda: each environment file is enough for its rules.
"""

import json
import sys
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import pandas as pd
import pytest
import yaml
from running import Run, watched_run

LAB = "pcb-frameworks"
FRAMEWORKS = ("numpy-fp32", "torch-fp32", "tf-fp32")
OPTIONS = (
    "--config",
    "scale=smoke",
    "seeds=[0]",
    "languages=[zh-TW]",
    "limits={train_images: 600, validation_images: 100, test_images: 200, epochs: 2}",
    "benchmark={rounds: 1, calls: 20, seconds: 0.02, warmup_calls: 5, offline_images: 100}",
)

PYTHON_OF_ENVIRONMENTS = (3, 11)
CONDA_HAS_THIS_PYTHON = sys.version_info[:2] == PYTHON_OF_ENVIRONMENTS


@pytest.fixture(scope="module")
def lab_run(tmp_path_factory: pytest.TempPathFactory, copy_project: Callable[[Path], Path]) -> Run:
    """The lab as config.yaml has it, without the others, on few generated boards."""
    project = copy_project(tmp_path_factory.mktemp("frameworks") / "compresslab")
    configuration = yaml.safe_load((project / "config.yaml").read_text())
    configuration["labs"] = {LAB: configuration["labs"][LAB]}
    return watched_run(project, yaml.safe_dump(configuration, sort_keys=False), *OPTIONS, conda=CONDA_HAS_THIS_PYTHON)


def variants(project: Path) -> list[str]:
    models = yaml.safe_load((project / "config.yaml").read_text())["labs"][LAB]["models"]
    return [f"{model}/{variant}" for model, described in models.items() for variant in described["variants"]]


def table(lab_run: Run, name: str) -> pd.DataFrame:
    return pd.read_csv(lab_run.results / "tables" / LAB / f"{name}.csv")


def card(lab_run: Run, variant: str) -> dict:
    return json.loads((lab_run.results / "models" / LAB / "lenet5" / variant / "seed-0" / "card.json").read_text())


def test_every_variant_is_made_and_answers(lab_run: Run) -> None:
    named = variants(lab_run.project)
    assert len(named) == 16
    scores = table(lab_run, "scores")
    assert set(scores["model"] + "/" + scores["variant"]) == set(named)
    assert scores["images"].eq(200).all()
    for suffix in ("html", "pdf", "docx"):
        assert (lab_run.results / "reports" / f"{LAB}.zh-TW.{suffix}").stat().st_size > 10_000


@pytest.mark.skipif(not CONDA_HAS_THIS_PYTHON, reason="the environments have Python 3.11, and the tests have not")
def test_every_job_ran_in_the_environment_of_its_rule(lab_run: Run) -> None:
    ran_in = lab_run.environments()
    assert ran_in["prepare"] == ran_in["train_numpy"] == {"numpy"}
    assert ran_in["train_torch"] == ran_in["prune_torch"] == ran_in["export_onnx"] == {"torch"}
    assert ran_in["train_tensorflow"] == ran_in["qat_tfmot"] == ran_in["export_litert"] == {"tensorflow"}
    assert ran_in["ptq_onnx"] == {"onnx"}
    assert ran_in["predict"] == {"numpy", "torch", "tensorflow", "litert", "onnx"}
    assert ran_in["benchmark"] == ran_in["study"] == {"measure"}
    assert ran_in["collect"] == ran_in["figure"] == ran_in["report"] == {"report"}


def test_every_engine_is_measured(lab_run: Run) -> None:
    assert table(lab_run, "skipped").empty
    engines = set(table(lab_run, "latency")["engine"])
    assert engines == {
        *("numpy", "torch", "torch-compile", "tf-eager", "tf-graph", "tf-xla", "litert", "onnxruntime"),
    }


def test_the_network_is_the_same_by_every_count(lab_run: Run) -> None:
    costs = table(lab_run, "costs").set_index(["model", "variant"])
    for variant in (*FRAMEWORKS, "litert-fp32", "onnx-fp32", "tf-qat-int8"):
        assert costs.loc[("lenet5", variant), "parameters"] == 61_751, variant
        assert costs.loc[("lenet5", variant), "macs"] == 651_468, variant


def test_frameworks_start_from_the_same_weights_and_see_the_same_batches(lab_run: Run) -> None:
    first = table(lab_run, "training").query("epoch == 1").set_index(["model", "variant"])["train_loss"]
    for model in ("lenet5", "lenet5-template"):
        for one, other in combinations(FRAMEWORKS, 2):
            assert first[(model, one)] == pytest.approx(first[(model, other)], rel=0.02), (model, one, other)


def test_frameworks_and_datasets_are_compared_image_by_image(lab_run: Run) -> None:
    pairs = table(lab_run, "comparisons")
    found = set(pairs["model"] + "/" + pairs["variant"] + " " + pairs["reference"])
    assert {
        "lenet5/torch-fp32 lenet5/numpy-fp32",
        "lenet5/tf-fp32 lenet5/torch-fp32",
        "lenet5-template/tf-fp32 lenet5/tf-fp32",
        "lenet5/tf-qat-int8 tf-fp32",
    } <= found


def test_pruning_and_clustering_leave_what_their_cards_say(lab_run: Run) -> None:
    for variant in ("tf-prune50", "torch-prune50"):
        found = card(lab_run, variant)["sparsity_percent"]
        assert list(found) == ["conv1", "conv2", "fc1", "fc2", "fc3"]
        assert list(found.values()) == pytest.approx([50] * 5, abs=0.2)
    assert all(count <= 16 for count in card(lab_run, "tf-cluster16")["distinct_weights"].values())
    assert card(lab_run, "torch-channels50")["widths"] == [3, 8, 60, 42]
    costs = table(lab_run, "costs").set_index(["model", "variant"]).loc["lenet5"]
    for pruned, whole in (("tf-prune50", "tf-fp32"), ("torch-prune50", "torch-fp32"), ("onnx-prune50", "onnx-fp32")):
        assert costs.loc[pruned, "macs"] == costs.loc[whole, "macs"]
        assert costs.loc[pruned, "file_gz_bytes"] < 0.7 * costs.loc[whole, "file_gz_bytes"]
        assert costs.loc[pruned, "sparse_bytes"] < 0.8 * costs.loc[whole, "sparse_bytes"]
    assert costs.loc["onnx-channels50", "macs"] < 0.4 * costs.loc["onnx-fp32", "macs"]


def test_what_promises_integers_runs_in_integers(lab_run: Run) -> None:
    audit = table(lab_run, "audit")
    assert set(audit["variant"]) == {"onnx-int8", "tf-qat-int8"}
    assert audit["expected"].all()
    for _, rows in audit.groupby("variant"):
        assert rows["runs_as"].eq("integer").sum() >= 5


def test_sparse_products_are_studied(lab_run: Run) -> None:
    study = table(lab_run, "sparse_products")
    assert set(study["layer"]) == {"conv1", "conv2", "fc1", "fc2", "fc3"}
    assert set(study["batch"]) == {1, 256}


def test_every_module_that_a_job_loaded_is_among_its_code(lab_run: Run) -> None:
    stages, undeclared = lab_run.loaded_modules()
    assert undeclared == {}
    assert stages >= {"train_numpy", "train_tensorflow", "prune_tfmot", "cluster_tfmot", "qat_tfmot", "export_litert"}
    assert stages >= {"prune_torch", "prune_channels", "study"}
