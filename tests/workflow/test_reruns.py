"""Edits rerun exactly what they touch: every module, every setting, every source of the reports.

The outputs of a small experiment are made as empty files and recorded by `snakemake --touch`. Then Snakemake is asked,
edit by edit, which jobs it would run; what it should want is worked out here, from the import statements of the
package and from the graph of jobs, without the code under test.
"""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from running import environment, run, snakemake

from compresslab.console.why import COMPARED_BY_CONTENT

PROJECT = Path(__file__).resolve().parents[2]
PACKAGE = PROJECT / "src" / "compresslab"
PROBE = Path(__file__).with_name("planned_jobs.py")

TWO_LABS = """\
scale: full
run: tried
seeds: [0]
languages: [en, zh-TW]
data: {source: embedded}
labs:
  mnist-integer:
    dataset: mnist
    models:
      gapcnn:
        train: {epochs: 1}
        variants:
          torch-fp32: {method: train-torch}
          numpy-fp32: {from: torch-fp32, method: export-numpy}
          numpy-int8-dequant: {from: numpy-fp32, method: quantize-numpy, arithmetic: dequantized, granularity: tensor}
          numpy-int8-pwl: {from: numpy-fp32, method: quantize-numpy, activations: pwl}
          onnx-fp32: {from: torch-fp32, method: export-onnx}
          onnx-int8: {from: onnx-fp32, method: ptq-onnx}
          onnx-int8-dynamic: {from: onnx-fp32, method: ptq-onnx-dynamic}
          onnx-int8-mixed: {from: onnx-fp32, method: ptq-onnx-mixed}
    engines:
      torch-fp32: [torch, torch-compile]
      numpy-int8-pwl: [numpy-integer, numpy-integer-strict]
    codec_shift: {of: [gapcnn/onnx-fp32, gapcnn/onnx-int8], baseline: gapcnn/onnx-fp32}
  second-study:
    dataset: mnist
    models:
      gapcnn:
        train: {epochs: 1}
        variants:
          torch-fp32: {method: train-torch}
      lenet5:
        variants:
          numpy-fp32: {method: train-numpy}
          torch-fp32: {method: train-torch}
          torch-prune50: {from: torch-fp32, method: prune-torch}
          torch-channels50: {from: torch-fp32, method: prune-channels}
          tf-fp32: {method: train-tensorflow}
          tf-prune50: {from: tf-fp32, method: prune-tfmot}
          tf-cluster16: {from: tf-fp32, method: cluster-tfmot}
          tf-qat-int8: {from: tf-fp32, method: qat-tfmot}
          litert-fp32: {from: tf-fp32, method: export-litert}
      ciresan:
        variants:
          torch-fp32: {method: train-torch}
          torch-elastic: {method: train-torch, augmentation: elastic}
    studies:
      sparse-products: {of: lenet5/numpy-fp32}
      architecture-costs: {architectures: {alexnet: {image_shape: [224, 224, 3], classes: 10}}}
      convolutions:
      training-steps: {of: [lenet5/torch-fp32, ciresan/torch-fp32], baseline: lenet5/torch-fp32}
"""
STREETS = """\
  streets:
    dataset: camvid-64x128
    models:
      efficient-unet:
        train: {epochs: 1}
        variants:
          torch-fp32: {method: train-torch}
          torch-qat: {from: torch-fp32, method: qat-eager}
          torch-int8: {from: torch-qat, method: convert-eager}
          onnx-qat: {from: torch-fp32, method: qat-pt2e}
          onnx-qat-int8: {from: onnx-qat, method: convert-pt2e}
"""
BROUGHT = """\
  brought:
    dataset: mnist
    models:
      gapcnn:
        variants:
          mine: {method: import, file: data/own/mine.pth}
      graph:
        variants:
          mine: {method: import, file: data/own/mine.onnx}
"""
# What a lab's settings or a new seed must not reach, and the page of all labs.
OF_ALL_LABS = {"merge", "index"}
OF_REPORTS = ("report/locale/", "report/narrative/", "report/notebooks/", "report/styles/")


