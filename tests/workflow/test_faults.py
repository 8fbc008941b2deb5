"""Processes, disks, files and clocks fail: it is told in words, nothing is lost, and the tables stay the same.

Processes are killed at random. `COMPRESSLAB_FAULT_KILLS` says how often, and `COMPRESSLAB_FAULT_SEED` repeats the
choices of an earlier test, which prints its seed.
"""

import csv
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import psutil
import pytest
from comparing import EXACT, different_files, different_tables, tables
from processes import PATIENCE_S, command, marked, until
from running import LAB, MODELS, PROGRAMS, SMALLER, environment, snakemake
from safetensors import safe_open

from compresslab.arrays import read_arrays

KILLS = int(os.environ.get("COMPRESSLAB_FAULT_KILLS", "2"))
SEED = int(os.environ.get("COMPRESSLAB_FAULT_SEED") or np.random.SeedSequence().generate_state(1)[0])
MARK = "COMPRESSLAB_FAULT_RUN"

VARIANT = f"{LAB}/lenet5/numpy-fp32"
CONFIGURATION = f"""\
labs:
  {LAB}:
    dataset: mnist
    models:
      lenet5:
        train: {{optimizer: {{name: adam, lr: 0.01}}}}
        variants:
          numpy-fp32: {{method: train-numpy}}
          numpy-int8: {{from: numpy-fp32, method: quantize-numpy, calibration: {{images: 64}}}}
"""
EPOCHS = 5
SETTINGS = (
    "--config",
    "scale=smoke",
    "seeds=[0]",
    f"limits={{train_images: 4000, validation_images: 100, test_images: 200, epochs: {EPOCHS}}}",
    "benchmark={threads: [1], rounds: 1, calls: 40, seconds: 0.05, warmup_calls: 5, offline_images: 100}",
)

# Python runs this first in every process of the copy: the time goes forth and back by a day, from second to second.
JUMPING_CLOCK = """\
import time
steady = time.time
time.time = lambda: steady() + 86400 * (int(steady()) % 3 - 1)
"""


@dataclass(frozen=True)
class Whole:
    """A run that nobody disturbed, and the seconds that it took."""

    project: Path
    seconds: float

    @property
    def results(self) -> Path:
        return self.project / "results" / "smoke"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, copy_project: Callable[[Path], Path]) -> Whole:
    """The experiment up to its tables."""
    project = copy_project(tmp_path_factory.mktemp("undisturbed") / "compresslab")
    (project / "config.yaml").write_text(CONFIGURATION)
    began = time.monotonic()
    snakemake(project, "merge", *SETTINGS)
    return Whole(project, time.monotonic() - began)


def start(project: Path, *options: str) -> psutil.Popen:
    """Start Snakemake in a session of its own; its processes carry a mark, by which orphans are found as well."""
    with (project.parent / "said").open("a") as said:
        return psutil.Popen(
            [PROGRAMS / "snakemake", "--cores", "2", *options],
            cwd=project,
            env=environment(project, **{MARK: str(project)}),
            stdout=said,
            stderr=said,
            start_new_session=True,
        )


class Disturbed:
    """A copy of the project whose run is killed, and taken up again as a person would."""

    def __init__(self, project: Path, chance: np.random.Generator, longest_s: float):
        self.project, self._chance, self._longest_s = project, chance, longest_s

    def kill(self) -> bool:
        """Run until a random moment, then kill a job, Snakemake or both; false if the run has ended before."""
        whole = start(self.project, "merge", *SETTINGS)
        try:
            status = whole.wait(self._chance.uniform(0.5, self._longest_s))
        except psutil.TimeoutExpired:
            pass
        else:
            assert status == 0, (self.project.parent / "said").read_text()
            return False
        victims = self._victims(whole)
        print(f"killing {', '.join(victims.values())}")
        for process in victims:
            process.kill()
        require_whole_files(self.project / "results")
        whole.wait(PATIENCE_S)
        if whole in victims:
            snakemake(self.project, "--unlock", *SETTINGS)
        # Trainings alone live on; the next run waits for them. Others would still be at work.
        until(lambda: all("stages.train" in command(orphan) for orphan in self.alive()), patience_s=8)
        return True

    def finish(self) -> None:
        """Run to the end; nobody is left of all that were killed and taken up."""
        snakemake(self.project, "merge", *SETTINGS, **{MARK: str(self.project)})
        until(lambda: not self.alive())

    def alive(self) -> list[psutil.Process]:
        return marked(MARK, str(self.project))

    def _victims(self, whole: psutil.Process) -> dict[psutil.Process, str]:
        jobs = [process for process in self.alive() if "-m compresslab." in command(process)]
        chosen = self._chance.choice(["a job", "Snakemake", "both"])
        victims = {} if jobs and chosen == "a job" else {whole: "Snakemake"}
        if jobs and chosen != "Snakemake":
            job = jobs[self._chance.integers(len(jobs))]
            victims[job] = re.search(r"-m compresslab\.\w+\.(\w+)", command(job))[1]
        return victims


