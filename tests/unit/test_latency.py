"""Latency sessions with engines made for the purpose: order, isolation, accidents, and what the numbers mean."""

import math
import textwrap
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fake_gpus import FIRST, FakeSmi

from compresslab.engines.contract import THREAD_VARIABLES
from compresslab.measure import gpu_state, steady
from compresslab.measure.conversation import thread_environment
from compresslab.measure.latency import (
    Cell,
    Measurement,
    Protocol,
    SessionFailedError,
    SessionResult,
    interleaved,
    run_session,
)
from compresslab.measure.noise import Disturbance, noise_reasons
from compresslab.tables.collect import assembled
from compresslab.tables.schemas import GPU_STATES

MakeEngine = Callable[..., str]

SHORT = Protocol(
    rounds=2,
    calls=24,
    seconds=1e-6,
    warmup_calls=4,
    warmup_longest_s=0.2,
    offline_batch=4,
    timeout_s=60.0,
)

ENGINE = """
import os
import numpy as np


class Model:
    def __init__(self, path, threads):
        self.path, self.threads, self.calls = path, threads, 0
        with path.open("a") as log:
            log.write(f"opened {os.environ['OMP_NUM_THREADS']} {os.environ['OMP_WAIT_POLICY']} {threads}\\n")

    def prepare(self, images):
        assert images.dtype == np.uint8
        return images.astype(np.float32)

    def run(self, native):
        self.calls += 1
        BODY
        return native.reshape(len(native), -1)[:, :10]


def open_model(path, threads):
    return Model(path, threads)


def unavailable():
    return UNAVAILABLE
"""


@pytest.fixture
def engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeEngine:
    """Make engines: a function of a name, the body of ``run`` and the reason for being unavailable."""
    package = tmp_path / "modules" / "made"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(package.parent))

    def make(name: str, body: str = "pass", unavailable: str | None = None) -> str:
        body = textwrap.indent(body, " " * 8).strip()
        text = ENGINE.replace("BODY", body).replace("UNAVAILABLE", repr(unavailable))
        (package / f"{name}.py").write_text(text)
        return f"made.{name}"

    return make


@pytest.fixture
def images(tmp_path: Path) -> Path:
    path = tmp_path / "images.npy"
    np.save(path, np.random.default_rng(0).integers(0, 256, size=(10, 8, 8, 1), dtype=np.uint8))
    return path


def cell(tmp_path: Path, engine: str, variant: str = "fp32", threads: int = 1) -> Cell:
    return Cell("net", variant, engine, tmp_path / f"{variant}-{threads}.log", tmp_path / "images.npy", threads)


def session(cells: list[Cell], images: Path, protocol: Protocol = SHORT, seed: int = 0) -> SessionResult:
    assert all(cell.images == images for cell in cells)
    return run_session(cells, protocol, seed=seed, progress=False)


def test_a_session_gives_rows_and_raw_samples(tmp_path: Path, engines: MakeEngine, images: Path) -> None:
    quiet = engines("quiet")
    result = session([cell(tmp_path, quiet), cell(tmp_path, quiet, "int8")], images)
    result.raise_failures()
    assert [row["variant"] for row in result.rows()] == ["fp32", "int8"]
    samples = result.samples()
    for row in result.rows():
        key = f"net/{row['variant']}/{quiet}/1"
        times, rounds = samples[key], samples[f"{key}/rounds"]
        assert (times.dtype, rounds.dtype) == (np.float32, np.int32)
        assert len(times) == len(rounds) == row["calls"] >= SHORT.calls
        assert set(rounds) == {0, 1}
        assert row["p50_low_ms"] <= row["p50_ms"] <= row["p50_high_ms"]
        assert times.min() <= row["p50_ms"] <= times.max()
        assert row["mean_ms"] == pytest.approx(times.mean(dtype=np.float64))
        assert row["offline_low_images_per_s"] <= row["offline_images_per_s"] <= row["offline_high_images_per_s"]
        assert len(samples[f"{key}/offline_images_per_s"]) == row["rounds"] == 2
        assert min(row["load_ms"], row["first_call_ms"], row["peak_rss_bytes"]) > 0
        assert row["noisy"] == bool(row["noise"])


