"""A real Slurm, started here: a run through sbatch, and jobs that fail, hang, swell or are cancelled."""

import re
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import slurm_cluster
import yaml
from processes import until
from running import LAB, ONE_LAB, PROGRAMS, environment
from slurm_cluster import PATIENCE_S, Cluster

pytestmark = [
    pytest.mark.skipif(bool(slurm_cluster.why_not()), reason=f"no Slurm here: {slurm_cluster.why_not()}"),
    pytest.mark.timeout(900),
]

HOST = "bench01"
WHOLE = {
    "torch-fp32": {"method": "train-torch"},
    "onnx-fp32": {"from": "torch-fp32", "method": "export-onnx"},
    "onnx-int8": {"from": "onnx-fp32", "method": "ptq-onnx", "calibration": {"images": 64}},
}
SETTINGS = (
    "scale=smoke",
    "limits={train_images: 300, validation_images: 60, test_images: 60, epochs: 2}",
    "benchmark={host: bench01, rounds: 1, calls: 20, seconds: 0.02, warmup_calls: 5, offline_images: 60}",
)
TROUBLES = ("hangs", "swells", "is-cancelled")

# Python runs this first in every process of the copy. A training notes where it runs; on its first attempt, a variant
# named after a trouble gets into it. One that hangs has written a checkpoint before: a call into C that never gives the
# interpreter back stops all its threads.
TROUBLE = """\
import ctypes, os, pathlib, sys, threading, time
stage = next((word for word in sys.orig_argv if word.startswith("compresslab.stages.train")), "")
if stage and "--state" in sys.orig_argv:
    state = pathlib.Path(sys.orig_argv[sys.orig_argv.index("--state") + 1])
    places = pathlib.Path("places")
    places.mkdir(exist_ok=True)
    variant, seed = state.parts[-2:]
    with (places / f"{variant}.{seed}").open("a") as file:
        print(os.environ.get("SLURMD_NODENAME"), os.environ.get("CUDA_VISIBLE_DEVICES"), time.time(), file=file)
    first = len((places / f"{variant}.{seed}").read_text().splitlines()) == 1

    def hang():
        while not (state / "checkpoint").exists():
            time.sleep(0.01)
        (places / f"{variant}.hung").touch()
        ctypes.PyDLL(None).sleep(3600)

    if first and variant in ("hangs", "is-cancelled"):
        threading.Thread(target=hang, daemon=True).start()
    if first and variant == "swells":
        swollen = b"x" * 2_000_000_000
        time.sleep(60)
"""


@dataclass(frozen=True)
class Done:
    """What Snakemake said on its way through the cluster, and the project that it ran in."""

    project: Path
    status: int
    said: str
    queue: list[dict[str, str]]

    def states(self, rule: str) -> list[str]:
        """How the jobs of a rule ended, in Slurm's words."""
        return sorted(job["state"] for job in self.queue if job["comment"].startswith(f"rule_{rule}"))

    def places(self, variant: str, seed: int = 0) -> list[list[str]]:
        """Of every attempt at a training: its node, the GPUs that it saw, and when it began."""
        return [line.split() for line in (self.project / "places" / f"{variant}.seed-{seed}").read_text().splitlines()]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Two nodes and a controller; the folder's path is short, since a socket's name has to be."""
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder:
        started = Cluster(Path(folder))
        try:
            started.start()
            yield started
        finally:
            started.stop()


def resources(**changed: dict[str, object]) -> list[str]:
    """The profile's resources of its rules, with changes: what is given on the command line replaces them all."""
    profile = yaml.safe_load(Path("workflow/profiles/slurm/profile.yaml").read_text())
    named = profile["set-resources"]
    for rule, facts in changed.items():
        named.setdefault(rule, {}).update(facts)
    return [f"{rule}:{name}={value}" for rule, facts in named.items() for name, value in facts.items()]