@dataclass(frozen=True)
class Job:
    """A job of the graph as it is before any edit."""

    name: str
    rule: str
    wildcards: dict[str, str]
    stamp: str
    inputs: list[str]
    outputs: list[str]
    needs: list[str]

    @property
    def lab(self) -> str | None:
        """The lab that the job works for; None for data and for what joins all labs."""
        return self.wildcards.get("lab") or self.wildcards.get("variant", "").partition("/")[0] or None

    @property
    def entries(self) -> list[str]:
        """The modules that the job runs or loads by name."""
        return self.stamp.partition("@")[0].split("+")


@dataclass(frozen=True)
class Answers:
    """The graph, and the names of the jobs that Snakemake wants after each edit."""

    jobs: dict[str, Job]
    wanted: dict[str, list[str]]

    def after(self, first: Iterable[str]) -> list[str]:
        """These jobs and all that come after them."""
        found = set(first)
        while more := {name for name, job in self.jobs.items() if not found.isdisjoint(job.needs)} - found:
            found |= more
        return sorted(found)

    def of_rule(self, *rules: str) -> list[str]:
        """Names of the jobs of these rules."""
        return [name for name, job in self.jobs.items() if job.rule in rules]


def ask(project: Path, questions: dict[str, Any]) -> Answers:
    """Ask in one process of its own, whose package is the copy's."""
    asked, answered = project.parent / "questions.json", project.parent / "answers.json"
    asked.write_text(json.dumps(questions))
    run(["python", str(PROBE), str(asked), str(answered)], project)
    answers = json.loads(answered.read_text())
    return Answers({name: Job(name, **job) for name, job in answers["jobs"].items()}, answers["wanted"])


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, copy_project: Callable[[Path], Path]) -> Path:
    """A copy of the project in which every job of four labs is done, as far as Snakemake can tell."""
    project = copy_project(tmp_path_factory.mktemp("reruns") / "compresslab")
    (project / "config.yaml").write_text(TWO_LABS + STREETS + BROUGHT)
    for name in ("mine.pth", "copy.pth", "mine.onnx"):
        file = project / "data" / "own" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(file.suffix)
    for job in ask(project, {}).jobs.values():
        for path in job.outputs:
            (project / path).parent.mkdir(parents=True, exist_ok=True)
            (project / path).touch()
    # Larger than what Snakemake compares by content unless it is told to, as real data are.
    for data in (project / "data" / "prepared").rglob("*.npz"):
        data.write_bytes(bytes(3_000_000))
    snakemake(project, "--touch", "--forceall")
    return project


def edits(jobs: Mapping[str, Job]) -> dict[str, Any]:
    """Every edit that is tried, by name; the modules of a group are edited together."""
    modules = {module: path.read_text() for module, path in module_files().items()}
    questions: dict[str, Any] = {"nothing": {}}
    for group in groups(jobs):
        questions[group[0]] = {"edits": {source(name): f"{modules[name]}\n_edited = True\n" for name in group}}
    questions["comments"] = {"edits": {source(name): f"# Why?\n\n{text}\n# So." for name, text in modules.items()}}
    questions["docstrings"] = {"edits": {source(name): with_other_docstrings(text) for name, text in modules.items()}}
    for path in report_sources():
        questions[path] = {"edits": {path: (PROJECT / path).read_text() + "\n"}}
    questions["epochs"] = {"config": {"labs": {"second-study": {"models": {"gapcnn": {"train": {"epochs": 2}}}}}}}
    questions["rounds"] = {"config": {"benchmark": {"rounds": 9}}}
    questions["seeds"] = {"config": {"seeds": [0, 1]}}
    questions["weights"] = {"edits": {"data/own/mine.pth": "others"}}
    moved = {"variants": {"mine": {"file": "data/own/copy.pth"}}}
    questions["moved weights"] = {"config": {"labs": {"brought": {"models": {"gapcnn": moved}}}}}
    questions["languages"] = {"config": {"languages": ["en"]}}
    return questions


@pytest.fixture(scope="module")
def answers(finished: Path) -> Answers:
    """Every edit, tried in as many copies of the finished project side by side as there are cores."""
    copies = [finished.parent / f"copy-{number}" / finished.name for number in range(os.cpu_count() or 1)]
    for copy in copies:
        shutil.copytree(finished, copy, symlinks=True)
    jobs = ask(finished, {}).jobs
    questions = list(edits(jobs).items())
    shares = [dict(questions[number :: len(copies)]) for number in range(len(copies))]
    with ThreadPoolExecutor(len(copies)) as pool:
        answered = list(pool.map(ask, copies, shares))
    return Answers(answered[0].jobs, {name: jobs for part in answered for name, jobs in part.wanted.items()})