def test_unsupported_percentiles_are_left_out(tmp_path: Path, engines: MakeEngine, images: Path) -> None:
    fast = engines("fast")
    (few,) = session([cell(tmp_path, fast)], images).rows()
    assert few["calls"] < 662
    assert math.isnan(few["p99_ms"])
    (many,) = session(
        [cell(tmp_path, fast)], images, Protocol(rounds=1, calls=662, seconds=0.001, warmup_calls=2)
    ).rows()
    assert many["p50_ms"] <= many["p90_ms"] <= many["p99_ms"]


def test_every_round_has_every_cell_once_in_an_order_that_the_seed_fixes(tmp_path: Path) -> None:
    cells = [cell(tmp_path, "engine", variant) for variant in "abcdef"]
    turns = list(interleaved(cells, 5, seed=7))
    assert Counter(turns) == Counter((index, one) for index in range(5) for one in cells)
    assert [index for index, _ in turns] == sorted(index for index, _ in turns)
    orders = {tuple(one.variant for index, one in turns if index == number) for number in range(5)}
    assert len(orders) > 1
    assert turns == list(interleaved(cells, 5, seed=7))
    assert turns != list(interleaved(cells, 5, seed=8))


def test_the_order_is_recorded_and_is_the_order_of_the_turns(tmp_path: Path, engines: MakeEngine, images: Path) -> None:
    log = tmp_path / "turns.log"
    noted = f"open({str(log)!r}, 'a').write(self.path.name + '\\n')"
    engine = engines("noting", noted)
    cells = [cell(tmp_path, engine, variant) for variant in "abc"]
    result = session(cells, images, seed=3)
    turns = [name for name, _ in groupby(log.read_text().split())]
    expected = [name for name, _ in groupby(key.split("/")[1] + "-1.log" for _, key in result.order)]
    assert turns == expected
    assert result.conditions()["order"] == [[index, key] for index, key in result.order]


@pytest.mark.parametrize(("fresh", "starts"), [(True, 2), (False, 1)])
def test_workers_get_their_threads_before_anything_is_imported(
    tmp_path: Path, engines: MakeEngine, images: Path, fresh: bool, starts: int
) -> None:
    protocol = Protocol(rounds=2, calls=4, seconds=0.001, warmup_calls=2, fresh_workers=fresh)
    measured = cell(tmp_path, engines("quiet"), threads=3)
    session([measured], images, protocol).raise_failures()
    assert measured.path.read_text().splitlines() == ["opened 3 PASSIVE 3"] * starts


def test_every_thread_variable_is_set() -> None:
    environment = thread_environment(2)
    assert {environment[name] for name in THREAD_VARIABLES} == {"2"}


def test_chatter_on_standard_output_breaks_nothing(tmp_path: Path, engines: MakeEngine, images: Path) -> None:
    chatty = engines("chatty", "import os; print('{not json'); os.write(1, b'also from C\\n')")
    result = session([cell(tmp_path, chatty)], images)
    result.raise_failures()
    assert len(result.rows()) == 1