def require_whole_files(results: Path) -> None:
    """Read every file that has its final name."""
    for path in results.rglob("[!.]*.*"):
        try:
            READERS.get(path.suffix, Path.read_bytes)(path)
        except FileNotFoundError:
            continue


def read_table(path: Path) -> None:
    text = path.read_text()
    assert text.endswith("\n"), path
    assert len({len(row) for row in csv.reader(text.splitlines())}) == 1, path


READERS = {
    ".npz": read_arrays,
    ".json": lambda path: json.loads(path.read_text()),
    ".csv": read_table,
    ".safetensors": lambda path: safe_open(path, framework="np"),
    ".onnx": onnx.load,
}


def leftovers(project: Path) -> list[str]:
    """Temporary files, states and locks that no run leaves when it is done."""
    hidden = chain((project / "results").rglob(".*"), (project / "data").rglob(".*"))
    found = [path for path in hidden if path.name not in (".gitignore", ".snakemake_timestamp")]
    for folder in ("results/smoke/state", ".snakemake/locks", ".snakemake/incomplete"):
        found += [path for path in (project / folder).rglob("*") if path.is_file()]
    return [str(path.relative_to(project)) for path in found]


def require_same(results: Path, undisturbed: Path) -> None:
    assert different_tables(results, undisturbed) == []
    for kind in EXACT:
        assert different_files(results, undisturbed, kind) == []


def require_no_negative_time(results: Path) -> None:
    for path in tables(results).values():
        table = pd.read_csv(path)
        times = [name for name in table.select_dtypes("number") if name.endswith(("_s", "_ms"))]
        assert (table[times].fillna(0) >= 0).all(axis=None), path


def test_killed_at_random_moments_under_a_jumping_clock(
    undisturbed: Whole, tmp_path: Path, copy_project: Callable[[Path], Path]
) -> None:
    print(f"COMPRESSLAB_FAULT_SEED={SEED}")
    chance, kills = np.random.default_rng(SEED), 0
    for attempt in count():
        project = copy_project(tmp_path / str(attempt) / "compresslab")
        (project / "config.yaml").write_text(CONFIGURATION)
        (project / "src" / "sitecustomize.py").write_text(JUMPING_CLOCK)
        disturbed = Disturbed(project, chance, undisturbed.seconds)
        while kills < KILLS and disturbed.kill():
            kills += 1
        disturbed.finish()
        require_same(project / "results" / "smoke", undisturbed.results)
        require_no_negative_time(project / "results" / "smoke")
        assert leftovers(project) == []
        shutil.rmtree(project)
        if kills == KILLS:
            break


# In a mount namespace of its own, an ordinary user may mount, too, and nothing stays mounted.
ALONE = ("unshare", "--user", "--map-root-user", "--mount", "bash", "-euc")
needs_mounts = pytest.mark.skipif(
    shutil.which("unshare") is None
    or subprocess.run([*ALONE, "mount -t tmpfs none /mnt"], check=False, stderr=subprocess.DEVNULL).returncode != 0,
    reason="this system lets nobody mount a file system of his own",
)


def with_mounts(project: Path, script: str, *arguments: str) -> str:
    """Run a script in a copy of the project, in which it may mount what it likes; its output and errors together."""
    said = subprocess.run(
        [*ALONE, script, "bash", *arguments],
        cwd=project,
        env=environment(project),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
    )
    assert said.returncode == 0, said.stdout
    return said.stdout


MODEL = f"{VARIANT}/seed-0/model.npz"

# A checkpoint fits beside the data of the run, and a second one does not.
FULL_DISK = """
mkdir results/full
mount -t tmpfs -o size=800k none results/full
! snakemake --cores 1 results/full/models/$MODEL "$@" run=full
ls -A results/full/state/*/*/*/*
mount -o remount,size=1g results/full
echo --- room ---
snakemake --cores 1 results/full/models/$MODEL "$@" run=full
cat results/full/logs/train-numpy/*/*/*/*.log
cp -r results/full results/kept
"""