ALONE = ("compresslab", "compresslab.console.why", "compresslab.tables.claims", "compresslab.train.torch.learner")
"""Modules that a test of its own asks about."""


def groups(jobs: Mapping[str, Job]) -> list[list[str]]:
    """Modules that can be edited at once: no job reaches two of a group, so that each shows what it alone reruns."""
    found: list[tuple[list[str], set[str]]] = []
    for module in module_files():
        reaching = set(reaching_jobs(jobs, module))
        fitting = (group for group in found if group[1].isdisjoint(reaching) and group[0][0] not in ALONE)
        group = next(fitting, None) if module not in ALONE else None
        if group is None:
            found.append(([module], reaching))
        else:
            group[0].append(module)
            group[1].update(reaching)
    return [modules for modules, _ in found]


def reaching_jobs(jobs: Mapping[str, Job], module: str) -> list[str]:
    """The jobs whose entry modules import a module, or are it."""
    return [name for name, job in jobs.items() if any(module in reached_by(entry) for entry in job.entries)]


@cache
def module_files() -> dict[str, Path]:
    """Every module of the package with its file; a package's is its `__init__.py`."""
    named = {path.relative_to(PACKAGE.parent).with_suffix("").parts: path for path in PACKAGE.rglob("*.py")}
    return {".".join(parts).removesuffix(".__init__"): path for parts, path in named.items()}


def source(module: str) -> str:
    return str(module_files()[module].relative_to(PROJECT))


def report_sources() -> list[str]:
    """Every text that reports are made from."""
    files = (path for path in (PROJECT / "report").rglob("*") if path.is_file())
    return sorted(str(path.relative_to(PROJECT)) for path in files if "__pycache__" not in path.parts)


def with_other_docstrings(text: str) -> str:
    """Every docstring of a module with a word more."""
    lines = text.encode().split(b"\n")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            row, column = node.body[0].end_lineno or 0, node.body[0].end_col_offset or 0
            line = lines[row - 1]
            assert line[:column].endswith(b'"""'), line
            lines[row - 1] = line[: column - 3] + b" Edited." + line[column - 3 :]
    return b"\n".join(lines).decode()


