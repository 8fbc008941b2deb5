"""Whatever is killed, at whatever moment: the same bits in the end, one writer, nothing left lying about."""

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from processes import PATIENCE_S, command, has_ended, kill_all, until
from running import LAB, MODELS, ONE_LAB, PROGRAMS, SMALLER, environment, snakemake

VARIANT = "mnist-integer/gapcnn/torch-fp32/seed-0"
# Epochs of about half a second each: time enough to be killed in the middle.
EPOCHS = 5
SETTINGS = (
    "scale=smoke",
    "seeds=[0]",
    f"limits={{train_images: 2000, validation_images: 100, test_images: 200, epochs: {EPOCHS}}}",
)
OUTPUTS = ("model.safetensors", "training.csv", "card.json")

# Python runs this first in every process of the copy. A file `hold` names an output; when that one is complete and only
# its renaming is left, its process says so and waits to be killed.
HOLD = """\
import os, pathlib, time
replace = pathlib.Path.replace
def held(self, target):
    hold = pathlib.Path("hold")
    if hold.exists() and pathlib.Path(target).name == hold.read_text():
        hold.rename("held")
        time.sleep(60)
    return replace(self, target)
pathlib.Path.replace = held
"""


class Workshop:
    """A copy of the project with prepared data; every training is a run of its own name, with the same settings."""

    def __init__(self, project: Path):
        self.project = project
        self.runs: list[psutil.Process] = []

    def options(self, run: str) -> list[str]:
        return [f"results/{run}/models/{VARIANT}/model.safetensors", "--config", *SETTINGS, f"run={run}"]

    def start(self, run: str) -> psutil.Process:
        """Start Snakemake on a training, in a session of its own."""
        command = [str(PROGRAMS / "snakemake"), "--cores", "1", *self.options(run)]
        process = subprocess.Popen(
            command,
            cwd=self.project,
            env=environment(self.project),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.runs.append(psutil.Process(process.pid))
        return self.runs[-1]

    def finish(self, run: str) -> None:
        """Take the run up again, as a person would."""
        snakemake(self.project, "--unlock", *self.options(run))
        snakemake(self.project, *self.options(run))

    def orphaned(self, snakemake_process: psutil.Process, training: psutil.Process) -> None:
        """Kill a Snakemake and not its training, which is held up so that the next Snakemake finds it at work."""
        training.suspend()
        snakemake_process.kill()
        snakemake_process.wait(PATIENCE_S)
        assert not has_ended(training)
        snakemake(self.project, "--unlock")

    def training(self, snakemake_process: psutil.Process) -> psutil.Process:
        """The process that trains below a Snakemake, when it has started."""

        def found() -> psutil.Process | None:
            for process in snakemake_process.children(recursive=True):
                # A shell that has not yet given its place to the training names it as well.
                if re.match(r"\S*python\S* -m compresslab\.stages\.train_torch", command(process)):
                    return process
            return None

        return until(found)

    def log(self, run: str) -> str:
        path = self.project / "results" / run / "logs" / "train-torch" / f"{VARIANT}.log"
        return path.read_text() if path.exists() else ""

    def until_epoch(self, run: str, epoch: int) -> None:
        until(lambda: f"epoch {epoch}/{EPOCHS}:" in self.log(run))

    def outputs(self, run: str) -> dict[str, bytes]:
        """The training's files; of the curve what does not depend on a clock."""
        folder = self.project / "results" / run / "models" / VARIANT
        contents = {name: (folder / name).read_bytes() for name in OUTPUTS}
        contents["training.csv"] = re.sub(rb",[^,]*$", b"", contents["training.csv"], flags=re.MULTILINE)
        return contents

    def leftovers(self, run: str) -> list[str]:
        """Files of a run that nobody asked for."""
        results = self.project / "results" / run
        wanted = {results / "models" / VARIANT / name for name in OUTPUTS}
        wanted |= set((results / "logs").rglob("*.log"))
        return [str(path.relative_to(results)) for path in results.rglob("*") if path.is_file() and path not in wanted]


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory, copy_project: Callable[[Path], Path]) -> Iterator[Workshop]:
    project = copy_project(tmp_path_factory.mktemp("workshop") / "compresslab")
    (project / "config.yaml").write_text(ONE_LAB)
    (project / "src" / "sitecustomize.py").write_text(HOLD)
    workshop = Workshop(project)
    yield workshop
    for process in workshop.runs:
        if process.is_running():
            kill_all(process)


@pytest.fixture(scope="module")
def undisturbed(workshop: Workshop) -> dict[str, bytes]:
    """What a training gives that nobody disturbs."""
    snakemake(workshop.project, *workshop.options("undisturbed"))
    assert workshop.leftovers("undisturbed") == []
    return workshop.outputs("undisturbed")


def test_a_killed_training_goes_on_where_it_stopped(workshop: Workshop, undisturbed: dict[str, bytes]) -> None:
    whole = workshop.start("job")
    workshop.until_epoch("job", 2)
    workshop.training(whole).kill()
    assert whole.wait(PATIENCE_S) == 1, "Snakemake itself ends as with any failed job"
    snakemake(workshop.project, *workshop.options("job"))
    assert re.search(rf"taking up the training after epoch [23] of {EPOCHS}", workshop.log("job"))
    assert workshop.outputs("job") == undisturbed
    assert workshop.leftovers("job") == []


