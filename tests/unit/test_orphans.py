"""A stage ends with the Snakemake that runs it, and puts things away; a training lives on."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

STAGE = """
'''A stage for tests.'''
import os, time
from pathlib import Path
from compresslab.stages.command import log, parser, running

stage = parser(__doc__)
stage.set_defaults(outlives_snakemake={lives_on})
with running(stage):
    log.info("process %d", os.getpid())
    try:
        time.sleep(30)
    finally:
        Path("put away").touch()
"""
# Stands for Snakemake: says whose child a stage is, and runs two of them side by side.
SNAKEMAKE = """
import os, subprocess, sys, time
os.environ["COMPRESSLAB_SNAKEMAKE"] = str(os.getpid())
for stage in sys.argv[1:]:
    subprocess.Popen([sys.executable, stage, "--log", f"{stage}.log"])
time.sleep(30)
"""


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def said(folder: Path, stage: str) -> str:
    log = folder / f"{stage}.log"
    return log.read_text() if log.exists() else ""


def test_a_stage_ends_with_its_snakemake_and_a_training_lives_on(tmp_path: Path) -> None:
    for name, lives_on in (("predict", False), ("train", True)):
        (tmp_path / name).write_text(STAGE.format(lives_on=lives_on))
    snakemake = subprocess.Popen(
        [sys.executable, "-c", SNAKEMAKE, "predict", "train"], cwd=tmp_path, stderr=subprocess.DEVNULL
    )
    until(lambda: all("process" in said(tmp_path, name) for name in ("predict", "train")))
    training = psutil.Process(int(said(tmp_path, "train").split()[-1]))
    try:
        snakemake.kill()
        snakemake.wait()
        until(lambda: said(tmp_path, "predict").startswith("error: interrupted"))
        assert f"Snakemake (process {snakemake.pid}) has ended, and so does this job" in said(tmp_path, "predict")
        assert (tmp_path / "put away").exists()
        assert training.is_running()
        assert training.status() != psutil.STATUS_ZOMBIE
    finally:
        training.kill()


def test_a_stage_that_begins_after_its_snakemake_has_ended_does_nothing(tmp_path: Path) -> None:
    (tmp_path / "predict").write_text(STAGE.format(lives_on=False))
    ended = subprocess.Popen(["true"])
    ended.wait()
    env = os.environ | {"COMPRESSLAB_SNAKEMAKE": str(ended.pid)}
    done = subprocess.run(
        [sys.executable, "predict"], cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=20
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: Snakemake (process {ended.pid}) ended before this job began; run it again\n")
    assert not (tmp_path / "put away").exists()


SESSION = """
from compresslab.measure.conversation import Worker
with Worker(1, 60) as worker:
    print(worker.process_id, flush=True)
    worker.ask("open", engine="busy.engine", path="model", threads=1, images="images.npy")
"""
ENGINE = """
import time
def unavailable():
    open("at work", "w").close()
    time.sleep(30)
"""


def test_a_busy_worker_ends_with_its_session(tmp_path: Path) -> None:
    """Else it would be beside the next session, until it has finished what nobody will read."""
    (tmp_path / "busy").mkdir()
    (tmp_path / "busy" / "__init__.py").touch()
    (tmp_path / "busy" / "engine.py").write_text(ENGINE)
    session = subprocess.Popen(
        [sys.executable, "-c", SESSION],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
        stdout=subprocess.PIPE,
        text=True,
    )
    worker = psutil.Process(int(session.stdout.readline()))
    until((tmp_path / "at work").exists)
    session.send_signal(signal.SIGKILL)
    session.wait()
    until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)