@pytest.mark.usefixtures("images")
def test_the_gpu_of_a_cell_that_has_one_is_looked_at_in_every_round(
    tmp_path: Path, engines: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu_state._known.cache_clear()
    smi = FakeSmi(tmp_path, monkeypatch)
    smi.tell(clocks_event_reasons__active="0x0000000000000004")
    smi.list_processes(90210)
    quiet = engines("quiet")
    cells = [replace(cell(tmp_path, quiet, "on-gpu"), device="cuda"), cell(tmp_path, quiet, "on-cpu")]
    result = run_session(cells, SHORT, progress=False, gpu=FIRST)
    result.raise_failures()
    looks = pd.DataFrame(result.gpu_rows()).assign(lab="digits", host="local")
    looks = assembled(GPU_STATES, [looks])
    assert looks[["variant", "round", "after"]].values.tolist() == [
        ["on-gpu", index, after] for index in (0, 1) for after in ("offline", "single")
    ]
    assert set(looks["slowed_by"]) == {"power-cap"}
    assert set(looks["other_processes"]) == {0}
    noise = {row["variant"]: row["noise"].split() for row in result.rows()}
    assert "gpu-slowed" in noise["on-gpu"]
    assert not [reason for reason in noise["on-cpu"] if reason.startswith("gpu")]


def test_an_unavailable_engine_is_skipped_with_its_reason(tmp_path: Path, engines: MakeEngine, images: Path) -> None:
    absent = engines("absent", unavailable="this machine has no GPU")
    missing = engines("missing")
    (tmp_path / "modules" / "made" / "missing.py").write_text("import a_package_that_nobody_has\n")
    cells = [cell(tmp_path, absent, "a"), cell(tmp_path, missing, "b"), cell(tmp_path, engines("quiet"), "c")]
    result = session(cells, images)
    assert [skip.reason for skip in result.skipped] == [
        "this machine has no GPU",
        "the package a_package_that_nobody_has is not installed",
    ]
    assert [row["variant"] for row in result.rows()] == ["c"]
    result.raise_failures()


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("raise RuntimeError('kernel not found')", "RuntimeError: kernel not found"),
        ("import os, sys; sys.stderr.write('last words\\n'); os._exit(3)", "exit status 3"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
    ],
)
def test_a_crash_costs_its_own_cell_only_and_fails_the_session_at_the_end(
    tmp_path: Path, engines: MakeEngine, images: Path, body: str, told: str
) -> None:
    crashing = engines("crashing", body)
    cells = [cell(tmp_path, crashing, "bad"), cell(tmp_path, engines("quiet"), "good")]
    result = session(cells, images)
    assert [row["variant"] for row in result.rows()] == ["good"]
    (skip,) = result.skipped
    assert told in skip.reason
    with pytest.raises(SessionFailedError, match=r"net/bad/made\.crashing/1") as failure:
        result.raise_failures()
    assert told in str(failure.value)


def test_the_last_words_of_a_crashed_worker_are_told(tmp_path: Path, engines: MakeEngine, images: Path) -> None:
    crashing = engines("crashing", "import os; os.write(1, b'cannot map the weights\\n'); os._exit(3)")
    result = session([cell(tmp_path, crashing)], images)
    with pytest.raises(SessionFailedError, match="cannot map the weights"):
        result.raise_failures()


@pytest.mark.parametrize("fresh", [True, False])
def test_a_crash_in_a_later_round_drops_the_cell(
    tmp_path: Path, engines: MakeEngine, images: Path, fresh: bool
) -> None:
    # The batches come last in a round: the first single image after them is of the second round.
    body = "marker = self.path.with_suffix('.batches')\n"
    body += "assert len(native) > 1 or not marker.exists(), 'the second round'\n"
    body += "if len(native) > 1: marker.touch()"
    protocol = Protocol(rounds=3, calls=30, seconds=1e-6, warmup_calls=4, fresh_workers=fresh, timeout_s=60)
    result = session([cell(tmp_path, engines("late", body))], images, protocol)
    assert not result.rows()
    assert not result.samples()
    assert "the second round" in result.skipped[0].reason


def test_a_hanging_worker_is_stopped_with_its_children(tmp_path: Path, engines: MakeEngine, images: Path) -> None:
    body = f"""
    import subprocess, threading
    child = subprocess.Popen(["sleep", "600"])
    open({str(tmp_path / "child")!r}, "w").write(str(child.pid))
    threading.Event().wait()
    """
    hanging = engines("hanging", textwrap.dedent(body).strip())
    protocol = Protocol(rounds=2, calls=4, seconds=0.001, warmup_calls=2, timeout_s=4)
    cells = [cell(tmp_path, hanging, "hangs"), cell(tmp_path, engines("quiet"), "works")]
    result = session(cells, images, protocol)
    assert [row["variant"] for row in result.rows()] == ["works"]
    assert "gave no answer to 'open' within 4 s" in result.skipped[0].reason
    assert result.skipped[0].crashed
    status = Path("/proc") / (tmp_path / "child").read_text() / "stat"
    assert not status.exists() or status.read_text().split()[2] == "Z"


def test_one_cell_cannot_be_measured_twice(tmp_path: Path, images: Path) -> None:
    with pytest.raises(ValueError, match="twice: net/fp32/engine/1"):
        session([cell(tmp_path, "engine"), cell(tmp_path, "engine")], images)


@pytest.mark.parametrize("wrong", [{"rounds": 0}, {"calls": 0}, {"seconds": 0}, {"offline_batch": 0}])
def test_an_impossible_protocol_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="latency protocol"):
        Protocol(**wrong)