def submit(project: Path, *options: str) -> subprocess.Popen[str]:
    """Start Snakemake with the project's own profile; only what takes time is shortened."""
    command = [str(PROGRAMS / "snakemake"), "--workflow-profile", "workflow/profiles/slurm", "--latency-wait", "10"]
    return subprocess.Popen(
        [*command, "--slurm-init-seconds-before-status-checks", "3", *options],
        cwd=project,
        env=environment(project),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def prepared_project(target: Path, variants: dict[str, Any]) -> Path:
    """A copy of the project with one lab of these variants, in one language, whose trainings get into trouble."""
    configuration = yaml.safe_load(ONE_LAB)
    lab = configuration["labs"][LAB]
    lab["models"]["gapcnn"]["variants"] = variants
    del lab["baseline"]
    configuration["languages"] = ["en"]
    (target / "config.yaml").write_text(yaml.safe_dump(configuration, sort_keys=False))
    (target / "src" / "sitecustomize.py").write_text(TROUBLE)
    return target


@pytest.fixture(scope="module")
def whole(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory, copy_project: Callable[[Path], Path]) -> Done:
    """A smoke run up to its tables and one figure, every computing job by sbatch, two seeds."""
    project = prepared_project(copy_project(tmp_path_factory.mktemp("slurm") / "compresslab"), WHOLE)
    cores = {"cpus_per_task": 2}
    running = submit(
        project,
        *("merge", f"results/smoke/figures/{LAB}/en/size_accuracy.svg", "--set-resources"),
        *resources(benchmark=cores, study=cores),
        *("--config", *SETTINGS, "seeds=[0,1]"),
    )
    said, _ = running.communicate(timeout=600)
    return Done(project, running.returncode, said, cluster.queue())


def test_a_run_goes_through_the_queue(whole: Done) -> None:
    assert whole.status == 0, whole.said
    merged = pd.read_csv(whole.project / "results" / "smoke" / "tables" / "scores.csv")
    assert len(merged) == 6
    for rule, jobs in {"prepare": 1, "train_torch": 2, "export_onnx": 2, "predict": 6, "benchmark": 1}.items():
        assert whole.states(rule) == ["COMPLETED"] * jobs, rule
    assert whole.states("fetch") == whole.states("merge") == []


def test_trainings_run_side_by_side_each_with_a_gpu_of_its_own(whole: Done) -> None:
    places = [whole.places("torch-fp32", seed)[0] for seed in (0, 1)]
    assert {node for node, _, _ in places} == {"gpu01"}
    assert {gpus for _, gpus, _ in places} == {"0", "1"}
    begun = [float(moment) for _, _, moment in places]
    assert abs(begun[0] - begun[1]) < 10


def test_speed_is_measured_on_the_named_host(whole: Done) -> None:
    (session,) = [job for job in whole.queue if job["comment"].startswith("rule_benchmark")]
    assert session["node"] == HOST
    latency = pd.read_csv(whole.project / "results" / "smoke" / "tables" / LAB / "latency.csv")
    assert set(latency["host"]) == {HOST}


@pytest.fixture(scope="module")
def troubled(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory, copy_project: Callable[[Path], Path]) -> Done:
    """Trainings that get into all kinds of trouble on their first attempt, on a cluster that has its own."""
    variants: dict[str, Any] = {name: {"method": "train-torch"} for name in TROUBLES}
    variants["needs-a-gpu"] = {"method": "train-torch", "device": "cuda"}
    project = prepared_project(copy_project(tmp_path_factory.mktemp("trouble") / "compresslab"), variants)
    models = [f"results/smoke/models/{LAB}/gapcnn/{name}/seed-0/card.json" for name in variants]
    cluster.set_node("gpu01", "drain")
    limits = {"mem_mb": "1500*attempt", "runtime": 2}
    running = submit(
        project, *models, "--set-resources", *resources(train_torch=limits), "--config", *SETTINGS, "seeds=[0]"
    )
    output: list[str] = []
    reader = threading.Thread(target=lambda: output.extend(running.stdout or []))
    reader.start()

    def jobs(variant: str, state: str) -> list[str]:
        return [job["id"] for job in cluster.queue() if variant in job["comment"] and job["state"] == state]

    try:
        until(lambda: any(job["state"] == "PENDING" and "train" in job["comment"] for job in cluster.queue()), 120)
        cluster.set_node("gpu01", "resume")
        # Both CPUs of the node are taken: nothing begins or ends while the controller is away.
        for name in ("hangs", "is-cancelled"):
            until((project / "places" / f"{name}.hung").exists, 240)
        cluster.stop_controller()
        threading.Event().wait(15)
        cluster.start_controller()
        until(lambda: jobs("is-cancelled", "RUNNING"), PATIENCE_S)
        subprocess.run(["scancel", *jobs("is-cancelled", "RUNNING")], check=True)
        running.wait(timeout=420)
    finally:
        running.kill()
        reader.join()
    return Done(project, running.returncode, "".join(output), cluster.queue())


def test_a_job_that_cannot_succeed_is_named_with_its_cause_and_holds_up_nothing(troubled: Done) -> None:
    assert troubled.status == 1
    assert len(troubled.places("needs-a-gpu")) == 3, "it is tried again twice"
    assert re.search(r"^error: .*(CUDA|GPU)", troubled.said, flags=re.MULTILINE)
    assert re.search(r"Error in rule train_torch", troubled.said)
    log = troubled.project / "results/smoke/logs/train-torch" / LAB / "gapcnn" / "needs-a-gpu" / "seed-0.log"
    assert log.read_text().startswith("error: ")


@pytest.mark.parametrize("variant", TROUBLES)
def test_a_job_in_trouble_is_tried_again_and_succeeds(variant: str, troubled: Done) -> None:
    assert len(troubled.places(variant)) == 2
    assert (troubled.project / "results/smoke/models" / LAB / "gapcnn" / variant / "seed-0" / "card.json").exists()


def test_slurm_ended_them_for_what_they_did(troubled: Done) -> None:
    states = {name: [job["state"] for job in troubled.queue if name in job["comment"]] for name in TROUBLES}
    assert sorted(states["hangs"]) == ["COMPLETED", "TIMEOUT"]
    assert sorted(states["is-cancelled"]) == ["CANCELLED", "COMPLETED"]
    # Without control groups Slurm asks a job to end, says so in its log, and ends it when its time is over.
    assert len(states["swells"]) == 2
    assert "COMPLETED" in states["swells"]
    said = [log.read_text() for log in (troubled.project / ".snakemake" / "slurm_logs").rglob("*swells*/*.log")]
    assert any("exceeded memory limit" in text for text in said)


def test_what_was_taken_up_has_the_same_weights_as_what_ran_through(troubled: Done) -> None:
    folder = troubled.project / "results/smoke/models" / LAB / "gapcnn"
    weights = {name: (folder / name / "seed-0" / "model.safetensors").read_bytes() for name in TROUBLES}
    assert weights["hangs"] == weights["swells"] == weights["is-cancelled"]
    logs = troubled.project / "results/smoke/logs/train-torch" / LAB / "gapcnn"
    for name in ("hangs", "is-cancelled"):
        assert "taking up the training after epoch" in (logs / name / "seed-0.log").read_text()


def test_nothing_is_left_in_the_queue(troubled: Done) -> None:
    assert {job["state"] for job in troubled.queue}.isdisjoint({"PENDING", "RUNNING"})