@cache
def reached_by(module: str) -> frozenset[str]:
    """The module and all modules of the package that importing it runs, read from the import statements alone."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in found and name in module_files():
            found.add(name)
            waiting += [name.rpartition(".")[0], *imported(name)]
    return frozenset(found)


@cache
def imported(module: str) -> list[str]:
    """The names that a module's import statements may mean, wherever they stand; there are no relative imports."""
    names: list[str] = []
    for node in ast.walk(ast.parse(module_files()[module].read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import"
            names += [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


def test_a_finished_experiment_wants_nothing(answers: Answers) -> None:
    assert answers.wanted["nothing"] == []
    assert {job.rule for job in answers.jobs.values()} == rules() - {"all", "fetch", "serve"}, "not every rule is tried"


def rules(file: str = "*") -> set[str]:
    """Names of the rules that the rule files define."""
    files = [PROJECT / "workflow" / "Snakefile", *(PROJECT / "workflow" / "rules").glob(f"{file}.smk")]
    return {name for path in files for name in re.findall(r"^rule (\w+):", path.read_text(), flags=re.MULTILINE)}


def test_every_job_carries_the_stamp_of_its_own_stage(answers: Answers) -> None:
    stages = {f"compresslab.stages.{path.stem}" for path in (PACKAGE / "stages").glob("*.py")}
    for job in answers.jobs.values():
        assert job.entries[0] in stages, job.name


def test_every_module_reruns_exactly_the_jobs_that_reach_it_and_their_descendants(answers: Answers) -> None:
    wrong = {}
    tried = groups(answers.jobs)
    assert sorted(module for group in tried for module in group) == sorted(module_files())
    for group in tried:
        expected = answers.after(name for module in group for name in reaching_jobs(answers.jobs, module))
        wanted = answers.wanted[group[0]]
        if wanted != expected:
            wrong[", ".join(group)] = {
                "should not": sorted(set(wanted) - set(expected)),
                "should": sorted(set(expected) - set(wanted)),
            }
    assert not wrong, json.dumps(wrong, indent=1)


def test_the_package_itself_reruns_everything_and_a_console_module_nothing(answers: Answers) -> None:
    """The two ends, so that the test above cannot hold by wanting all or nothing."""
    assert answers.wanted["compresslab"] == sorted(answers.jobs)
    assert answers.wanted["compresslab.console.why"] == []
    assert answers.wanted["compresslab.tables.claims"] == answers.after(answers.of_rule("collect"))
    trainings = set(answers.of_rule("train_torch"))
    assert trainings <= set(answers.wanted["compresslab.train.torch.learner"])
    assert trainings.isdisjoint(answers.wanted["compresslab.tables.claims"])


def test_comments_and_docstrings_rerun_nothing(answers: Answers) -> None:
    assert answers.wanted["comments"] == []
    assert answers.wanted["docstrings"] == []


def test_one_labs_epochs_rerun_that_lab_from_the_training_on(answers: Answers) -> None:
    wanted = [answers.jobs[name] for name in answers.wanted["epochs"]]
    trainings = [job.name for job in wanted if job.rule == "train_torch"]
    assert [answers.jobs[name].lab for name in trainings] == ["second-study"]
    assert answers.wanted["epochs"] == answers.after(trainings)
    assert {job.rule for job in wanted if job.lab != "second-study"} <= OF_ALL_LABS


@pytest.mark.parametrize("path", [path for path in report_sources() if path.startswith(OF_REPORTS)])
def test_a_sentence_of_the_report_reruns_report_jobs_only(path: str, answers: Answers) -> None:
    wanted = answers.wanted[path]
    users = [job.name for job in answers.jobs.values() if path in job.inputs]
    assert users, f"no job has {path} among its inputs: an edit would go unnoticed"
    assert wanted == answers.after(users)
    assert {answers.jobs[name].rule for name in wanted} <= rules("report")


def test_captions_of_snakemakes_own_report_rerun_nothing(answers: Answers) -> None:
    """`snakemake --report` reads them when it is asked for."""
    captions = [path for path in report_sources() if path.endswith(".rst")]
    assert captions
    assert [path for path in captions if answers.wanted[path]] == []
    assert all(path.startswith(OF_REPORTS) or path in {*captions, "report/claims.yaml"} for path in report_sources())


def test_a_labs_own_narrative_reruns_that_labs_report_only(answers: Answers) -> None:
    wanted = [answers.jobs[name] for name in answers.wanted["report/narrative/mnist-integer.en.md.j2"]]
    assert {job.lab for job in wanted if job.rule not in OF_ALL_LABS} == {"mnist-integer"}


def test_claims_rerun_the_tables_and_what_follows(answers: Answers) -> None:
    assert answers.wanted["report/claims.yaml"] == answers.after(answers.of_rule("collect"))


def test_the_protocol_reruns_the_sessions_and_what_follows(answers: Answers) -> None:
    assert answers.wanted["rounds"] == answers.after(answers.of_rule("benchmark", "study"))


def test_another_seed_adds_its_own_jobs_and_reruns_what_joins_seeds(answers: Answers) -> None:
    """The first seed is the one that is measured, so nothing is measured anew; imported models have no other one."""
    new = [name for name in answers.wanted["seeds"] if name not in answers.jobs]
    expected_new = [job for job in answers.jobs.values() if "seed" in job.wildcards and job.lab != "brought"]
    assert len(new) == len(expected_new)
    assert all(name.endswith(" 1") for name in new)
    rerun = sorted(set(answers.wanted["seeds"]) - set(new))
    assert rerun == answers.after(name for name in answers.of_rule("collect") if answers.jobs[name].lab != "brought")


def test_a_users_file_reruns_its_variant_by_content_and_not_by_place(answers: Answers) -> None:
    assert answers.wanted["weights"] == answers.after(answers.of_rule("import_torch"))
    assert answers.wanted["moved weights"] == []


def test_a_language_less_reruns_what_speaks(answers: Answers) -> None:
    assert {answers.jobs[name].rule for name in answers.wanted["languages"]} <= rules("report")


def test_every_profile_compares_data_by_content() -> None:
    """By time alone, a fresh clone would train anew; and `compresslab why` must see what a run sees."""
    for profile in (PROJECT / "workflow" / "profiles").glob("*/profile.yaml"):
        settings = yaml.safe_load(profile.read_text())
        assert settings.get("max-checksum-file-size") == COMPARED_BY_CONTENT, profile


def wanted_in(project: Path) -> list[str]:
    return ask(project, {"nothing": {}}).wanted["nothing"]


def test_touching_every_file_reruns_nothing(finished: Path) -> None:
    now = finished.stat().st_mtime + 100
    sources = [path for folder in ("src", "workflow", "report", "envs") for path in (finished / folder).rglob("*")]
    for path in [*sources, finished / "config.yaml"]:
        os.utime(path, (now, now))
    assert wanted_in(finished) == []


def test_a_moved_project_reruns_nothing(finished: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere" / "renamed"
    shutil.copytree(finished, moved, copy_function=shutil.copy2, symlinks=True)
    assert wanted_in(moved) == []
    assert "Nothing to be done" in snakemake(moved)


def test_a_copy_with_new_times_reruns_nothing(finished: Path, tmp_path: Path) -> None:
    """Copied file by file in an unlucky order: results first, then the data and sources that they come from."""
    copy = tmp_path / "compresslab"
    for folder in (".snakemake", "results", "workflow", "report", "src", "data", "envs"):
        shutil.copytree(finished / folder, copy / folder, copy_function=shutil.copyfile)
    shutil.copyfile(finished / "config.yaml", copy / "config.yaml")
    later = copy.stat().st_mtime + 100
    for path in (copy / "data").rglob("*"):
        os.utime(path, (later, later))
    assert wanted_in(copy) == []
    assert "Nothing to be done" in snakemake(copy)


def why(project: Path, *arguments: str) -> str:
    return run(["python", "-m", "compresslab.console.cli", "why", *arguments], project)


class TestWhy:
    """`compresslab why TARGET` names the cause."""

    TABLE = "results/tried/tables/scores.csv"

    def test_says_that_a_file_is_up_to_date(self, finished: Path) -> None:
        assert why(finished, self.TABLE) == f"{self.TABLE} is up to date\n"

    def test_names_the_edited_module(self, finished: Path) -> None:
        path = finished / "src" / "compresslab" / "tables" / "speed.py"
        text = path.read_text()
        path.write_text(f"{text}\n_edited = True\n")
        try:
            said = why(finished, self.TABLE)
        finally:
            path.write_text(text)
        assert "module compresslab.tables.speed was edited" in said
        assert said.count("was edited") == 4, "once per lab, and no other module"
        assert "merge: follows from a job above it" in said

    def test_names_the_changed_setting(self, finished: Path) -> None:
        said = why(finished, self.TABLE, "--config", "benchmark-rounds=9")
        assert "setting protocol.rounds: 5 -> 9" in said
        assert "train_torch" not in said

    def test_names_the_missing_file(self, finished: Path) -> None:
        path = finished / self.TABLE
        path.rename(path.with_suffix(".away"))
        try:
            assert f"does not exist yet: {self.TABLE}" in why(finished, self.TABLE)
        finally:
            path.with_suffix(".away").rename(path)

    def test_an_unknown_target_is_told_in_a_line(self, finished: Path) -> None:
        said = run(["python", "-m", "compresslab.console.cli", "why", "nonsense"], finished, fails=True)
        assert "nonsense" in said
        assert "Traceback" not in said


def test_a_broken_configuration_prints_its_mistakes_and_nothing_else(
    tmp_path: Path, copy_project: Callable[[Path], Path]
) -> None:
    project = copy_project(tmp_path / "compresslab")
    config = project / "config.yaml"
    config.write_text(TWO_LABS.replace("epochs: 1", "epoch: 1").replace("scale: full", "scale: ful"))
    done = subprocess.run(
        [Path(sys.executable).parent / "snakemake", "--cores", "1"],
        cwd=project,
        env=environment(project),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    said = done.stderr[done.stderr.index("3 mistakes in the configuration:") :]
    assert len(said.splitlines()) == 4
    assert "config.yaml:1: scale: 'ful' is not one of smoke, quick, full (did you mean 'full'?)" in said
    assert said.count("unknown key (did you mean 'epochs'?)") == 2
