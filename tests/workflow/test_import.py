"""A user's weights, from the file to the tables; and what the file may do without anything being made anew."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from running import Run, snakemake, watched_run

from compresslab.models.torch.artifact import build

OWN_LAB = """\
languages: [en]
labs:
  own:
    dataset: mnist
    models:
      gapcnn:
        variants:
          mine: {method: import, file: mine.pth, rename: {"head.": "linear."}}
          onnx-fp32: {from: mine, method: export-onnx}
          onnx-int8: {from: onnx-fp32, method: ptq-onnx, calibration: {images: 32}}
    engines: {mine: [torch]}
"""
# A lab of imports has one seed, whatever a run has.
OPTIONS = (
    "--config",
    "scale=smoke",
    "seeds=[7,8]",
    "limits={train_images: 100, validation_images: 50, test_images: 100}",
    "benchmark={rounds: 1, calls: 10, seconds: 0.01, warmup_calls: 1, offline_images: 50, threads: [1]}",
)
TABLES = "results/smoke/tables/own"
CARD = "results/smoke/models/own/gapcnn/mine/seed-7/card.json"


def save_weights(path: Path, seed: int) -> None:
    """What a training program might leave: other names, and an epoch beside the weights."""
    torch.manual_seed(seed)
    weights = build("gapcnn", (28, 28, 1), 10).state_dict()
    torch.save({"epoch": 9, "state_dict": {n.replace("linear.", "head."): w for n, w in weights.items()}}, path)


@pytest.fixture(scope="module")
def own_run(tmp_path_factory: pytest.TempPathFactory, copy_project: Callable[[Path], Path]) -> Run:
    """The lab, run up to its tables."""
    project = copy_project(tmp_path_factory.mktemp("import") / "compresslab")
    save_weights(project / "mine.pth", 0)
    return watched_run(project, OWN_LAB, f"{TABLES}/scores.csv", *OPTIONS)


def plans(project: Path) -> str:
    return snakemake(project, "-n", f"{TABLES}/scores.csv", *OPTIONS)


def test_the_imported_model_and_its_children_are_scored_and_compared(own_run: Run) -> None:
    scores, comparisons, layers = (
        pd.read_csv(own_run.project / TABLES / f"{name}.csv") for name in ("scores", "comparisons", "layers")
    )
    assert scores[["variant", "seed"]].drop_duplicates().to_numpy().tolist() == [
        ["mine", 7],
        ["onnx-fp32", 7],
        ["onnx-int8", 7],
    ]
    exported = comparisons.query("variant == 'onnx-fp32'").iloc[0]
    assert exported["agreement_percent"] == 100
    assert set(layers["variant"]) == {"onnx-int8"}
    assert len(layers) >= 4


def test_the_card_says_what_was_done_and_not_where_the_file_lay(own_run: Run) -> None:
    text = (own_run.project / CARD).read_text()
    card = json.loads(text)
    assert card["import"]["file"] == "mine.pth"
    assert card["import"]["key"] == "state_dict"
    assert card["parameters"]["rename"] == {"head.": "linear."}
    assert str(own_run.project) not in text


def test_every_module_that_a_job_loaded_is_among_its_code(own_run: Run) -> None:
    stages, undeclared = own_run.loaded_modules()
    assert undeclared == {}
    assert stages >= {"import_torch", "export_onnx", "ptq_onnx"}


def test_content_makes_it_anew_and_time_and_place_do_not(own_run: Run) -> None:
    project = own_run.project
    moved = project.parent / "elsewhere.pt"
    (project / "mine.pth").rename(moved)
    os.utime(moved)
    configuration = yaml.safe_load(OWN_LAB)
    configuration["labs"]["own"]["models"]["gapcnn"]["variants"]["mine"]["file"] = str(moved)
    (project / "config.yaml").write_text(yaml.safe_dump(configuration, sort_keys=False))
    assert "Nothing to be done" in plans(project)
    save_weights(moved, 1)
    said = plans(project)
    assert "import_torch" in said
    assert "export_onnx" in said
