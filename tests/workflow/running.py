"""Commands in a private copy of the project, and the small experiment that they are given."""

import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from compresslab.lineage.code import closure

PROGRAMS = Path(sys.executable).parent


ONE_LAB = """\
languages: [zh-TW, en]
labs:
  mnist-integer:
    dataset: mnist
    models:
      gapcnn:
        train:
          optimizer: {name: adam, lr: 0.01}
        variants:
          torch-fp32: {method: train-torch}
          numpy-fp32: {from: torch-fp32, method: export-numpy}
          numpy-int8-lut: {from: numpy-fp32, method: quantize-numpy, calibration: {images: 64}}
          onnx-fp32: {from: torch-fp32, method: export-onnx}
          onnx-int8: {from: onnx-fp32, method: ptq-onnx, calibration: {images: 64}}
    baseline: numpy-fp32
"""
# The smoke scale, cut down further.
SMALLER = (
    "--config",
    "scale=smoke",
    "seeds=[0,1]",
    "limits={train_images: 400, validation_images: 100, test_images: 200, epochs: 2}",
    "benchmark={rounds: 1, calls: 40, seconds: 0.05, warmup_calls: 5, offline_images: 100}",
)
LAB = "mnist-integer"
MODELS = f"results/smoke/models/{LAB}/gapcnn"

CONDA = Path(__file__).with_name("conda_stand_in") / "bin"

# Python runs this in every process of a job, before its program: it writes down which modules the process has loaded
# in the end, beside its environment and the stamp of its job, which children inherit.
WATCH = """\
import atexit, os, sys
argv = sys.orig_argv
if "--code" in argv:
    os.environ["JOB_STAMP"] = argv[argv.index("--code") + 1]
if "JOB_STAMP" in os.environ and "LOADED_MODULES" in os.environ:
    def note():
        loaded = [name for name in list(sys.modules) if name.partition(".")[0] == "compresslab"]
        with open(f"{os.environ['LOADED_MODULES']}/{os.getpid()}", "a") as file:
            print(os.environ["JOB_STAMP"], sys.prefix, *loaded, file=file)
    atexit.register(note)
"""


@dataclass(frozen=True)
class Run:
    """A copy of the project in which Snakemake has run, and what it said."""

    project: Path
    said: str
    loaded: Path

    def loaded_modules(self) -> tuple[set[str], dict[str, set[str]]]:
        """The stages that ran, and by stage the modules that they loaded and that their code does not declare."""
        stages: set[str] = set()
        undeclared: dict[str, set[str]] = {}
        for entries, _, loaded in self._processes():
            stages.add(entries[0].rpartition(".")[2])
            if surplus := set(loaded) - set(closure(entries)):
                undeclared.setdefault(entries[0], set()).update(surplus)
        return stages, undeclared

    def environments(self) -> dict[str, set[str]]:
        """By stage, the environments that its processes ran in, by the names of their files in `envs/`."""
        files = {path.read_bytes(): path.stem for path in (self.project / "envs").glob("*.yaml")}
        found: dict[str, set[str]] = {}
        for entries, prefix, _ in self._processes():
            described = Path(f"{prefix}.yaml")
            name = files[described.read_bytes()] if described.exists() else prefix
            found.setdefault(entries[0].rpartition(".")[2], set()).add(name)
        return found

    def _processes(self) -> Iterator[tuple[list[str], str, list[str]]]:
        """Of every process: entry modules of its job, its environment's folder, and the modules that it loaded."""
        for line in "".join(path.read_text() for path in self.loaded.iterdir()).splitlines():
            stamp, prefix, *loaded = line.split()
            yield stamp.partition("@")[0].split("+"), prefix, loaded

    @property
    def results(self) -> Path:
        """What the run made."""
        return self.project / "results" / "smoke"


def environment(project: Path, **variables: str) -> dict[str, str]:
    """What a command needs to use the copy's package and this interpreter's programs."""
    path = f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"PYTHONPATH": str(project / "src"), "PATH": path, "NO_COLOR": "1"} | variables


def snakemake(project: Path, *options: str, fails: bool = False, **variables: str) -> str:
    """Run Snakemake in a copy on two cores; all that it says. It must succeed, or fail with status 1."""
    return run(["snakemake", "--cores", "2", *options], project, fails, **variables)


def run(command: Sequence[str], project: Path, fails: bool = False, **variables: str) -> str:
    """Run a command in a copy of the project; its standard output and error together."""
    done = subprocess.run(
        [str(PROGRAMS / command[0]), *command[1:]],
        cwd=project,
        env=environment(project, **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=900,
    )
    if done.returncode != fails:
        pytest.fail(f"{' '.join(command)} ended with status {done.returncode}\n{done.stdout}", pytrace=False)
    return done.stdout


def in_conda(project: Path, *options: str, **variables: str) -> str:
    """Run Snakemake with the stand-in for conda, from an environment of Snakemake and what reads config.yaml."""
    home = project.parent / "conda"
    packages = {"CONDA_STAND_IN_PACKAGES": sysconfig.get_path("purelib")}
    create = [CONDA / "conda", "env", "create", "--file", project / "envs" / "snakemake.yaml", "--prefix", home / "own"]
    subprocess.run([sys.executable, *create], check=True, env=os.environ | packages)
    others = [folder for folder in os.environ["PATH"].split(os.pathsep) if Path(folder) != PROGRAMS]
    path = os.pathsep.join([str(home / "own" / "bin"), str(CONDA), *others])
    command = [home / "own" / "bin" / "snakemake", "--cores", "2", "--use-conda", "--conda-prefix", home, *options]
    return run(list(map(str, command)), project, PATH=path, **packages, **variables)


def watched_run(project: Path, configuration: str, *options: str, conda: bool = False) -> Run:
    """Run a configuration in a copy of the project, and note which modules every job loads, and where."""
    (project / "config.yaml").write_text(configuration)
    (project / "src" / "sitecustomize.py").write_text(WATCH)
    loaded = project.parent / "loaded"
    loaded.mkdir()
    run_it = in_conda if conda else snakemake
    return Run(project, run_it(project, *options, LOADED_MODULES=str(loaded)), loaded)
