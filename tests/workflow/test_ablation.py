"""The lab of small CNNs, cut down: its studies, its distorted training, and counts that any run confirms."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from running import Run, watched_run

LAB = "mnist-ablation"
VARIANTS = ("ciresan/torch-fp32", "ciresan/torch-elastic", "ciresan-conv4/torch-fp32")
OPTIONS = (
    "--config",
    "scale=smoke",
    "seeds=[0]",
    "languages=[zh-TW]",
    "limits={train_images: 40, validation_images: 20, test_images: 40}",
)


@pytest.fixture(scope="module")
def lab_run(tmp_path_factory: pytest.TempPathFactory, copy_project: Callable[[Path], Path]) -> Run:
    """The lab as config.yaml has it, with two of its networks and few convolutions, on few drawn digits."""
    project = copy_project(tmp_path_factory.mktemp("ablation") / "compresslab")
    configuration = yaml.safe_load((project / "config.yaml").read_text())
    lab = configuration["labs"][LAB]
    lab["models"] = {model: lab["models"][model] for model in ("ciresan", "ciresan-conv4")}
    lab["comparisons"] = {"ciresan/torch-elastic": ["ciresan/torch-fp32"]}
    lab["studies"]["convolutions"] = {"kernels": [3], "channels": [[8, 16]], "map_sizes": [7, 14]}
    steps = ["ciresan/torch-fp32", "ciresan-conv4/torch-fp32"]
    lab["studies"]["training-steps"] = {"of": steps, "baseline": steps[0], "batch": 2}
    configuration["labs"] = {LAB: lab}
    return watched_run(project, yaml.safe_dump(configuration, sort_keys=False), *OPTIONS)


def table(lab_run: Run, name: str) -> pd.DataFrame:
    return pd.read_csv(lab_run.results / "tables" / LAB / f"{name}.csv", keep_default_na=False)


def test_every_variant_is_trained_answers_and_is_reported(lab_run: Run) -> None:
    scores = table(lab_run, "scores")
    assert set(scores["model"] + "/" + scores["variant"]) == set(VARIANTS)
    training = table(lab_run, "training")
    assert training.groupby(["model", "variant", "seed"])["kept"].sum().eq(1).all()
    for suffix in ("html", "pdf", "docx"):
        assert (lab_run.results / "reports" / f"{LAB}.zh-TW.{suffix}").stat().st_size > 10_000


def test_the_card_tells_device_and_precision(lab_run: Run) -> None:
    for variant in VARIANTS:
        card = json.loads((lab_run.results / "models" / LAB / variant / "seed-0" / "card.json").read_text())
        assert card["precision"] in ("float32", "bfloat16")
        assert card["device"] in ("cpu", "cuda")


def test_published_counts_are_confirmed_on_generated_data(lab_run: Run) -> None:
    claims = table(lab_run, "claims").set_index("claim")["verdict"]
    counts = claims[claims.index.str.startswith(f"{LAB}-alexnet-")]
    assert len(counts) == 12
    assert counts.eq("reproduced").all()
    accuracies = claims[claims.index.str.endswith("-accuracy")]
    assert accuracies.eq("not_comparable").all()


def test_every_study_has_its_table(lab_run: Run) -> None:
    assert set(table(lab_run, "architecture_costs")["architecture"]) == {"alexnet"}
    assert list(table(lab_run, "convolutions")["map_size"]) == [7, 14]
    steps = table(lab_run, "training_steps").set_index("model")
    assert steps.loc["ciresan", "step_to_baseline_ratio"] == 1
    assert 0 < steps.loc["ciresan-conv4", "step_to_baseline_ratio"] < 1


def test_only_the_distorted_training_has_views(lab_run: Run) -> None:
    folder = lab_run.results / "views"
    assert [path.relative_to(folder).as_posix() for path in folder.rglob("*.npz")] == [
        f"{LAB}/ciresan/torch-elastic.npz"
    ]
    with np.load(folder / LAB / "ciresan" / "torch-elastic.npz", allow_pickle=False) as views:
        assert not np.array_equal(views["views"][0], views["images"])


def test_figures_of_the_lab_are_drawn(lab_run: Run) -> None:
    for figure in ("elastic", "convolutions", "ablation", "training"):
        assert (lab_run.results / "figures" / LAB / "zh-TW" / f"{figure}.svg").stat().st_size > 1000, figure


def test_every_module_that_a_job_loaded_is_among_its_code(lab_run: Run) -> None:
    stages, undeclared = lab_run.loaded_modules()
    assert undeclared == {}
    assert stages >= {"train_torch", "views", "study", "cost", "benchmark", "figure"}