@needs_mounts
def test_a_full_disk_costs_a_training_one_epoch(undisturbed: Whole) -> None:
    """It is told in a line, the checkpoint before stays, and with room the training goes on to the same bits."""
    said = with_mounts(undisturbed.project, FULL_DISK.replace("$MODEL", MODEL), *SETTINGS)
    full, _, room = said.partition("--- room ---")
    state = f"results/full/state/{VARIANT}/seed-0"
    assert f"error: No space left on device: {state}/checkpoint; make room and run again" in full
    assert sorted(full.split()[-3:]) == ["checkpoint", "lock", "owner.json"], "no temporary file"
    assert f"taking up the training after epoch 1 of {EPOCHS}" in room
    kept = undisturbed.project / "results" / "kept"
    for name in (MODEL, MODEL.replace("model.npz", "card.json")):
        assert (kept / "models" / name).read_bytes() == (undisturbed.results / "models" / name).read_bytes()


READ_ONLY = """
mount --bind $1 $1
mount -o remount,bind,ro $1
shift
! "$@"
"""


@needs_mounts
def test_read_only_results_are_told_in_a_line(undisturbed: Whole) -> None:
    folder, name = "results/smoke/predictions", f"results/smoke/predictions/{VARIANT}/seed-0.npz"
    made, kept = undisturbed.project / name, undisturbed.project / "kept.npz"
    made.rename(kept)
    try:
        said = with_mounts(undisturbed.project, READ_ONLY, folder, "snakemake", "--cores", "1", name, *SETTINGS)
    finally:
        kept.rename(made)
    assert f"error: Read-only file system: {Path(name).parent}; this run has to write there" in said
    assert "Traceback" not in said


@needs_mounts
def test_a_read_only_project_is_told_in_a_line(undisturbed: Whole) -> None:
    """Snakemake writes its locks even when it is only asked what there is to do."""
    said = with_mounts(undisturbed.project, READ_ONLY, ".", "snakemake", "-n", "merge", *SETTINGS)
    assert f"error: Read-only file system: {undisturbed.project}/.snakemake; this run has to write there" in said
    assert "Traceback" not in said


def test_a_flipped_bit_in_a_model_is_noticed_before_it_reaches_a_table(run_to_spoil: Path) -> None:
    """The formats of PyTorch and ONNX have no checksum: most flips make another network, and nothing else."""
    chance = np.random.default_rng(0)
    targets = []
    for variant, name in {"torch-fp32": "model.safetensors", "onnx-int8": "model.onnx"}.items():
        path = run_to_spoil / MODELS / variant / "seed-0" / name
        content = bytearray(path.read_bytes())
        content[chance.integers(len(content) // 2, len(content))] ^= 1 << chance.integers(8)
        path.write_bytes(content)
        targets.append(f"results/smoke/predictions/{LAB}/gapcnn/{variant}/seed-0.npz")
    said = snakemake(run_to_spoil, *targets, "--keep-going", "--allowed-rules", "predict", *SMALLER, fails=True)
    for variant, name in {"torch-fp32": "model.safetensors", "onnx-int8": "model.onnx"}.items():
        assert f"error: {MODELS}/{variant}/seed-0/{name} is not the file that" in said


def test_files_from_the_future_make_nothing_anew_and_hold_nothing_up(undisturbed: Whole, tmp_path: Path) -> None:
    """The clock was a day ahead when they were made."""
    project = tmp_path / "compresslab"
    shutil.copytree(undisturbed.project, project, symlinks=True)
    tomorrow = time.time() + 86400
    for folder in ("data", "results"):
        for path in (project / folder).rglob("*"):
            os.utime(path, (tomorrow, tomorrow))
    prediction = f"results/smoke/predictions/{VARIANT}/seed-0.npz"
    (project / prediction).unlink()
    said = snakemake(project, prediction, *SETTINGS)
    assert "warning   times in the future, set to the present: data/prepared/embedded/mnist.npz" in said
    assert "1 of 1 steps (100%) done" in said
    require_same(project / "results" / "smoke", undisturbed.results)
    assert "Nothing to be done" in snakemake(project, "-n", "merge", *SETTINGS)


def test_a_second_snakemake_is_told_who_holds_the_project(undisturbed: Whole) -> None:
    project, options = undisturbed.project, (f"results/two/models/{MODEL}", *SETTINGS, "run=two")
    first = start(project, *options)
    log = project / "results" / "two" / "logs" / "train-numpy" / VARIANT / "seed-0.log"
    until(lambda: log.exists() and "epoch 1/" in log.read_text())
    (training,) = (process for process in marked(MARK, str(project)) if "stages.train_numpy" in command(process))
    training.suspend()
    try:
        said = snakemake(project, *options, fails=True)
    finally:
        training.resume()
    words = " ".join(said.split())
    assert "make sure that no other Snakemake process is trying to create the same files" in words
    assert f"in the following directory: {project}" in words
    assert first.wait(PATIENCE_S) == 0
    model = Path("models") / MODEL
    assert (project / "results" / "two" / model).read_bytes() == (undisturbed.results / model).read_bytes()
