"""What a person reads before a run and when asking the `compresslab` command."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from compresslab.config.experiment import Experiment
from compresslab.config.plan import OnGpuOnly
from compresslab.console import cli
from compresslab.console.summary import graphics_processors, summary

PROJECT = Path(__file__).resolve().parents[2]


def experiment(**settings: Any) -> Experiment:
    lab = {"dataset": "mnist", "models": {"gapcnn": {"variants": {"torch-fp32": {"method": "train-torch"}}}}}
    return Experiment.model_validate({"labs": {"digits": lab, "letters": lab}, **settings})


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The GPUs that the summary finds; none until the test adds some."""
    found: list[str] = []
    monkeypatch.setattr("compresslab.console.summary.graphics_processors", lambda: found)
    return found


def told(lines: list[str], word: str) -> list[str]:
    """What the summary says under a heading."""
    return [line.removeprefix(word).strip() for line in lines if line.startswith(f"{word} ")]


@pytest.mark.usefixtures("gpus")
class TestSummary:
    def test_names_scale_data_labs_and_jobs(self) -> None:
        lines = summary(experiment(scale="quick", run="mine", seeds=[4, 7]), {"train_torch": 2, "predict": 6}, {}, 2)
        assert told(lines, "scale") == ["quick, results in results/mine"]
        assert told(lines, "data") == ["upstream"]
        assert told(lines, "labs") == ["digits, letters; seeds 4, 7"]
        assert told(lines, "jobs") == ["6 predict, 2 train_torch"]
        assert told(lines, "devices") == ["2 CPU cores; no GPU found"]

    def test_names_the_mirror(self) -> None:
        lines = summary(experiment(data={"source": "mirror", "mirror": "/data/copy"}), {}, {}, 1)
        assert told(lines, "data") == ["mirror in /data/copy"]

    def test_expected_time_shares_the_cores_but_a_session_is_alone(self) -> None:
        jobs = {"train_torch": 4, "benchmark": 2}
        lines = summary(experiment(), jobs, {"train_torch": 30.0, "benchmark": 60.0}, 2)
        assert told(lines, "time") == ["about 0:03:00 by earlier runs"]

    def test_says_which_stages_the_expected_time_leaves_out(self) -> None:
        lines = summary(experiment(), {"predict": 1, "collect": 1, "cost": 1}, {"predict": 5.0}, 1)
        assert told(lines, "time") == [
            "about 0:00:05 by earlier runs, and collect, cost, which have not run here before"
        ]

    def test_has_no_guess_without_earlier_runs(self) -> None:
        assert told(summary(experiment(), {"predict": 1}, {"other": 3.0}, 1), "time")[0].startswith("unknown")

    def test_warns_of_a_full_training_without_a_gpu_and_names_smaller_scales(self) -> None:
        (warning,) = told(summary(experiment(scale="full"), {"train_torch": 1}, {}, 1), "warning")
        assert "without a GPU" in warning
        assert "scale=quick" in warning

    @pytest.mark.parametrize(
        ("scale", "jobs", "gpu"),
        [("full", {"train_torch": 1}, "NVIDIA X"), ("full", {"predict": 1}, ""), ("quick", {"train_torch": 1}, "")],
        ids=["a GPU", "nothing to train", "a smaller scale"],
    )
    def test_does_not_warn_without_reason(self, scale: str, jobs: dict[str, int], gpu: str, gpus: list[str]) -> None:
        gpus += [gpu] if gpu else []
        lines = summary(experiment(scale=scale), jobs, {}, 1)
        assert told(lines, "warning") == []
        assert gpu in told(lines, "devices")[0]

    def test_names_what_cannot_run_without_a_gpu(self, gpus: list[str]) -> None:
        needs = [OnGpuOnly(f"digits/gapcnn/{name}", "device: cuda", "training fails") for name in "abcde"]
        needs.append(OnGpuOnly("digits/gapcnn/a", "engine torch-cuda", "cells are skipped"))
        said = summary(experiment(scale="quick"), {"train_torch": 5}, {}, 1, needs)
        assert told(said, "warning") == [
            "device: cuda, but no GPU is found here: training fails"
            " (digits/gapcnn/a, digits/gapcnn/b, digits/gapcnn/c and 2 more)",
            "engine torch-cuda, but no GPU is found here: cells are skipped (digits/gapcnn/a)",
        ]
        gpus.append("NVIDIA L4")
        assert told(summary(experiment(scale="quick"), {"train_torch": 5}, {}, 1, needs), "warning") == []

    def test_says_nothing_of_this_machine_when_jobs_run_elsewhere(self) -> None:
        needs = [OnGpuOnly("digits/gapcnn/a", "device: cuda", "training fails")]
        said = summary(experiment(scale="full"), {"train_torch": 3}, {"train_torch": 60.0}, 1, needs, elsewhere=200)
        assert told(said, "devices") == ["those of other machines, up to 200 jobs at once"]
        assert told(said, "time") == ["about 0:03:00 by earlier runs, one job after the other"]
        assert told(said, "warning") == []

    def test_warns_that_generated_data_prove_nothing(self) -> None:
        (warning,) = told(summary(experiment(data={"source": "embedded"}), {}, {}, 1), "warning")
        assert "generated" in warning


