"""What all stages promise on the command line: threads, log, the check of the code, failures told in one line."""

import ast
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from compresslab.lineage import code

PROJECT = Path(__file__).resolve().parents[2]
STAGES = sorted(
    path.stem for path in (PROJECT / "src/compresslab/stages").glob("*.py") if "def main(" in path.read_text()
)
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)

STAGE = """
'''A stage for tests.'''
import os
from compresslab.stages.command import log, parser, running

stage = parser(__doc__)
with running(stage) as job:
{body}
"""


def stage(
    folder: Path, body: str, *options: str, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a stage with this body as a process of its own."""
    script = folder / "stage.py"
    script.write_text(STAGE.format(body=textwrap.indent(textwrap.dedent(body), "    ")))
    return subprocess.run(
        [sys.executable, script, *options], env=env, capture_output=True, text=True, check=False, timeout=60
    )


def test_a_training_that_needs_a_gpu_fails_at_once_without_one(tmp_path: Path) -> None:
    """Before it looks at its data, which are not there either."""
    spec = '{"variant": "digits/gapcnn/torch-fp32", "parameters": {"device": "cuda"}}'
    options = [f"--{name}={tmp_path / name}" for name in ("data", "model", "card", "training", "state")]
    done = subprocess.run(
        [sys.executable, "-m", "compresslab.stages.train_torch", *options, f"--spec={spec}"],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    said = done.stderr.splitlines()[0]
    assert said.startswith("error: digits/gapcnn/torch-fp32 has device: cuda, but no NVIDIA GPU is visible: ")
    assert said.endswith("set device: cpu or auto, or run it on a host with a GPU")


@pytest.mark.parametrize("name", STAGES)
def test_every_stage_explains_itself(name: str) -> None:
    """Without a library that reads its number of threads when it is loaded: that number is an option."""
    watched = "import runpy, sys; sys.argv = [sys.argv[1], '--help']\n"
    watched += f"try: runpy.run_module('compresslab.stages.{name}', run_name='__main__')\n"
    watched += (
        "finally: print(*({'numpy', 'torch', 'onnxruntime', 'onnx', 'matplotlib'} & {*sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", watched, name], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip() == "", "the stage loads a library before it knows its threads"
    purpose = ast.get_docstring(ast.parse((PROJECT / f"src/compresslab/stages/{name}.py").read_text()))
    assert purpose
    assert purpose.splitlines()[0] in done.stdout
    for option in ("--spec", "--code", "--threads", "--log"):
        assert option in done.stdout


@pytest.mark.parametrize("name", STAGES)
def test_every_stage_is_run_by_a_rule(name: str) -> None:
    rules = "".join(path.read_text() for path in (PROJECT / "workflow" / "rules").glob("*.smk"))
    assert f"python -m compresslab.stages.{name} " in rules


# The page has a default for everything: called without an option it shows the largest run there is.
@pytest.mark.parametrize("name", sorted(set(STAGES) - {"serve"}))
def test_a_missing_option_ends_before_any_work(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"compresslab.stages.{name}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "the following arguments are required" in done.stderr
    assert "Traceback" not in done.stderr


def test_threads_are_set_before_the_body_runs(tmp_path: Path) -> None:
    done = stage(tmp_path, f"print(*(os.environ[name] for name in {THREAD_VARIABLES}))", "--threads", "3")
    assert done.stdout.split() == ["3"] * len(THREAD_VARIABLES)


def test_threads_are_one_unless_asked_for_whatever_the_environment_says(tmp_path: Path) -> None:
    env = os.environ | dict.fromkeys(THREAD_VARIABLES, "64")
    done = stage(tmp_path, f"print(*(os.environ[name] for name in {THREAD_VARIABLES}))", env=env)
    assert done.stdout.split() == ["1"] * len(THREAD_VARIABLES)


def test_numpy_and_torch_find_their_threads_set(tmp_path: Path) -> None:
    """Thread pools are sized when the libraries are loaded; what they say afterwards is what counts."""
    body = """
    import numpy, torch
    from threadpoolctl import threadpool_info
    print(torch.get_num_threads(), *{pool["num_threads"] for pool in threadpool_info()})
    """
    env = {name: value for name, value in os.environ.items() if name not in THREAD_VARIABLES}
    assert stage(tmp_path, body, "--threads", "1", env=env).stdout.split() == ["1", "1"]
    if (os.cpu_count() or 1) > 1:
        assert stage(tmp_path, body, "--threads", "2", env=env).stdout.split() == ["2", "2"]


def test_the_log_keeps_what_was_said_and_stderr_says_it_too(tmp_path: Path) -> None:
    log = tmp_path / "deep" / "stage.log"
    done = stage(tmp_path, "log.info('%d images', 12)", "--log", str(log))
    assert done.returncode == 0
    assert done.stderr == "12 images\n"
    assert [line.partition(" ")[2] for line in log.read_text().splitlines()][:-1] == ["12 images"]


def test_the_log_ends_with_time_and_memory(tmp_path: Path) -> None:
    log = tmp_path / "stage.log"
    stage(tmp_path, "block = b'x' * 200_000_000", "--log", str(log))
    (memory,) = re.findall(r"done in \d+\.\d s, peak memory (\d+) MB\n$", log.read_text())
    assert 200 < int(memory) < 500


def test_a_failure_puts_its_cause_first_into_the_log_and_ends_with_status_1(tmp_path: Path) -> None:
    log = tmp_path / "stage.log"
    body = "log.info('started')\nraise ValueError('data/x.npz is not a readable array file;\\n  delete it')"
    done = stage(tmp_path, body, "--log", str(log))
    assert done.returncode == 1
    first, *rest = log.read_text().splitlines()
    assert first == "error: data/x.npz is not a readable array file; delete it"
    assert "started" in "".join(rest)
    assert "Traceback" in "".join(rest)
    assert done.stderr.splitlines() == ["started", first], "on a terminal: one line, and no traceback"


def test_without_a_log_the_details_follow_the_cause_on_stderr(tmp_path: Path) -> None:
    done = stage(tmp_path, "raise ValueError('no')")
    assert done.returncode == 1
    assert done.stderr.startswith("error: no\nTraceback")


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        ("open('nowhere/x')", "error: No such file or directory: nowhere/x"),
        ("{}['conv9']", "error: conv9"),
        ("raise RuntimeError", "error: RuntimeError"),
        ("raise OSError('quota')", "error: quota"),
        ("assert False, 'bad shape'", "error: bad shape"),
    ],
)
def test_every_kind_of_error_has_words(body: str, cause: str, tmp_path: Path) -> None:
    done = stage(tmp_path, body, "--log", str(tmp_path / "log"))
    assert (done.returncode, done.stderr.strip()) == (1, cause)


def test_code_that_was_edited_since_stops_the_job_before_its_work(tmp_path: Path) -> None:
    stamp = code.stamp("compresslab.stages.predict")
    other = stamp[:-1] + ("0" if stamp[-1] != "0" else "1")
    done = stage(tmp_path, "print('worked')", "--code", other, "--log", str(tmp_path / "log"))
    assert done.returncode == 1
    assert done.stdout == ""
    assert "compresslab.stages.predict was edited after this job was planned; run snakemake again" in done.stderr
    assert stage(tmp_path, "print('worked')", "--code", stamp).stdout == "worked\n"


def test_a_stamp_of_unknown_modules_is_told(tmp_path: Path) -> None:
    done = stage(tmp_path, "pass", "--code", "compresslab.stages.gone@0123", "--log", str(tmp_path / "log"))
    assert (done.returncode, done.stderr) == (1, "error: there is no module compresslab.stages.gone\n")


@pytest.mark.parametrize("spec", ["{half", ""])
def test_a_slice_that_is_no_json_is_told(spec: str, tmp_path: Path) -> None:
    done = stage(tmp_path, "print('worked')", "--spec", spec)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "argument --spec" in done.stderr


def test_the_slice_reaches_the_body(tmp_path: Path) -> None:
    done = stage(tmp_path, "print(job.spec['名'], job.provenance)", "--spec", '{"名": [1, null]}')
    assert done.stdout == "[1, None] {'spec': {'名': [1, None]}, 'code': None}\n"


def test_options_are_not_abbreviated(tmp_path: Path) -> None:
    """A misspelt option of a command typed by hand is an error, not another option."""
    assert stage(tmp_path, "pass", "--thread", "2").returncode == 2


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_interruption_is_one_line_too(by: signal.Signals, tmp_path: Path) -> None:
    """By Ctrl-C, or by a cluster whose patience ends."""
    script = tmp_path / "stage.py"
    script.write_text(STAGE.format(body="    import time\n    log.info('working')\n    time.sleep(60)"))
    log = tmp_path / "log"
    process = subprocess.Popen([sys.executable, script, "--log", str(log)], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 30
    while not (log.exists() and "working" in log.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(by)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert said == "working\nerror: interrupted\n"
    assert log.read_text().startswith("error: interrupted\n")
