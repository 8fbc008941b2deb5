"""One small run of everything that there is: it gives what it promises, once, and the same again elsewhere."""

import json
import re
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from comparing import EXACT, different_files, different_tables, tables
from running import LAB, MODELS, ONE_LAB, SMALLER, Run, snakemake

from compresslab.tables.schemas import TABLES


def test_every_stage_has_left_its_files(tiny_run: Run) -> None:
    assert {path.name for path in (tiny_run.project / "data" / "prepared" / "embedded").iterdir()} == {
        "mnist.npz",
        "mnist.json",
    }
    for seed in (0, 1):
        for variant in ("torch-fp32", "numpy-fp32", "numpy-int8-lut", "onnx-fp32", "onnx-int8"):
            folder = tiny_run.project / MODELS / variant / f"seed-{seed}"
            assert json.loads((folder / "card.json").read_text())["seed"] == seed
            assert (tiny_run.results / "predictions" / LAB / "gapcnn" / variant / f"seed-{seed}.npz").stat().st_size
    merged = pd.read_csv(tiny_run.results / "tables" / "scores.csv")
    assert len(merged) == 10
    assert merged["images"].eq(200).all()


def test_reports_are_there_in_both_languages_and_three_forms(tiny_run: Run) -> None:
    beginnings = {"html": b"<!DOCTYPE html>", "pdf": b"%PDF-", "docx": b"PK"}
    for language in ("zh-TW", "en"):
        for suffix, beginning in beginnings.items():
            content = (tiny_run.results / "reports" / f"{LAB}.{language}.{suffix}").read_bytes()
            assert content.startswith(beginning), f"{language} {suffix}"
            assert len(content) > 10_000
    index = (tiny_run.results / "reports" / "index.html").read_text()
    for link in (f"{LAB}.zh-TW.html", f"{LAB}.en.html"):
        assert f'href="{link}"' in index


def test_embedded_data_are_labelled_wherever_they_went(tiny_run: Run) -> None:
    card = json.loads((tiny_run.project / "data" / "prepared" / "embedded" / "mnist.json").read_text())
    assert (card["source"], card["embedded"]) == ("embedded", True)
    for path in tiny_run.results.rglob("card.json"):
        assert json.loads(path.read_text())["data"]["embedded"] is True, path


def test_no_unfinished_state_and_no_temporary_file_is_left(tiny_run: Run) -> None:
    assert not [path for path in (tiny_run.results / "state").rglob("*") if path.is_file()]
    hidden = chain(tiny_run.results.rglob(".*"), (tiny_run.project / "data").rglob(".*"))
    assert [path for path in hidden if path.name not in (".gitignore", ".snakemake_timestamp")] == []


def test_every_job_has_left_a_log(tiny_run: Run) -> None:
    records = [
        json.loads(path.read_text())
        for path in (tiny_run.project / ".snakemake" / "metadata").rglob("*")
        if path.is_file()
    ]
    logs = {log for record in records for log in record["log"]}
    assert len(logs) > 40
    assert [log for log in logs if not (tiny_run.project / log).is_file()] == []


def test_the_run_begins_with_its_summary(tiny_run: Run) -> None:
    summary = tiny_run.said[: tiny_run.said.index("rule ")]
    for line in (
        r"scale +smoke, results in results/smoke",
        r"data +embedded",
        rf"labs +{LAB}; seeds 0, 1",
        r"jobs +1 benchmark, 1 collect, .*10 predict, 1 prepare, .*2 train_torch",
        r"time +unknown: none of these stages has run here before",
        r"devices +2 CPU cores",
        r"warning +embedded data are generated",
    ):
        assert re.search(f"^{line}", summary, flags=re.MULTILINE), line


def test_a_second_run_does_nothing(tiny_run: Run) -> None:
    before = {path: path.stat().st_mtime_ns for path in tiny_run.results.rglob("*") if path.is_file()}
    assert "Nothing to be done" in snakemake(tiny_run.project, *SMALLER)
    assert {path: path.stat().st_mtime_ns for path in tiny_run.results.rglob("*") if path.is_file()} == before


def test_every_module_that_a_job_loaded_is_among_its_code(tiny_run: Run) -> None:
    """The other half of the promise about reruns: what a stage loads by name is declared in its rule."""
    stages, undeclared = tiny_run.loaded_modules()
    assert undeclared == {}
    assert stages >= {"prepare", "train_torch", "predict", "layers", "cost", "benchmark", "collect", "figure", "report"}


@pytest.fixture(scope="module")
def again(tmp_path_factory: pytest.TempPathFactory, copy_project: Callable[[Path], Path]) -> Path:
    """The same experiment up to its tables, run elsewhere."""
    project = copy_project(tmp_path_factory.mktemp("again") / "elsewhere" / "lab")
    (project / "config.yaml").write_text(ONE_LAB)
    snakemake(project, "merge", *SMALLER)
    return project


def test_models_and_predictions_have_the_same_bytes_elsewhere(tiny_run: Run, again: Path) -> None:
    for kind in EXACT:
        assert list(tiny_run.results.glob(kind)), kind
        assert different_files(tiny_run.results, again / "results" / "smoke", kind) == []


def test_data_have_the_same_bytes_elsewhere(tiny_run: Run, again: Path) -> None:
    for name in ("mnist.npz", "mnist.json"):
        path = Path("data") / "prepared" / "embedded" / name
        assert (tiny_run.project / path).read_bytes() == (again / path).read_bytes()


def test_tables_have_the_same_bytes_elsewhere_but_for_timings(tiny_run: Run, again: Path) -> None:
    assert len(tables(tiny_run.results)) == 2 * len(TABLES), "every table of the lab, and of all labs"
    assert different_tables(tiny_run.results, again / "results" / "smoke") == []


def test_the_expected_time_of_a_later_run_comes_from_earlier_ones(again: Path) -> None:
    said = snakemake(again, "merge", "--forcerun", "merge", *SMALLER)
    assert re.search(r"^time +about 0:00:\d\d by earlier runs$", said, flags=re.MULTILINE)


@pytest.mark.real_data
def test_real_data_from_a_mirror(mirror: Path, tmp_path: Path, copy_project: Callable[[Path], Path]) -> None:
    """Fetched, trained on, quantized, predicted: a few thousand real digits are enough to tell most of them apart."""
    project = copy_project(tmp_path / "compresslab")
    (project / "config.yaml").write_text(ONE_LAB)
    prediction = f"results/smoke/predictions/{LAB}/gapcnn/onnx-int8/seed-0.npz"
    source = f"data={{source: mirror, mirror: {mirror}}}"
    snakemake(project, prediction, "--config", "scale=smoke", source)
    card = json.loads((project / "data" / "prepared" / "mirror" / "mnist.json").read_text())
    assert (card["source"], card["embedded"]) == ("mirror", False)
    assert sum(card["counts"]["test"].values()) == 10_000
    with np.load(project / prediction) as answered:
        assert (answered["logits"].argmax(1) == answered["labels"]).mean() > 0.5