def test_calls_needed_are_those_of_mlperf() -> None:
    assert [steady.calls_needed(percentile) for percentile in (90, 95, 99)] == [64, 130, 662]


def test_percentiles_are_observed_calls() -> None:
    times = np.arange(1.0, 1001.0)
    assert steady.supported_percentiles(times) == {50: 500.0, 90: 900.0, 99: 990.0}
    few = steady.supported_percentiles(times[:64])
    assert few[90] == 58.0
    assert math.isnan(few[99])
    assert math.isnan(steady.supported_percentiles(times[:63])[90])


class Clock:
    """A clock that only calls move on, so that no test waits or depends on the machine."""

    def __init__(self, durations_ms: list[float]) -> None:
        self.now_ns, self.durations, self.made = 0, durations_ms, 0

    def call(self, number: int) -> None:
        assert number == self.made
        self.now_ns += int(self.durations[min(number, len(self.durations) - 1)] * 1e6)
        self.made += 1

    def perf_counter_ns(self) -> int:
        return self.now_ns

    def perf_counter(self) -> float:
        return self.now_ns / 1e9


StartClock = Callable[[list[float]], Clock]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> StartClock:
    def started(durations_ms: list[float]) -> Clock:
        made = Clock(durations_ms)
        monkeypatch.setattr(steady, "time", made)
        return made

    return started


def test_warm_up_ends_when_two_windows_agree(clock: StartClock) -> None:
    made = clock([20.0] * 60 + [1.0] * 100)
    result = steady.warm_up(made.call, calls=50, tolerance=0.02, longest_s=100)
    assert result == steady.WarmUp(50, True)
    made = clock([float(duration) for duration in range(100, 0, -1)] + [1.0])
    result = steady.warm_up(made.call, calls=50, tolerance=0.02, longest_s=100)
    assert result == steady.WarmUp(150, True)


def test_warm_up_gives_up_on_a_call_that_never_settles(clock: StartClock) -> None:
    made = clock([1.1**number for number in range(200)])
    result = steady.warm_up(made.call, calls=50, tolerance=0.02, longest_s=5.0)
    assert not result.stable
    assert result.calls == made.made


def test_sampling_makes_enough_calls_and_takes_enough_time(clock: StartClock) -> None:
    assert len(steady.sample(clock([1.0]).call, calls=100, seconds=0.01, longest_s=10)) == 100
    assert len(steady.sample(clock([1.0]).call, calls=100, seconds=0.5, longest_s=10)) == 500
    assert len(steady.sample(clock([1000.0]).call, calls=100, seconds=0.5, longest_s=10)) == 10
    assert steady.sample(clock([5e4]).call, calls=100, seconds=0.5, longest_s=10).tolist() == [50_000_000_000]


def test_noise_is_named() -> None:
    quiet = Disturbance(watched_s=10.0, others_s=0.0, stolen_s=0.0)
    busy = Disturbance(watched_s=10.0, others_s=1e4, stolen_s=1e4)
    assert noise_reasons(quiet, [1.0, 1.01, 1.02], warmed_up=True) == []
    assert noise_reasons(quiet, [1.0, 1.2, 1.0], warmed_up=True) == ["round-spread"]
    assert noise_reasons(busy, [1.0], warmed_up=False) == ["other-processes", "stolen-time", "unstable-warm-up"]


def test_the_p50_of_a_row_is_the_median_of_its_rounds(tmp_path: Path) -> None:
    measurement = Measurement(
        cell(tmp_path, "engine"),
        load_ms=[3.0, 1.0, 2.0],
        first_call_ms=[1.0],
        times_ms=[np.full(30, 1.0), np.full(30, 2.0), np.full(600, 9.0)],
        round_indices=[0, 1, 2],
        offline_images_per_s=[100.0, 110.0, 90.0],
    )
    row = measurement.row(batch=4)
    assert (row["p50_ms"], row["load_ms"], row["offline_images_per_s"]) == (2.0, 2.0, 100.0)
    assert row["p90_ms"] == 9.0
    assert measurement.rounds.tolist() == [0] * 30 + [1] * 30 + [2] * 600
    assert row["noise"] == "round-spread"