class TestGraphicsProcessors:
    def driver(self, folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
        program = folder / "nvidia-smi"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/bin:/usr/bin")

    def test_are_those_that_the_driver_lists(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        script = "echo 'GPU 0: NVIDIA L4 (UUID: GPU-1)'\necho '  MIG 1g: x'\necho 'GPU 1: NVIDIA T4 (UUID: GPU-2)'"
        self.driver(tmp_path, script, monkeypatch)
        assert graphics_processors() == ["NVIDIA L4", "NVIDIA T4"]

    def test_are_none_when_the_driver_is_broken_or_absent(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.driver(tmp_path, "echo 'driver mismatch' >&2; exit 9", monkeypatch)
        assert graphics_processors() == []
        monkeypatch.setenv("PATH", str(tmp_path / "empty"))
        assert graphics_processors() == []


CONFIG = """\
scale: smoke
labs:
  digits:
    dataset: mnist
    models:
      gapcnn:
        variants:
          torch-fp32: {method: train-torch}
          onnx-fp32: {from: torch-fp32, method: export-onnx}
    engines:
      torch-fp32: [torch, torch-compile]
"""


class TestCheck:
    @pytest.fixture(autouse=True)
    def project(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "config.yaml").write_text(CONFIG)
        (tmp_path / "workflow").mkdir()
        (tmp_path / "workflow" / "scales").symlink_to(PROJECT / "workflow" / "scales")
        monkeypatch.chdir(tmp_path)

    def test_lists_the_variants_with_parent_and_engines(self, capsys: pytest.CaptureFixture[str]) -> None:
        cli.main(["check"])
        assert capsys.readouterr().out.splitlines() == [
            "digits/gapcnn/torch-fp32: train-torch, on torch, torch-compile",
            "digits/gapcnn/onnx-fp32: export-onnx of torch-fp32, on onnxruntime",
            "2 variants, seeds 0, 1: the configuration is in order",
        ]

    def test_takes_settings_as_snakemake_does(self, capsys: pytest.CaptureFixture[str]) -> None:
        cli.main(["check", "--config", "seeds=[7,8]", "data-source=upstream"])
        assert "seeds 7, 8" in capsys.readouterr().out

    def test_takes_more_files_as_snakemake_does(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "more.yaml").write_text("labs: {digits: {engines: {onnx-fp32: [onnxruntime, torch]}}}")
        cli.main(["check", "--configfile", "more.yaml"])
        assert "on onnxruntime, torch\n" in capsys.readouterr().out

    def test_ends_with_all_mistakes_and_status_1(self, tmp_path: Path) -> None:
        (tmp_path / "config.yaml").write_text(CONFIG.replace("dataset: mnist", "dataset: minst") + "seed: 3\n")
        done = subprocess.run(
            [sys.executable, "-m", "compresslab.console.cli", "check"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert done.stdout == ""
        headline, *lines = done.stderr.splitlines()
        assert headline == "2 mistakes in the configuration:"
        assert [line.split(": ")[0].strip() for line in lines] == ["config.yaml:4", "config.yaml:12"]

    @pytest.mark.parametrize("option", ["seeds", "=3"])
    def test_a_setting_that_is_none_is_told_in_a_line(self, option: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "compresslab.console.cli", "check", "--config", option],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode not in (0, None)
        assert "Traceback" not in done.stderr
        assert option in done.stderr


def test_reference_writes_both_files_where_it_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, schema = tmp_path / "page.md", tmp_path / "schema.json"
    cli.main(["reference", "--page", str(page), "--schema", str(schema)])
    assert page.read_text().startswith("# Configuration reference")
    assert '"$defs"' in schema.read_text()
    assert capsys.readouterr().out == f"wrote {page} and {schema}\n"


@pytest.mark.parametrize("command", [[], ["check"], ["why"], ["reference"]])
def test_every_command_explains_itself(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([*command, "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("usage: compresslab")


def test_no_command_at_all_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([])
    assert ended.value.code == 2
    assert "COMMAND" in capsys.readouterr().err