@pytest.mark.parametrize("moment", ["before the first epoch", "in the middle"])
def test_a_killed_machine_goes_on_where_it_stopped(
    moment: str, workshop: Workshop, undisturbed: dict[str, bytes]
) -> None:
    run = f"machine-{len(moment)}"
    whole = workshop.start(run)
    workshop.training(whole)
    if moment == "in the middle":
        workshop.until_epoch(run, 3)
    kill_all(whole)
    workshop.finish(run)
    assert ("taking up the training" in workshop.log(run)) == (moment == "in the middle")
    assert workshop.outputs(run) == undisturbed
    assert workshop.leftovers(run) == []


def test_a_training_whose_snakemake_was_killed_is_waited_for(workshop: Workshop, undisturbed: dict[str, bytes]) -> None:
    whole = workshop.start("orphan")
    orphan = workshop.training(whole)
    workshop.until_epoch("orphan", 2)
    workshop.orphaned(whole, orphan)
    second = workshop.start("orphan")
    until(lambda: f"waiting: process {orphan.pid} on " in workshop.log("orphan"))
    orphan.resume()
    assert second.wait(PATIENCE_S) == 0
    # It gives up its lock when its files are whole; the interpreter's own end comes a moment later.
    until(lambda: has_ended(orphan))
    assert "an earlier process finished this training while it was waited for" in workshop.log("orphan")
    assert workshop.outputs("orphan") == undisturbed
    assert workshop.leftovers("orphan") == []


def test_of_two_that_are_killed_one_after_the_other_the_third_finishes(
    workshop: Workshop, undisturbed: dict[str, bytes]
) -> None:
    """Snakemake is killed, its successor waits for the orphan; then the orphan dies, too."""
    first = workshop.start("two")
    orphan = workshop.training(first)
    workshop.until_epoch("two", 1)
    workshop.orphaned(first, orphan)
    second = workshop.start("two")
    until(lambda: "waiting: process" in workshop.log("two"))
    orphan.kill()
    assert second.wait(PATIENCE_S) == 0
    assert "taking up the training after epoch" in workshop.log("two")
    assert workshop.outputs("two") == undisturbed
    assert workshop.leftovers("two") == []


@pytest.mark.parametrize("name", ["model.safetensors", "card.json"])
def test_killed_while_a_result_is_written(name: str, workshop: Workshop, undisturbed: dict[str, bytes]) -> None:
    """The file is complete under its temporary name; its renaming never comes."""
    run = f"writing-{name.partition('.')[0]}"
    (workshop.project / "hold").write_text(name)
    whole = workshop.start(run)
    until((workshop.project / "held").exists)
    kill_all(whole)
    (workshop.project / "held").unlink()
    assert not (workshop.project / "results" / run / "models" / VARIANT / name).exists()
    workshop.finish(run)
    assert workshop.outputs(run) == undisturbed
    assert workshop.leftovers(run) == []


PREDICTIONS = f"results/smoke/predictions/{LAB}/gapcnn"
INTERMEDIATE = {
    "data/prepared/embedded/mnist.npz": f"{PREDICTIONS}/numpy-fp32/seed-0.npz",
    f"{MODELS}/torch-fp32/seed-0/model.safetensors": f"{PREDICTIONS}/torch-fp32/seed-0.npz",
    f"{MODELS}/numpy-fp32/seed-0/model.npz": f"{PREDICTIONS}/numpy-fp32/seed-0.npz",
    f"{MODELS}/onnx-int8/seed-0/model.onnx": f"{PREDICTIONS}/onnx-int8/seed-0.npz",
    f"{PREDICTIONS}/onnx-int8/seed-0.npz": f"results/smoke/tables/{LAB}/scores.csv",
    f"results/smoke/costs/{LAB}/gapcnn/onnx-int8.json": f"results/smoke/tables/{LAB}/costs.csv",
}


@pytest.mark.parametrize("broken", INTERMEDIATE, ids=lambda path: path.removeprefix("results/smoke/").replace("/", "-"))
def test_a_truncated_file_is_named_by_the_first_job_that_reads_it(broken: str, run_to_spoil: Path) -> None:
    path = run_to_spoil / broken
    os.truncate(path, path.stat().st_size * 2 // 3)
    said = snakemake(run_to_spoil, INTERMEDIATE[broken], "--allowed-rules", "predict", "collect", *SMALLER, fails=True)
    (cause,) = [line for line in said.splitlines() if line.strip().startswith("error: ")][:1]
    assert broken in cause
    (log,) = {Path(name) for name in re.findall(r"log: (results/\S+\.log)", said)}
    assert (run_to_spoil / log).read_text().splitlines()[0] == cause.strip()


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
def test_results_that_cannot_be_written_are_told_in_a_line(run_to_spoil: Path) -> None:
    folder = run_to_spoil / PREDICTIONS / "numpy-fp32"
    folder.chmod(0o500)
    try:
        said = snakemake(
            run_to_spoil, f"{PREDICTIONS}/numpy-fp32/seed-0.npz", "--forcerun", "predict", *SMALLER, fails=True
        )
    finally:
        folder.chmod(0o700)
    assert "Permission denied" in said
    assert str(folder.relative_to(run_to_spoil)) in said
