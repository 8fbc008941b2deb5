"""The latency session: every cell of a lab on one host, measured side by side.

A cell is one variant on one engine with one thread count, in a worker process of its own. The session goes over
all cells in rounds, each in a new shuffled order, with one worker at work at a time: whatever changes on the
machine in between then touches all cells alike, and ratios between them stay right. Loading, the first call and
the steady state are separate numbers, and raw samples are kept. Single-stream and offline scenarios after MLPerf
Inference (Reddi et al., 2020), scaled down to a laboratory.
"""

import math
import random
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from compresslab.measure.conversation import Worker, WorkerFailedError, WorkerSkippedError
from compresslab.measure.gpu_state import After, Look, gpu_doubts, look_at
from compresslab.measure.intervals import round_interval, round_quantile_interval
from compresslab.measure.noise import CpuWatch, Disturbance, load_average, noise_reasons
from compresslab.measure.steady import supported_percentiles


@dataclass(frozen=True)
class Cell:
    """What one worker measures: a variant's artifact on an engine with a thread count.

    ``images`` is a ``.npy`` of the test images that it answers, uint8 (N, H, W, C). ``device`` is what the engine
    computes on, ``cpu`` or ``cuda``.
    """

    model: str
    variant: str
    engine: str
    path: Path
    images: Path
    threads: int
    seed: int = 0
    device: str = "cpu"

    @property
    def key(self) -> str:
        """Name of the cell in samples, orders and messages: ``model/variant/engine/threads``."""
        return f"{self.model}/{self.variant}/{self.engine}/{self.threads}"


@dataclass(frozen=True)
class Protocol:
    """How much is measured. ``calls``, ``seconds`` and ``longest_s`` are per cell, shared out over the rounds.

    ``longest_s`` ends the single-image calls of a slow model before it has made ``calls`` of them;
    ``warmup_longest_s`` does so for the warm-up of one round. ``offline_images`` None means all images.
    With ``fresh_workers`` every round starts its workers anew, so that the spread between processes (memory layout,
    thread placement) is part of the intervals and only one worker is alive at a time; without, a worker lives
    through the session.
    """

    rounds: int = 5
    calls: int = 662
    seconds: float = 3.0
    longest_s: float = 120.0
    warmup_calls: int = 50
    warmup_tolerance: float = 0.02
    warmup_longest_s: float = 10.0
    offline_batch: int = 256
    offline_images: int | None = None
    timeout_s: float = 600.0
    fresh_workers: bool = True

    def __post_init__(self) -> None:
        smallest = min(self.rounds, self.calls, self.warmup_calls, self.offline_batch)
        if smallest < 1 or min(self.seconds, self.longest_s, self.timeout_s) <= 0:
            raise ValueError("a latency protocol needs positive rounds, calls, batch and times")


@dataclass
class Measurement:
    """Everything measured of one cell; lists have one entry per round unless said otherwise."""

    cell: Cell
    import_ms: list[float] = field(default_factory=list)
    load_ms: list[float] = field(default_factory=list)
    first_call_ms: list[float] = field(default_factory=list)
    times_ms: list[np.ndarray] = field(default_factory=list)
    round_indices: list[int] = field(default_factory=list)
    offline_images_per_s: list[float] = field(default_factory=list)
    warmed_up: bool = True
    peak_rss_bytes: int = 0
    watch: CpuWatch = field(default_factory=CpuWatch)
    looks: list[Look] = field(default_factory=list)
    """At the GPU, where the cell has one: two in every round."""

    @property
    def samples_ms(self) -> np.ndarray:
        """All single-image calls in the order they were made: (N,) float32."""
        return np.concatenate(self.times_ms).astype(np.float32)

    @property
    def rounds(self) -> np.ndarray:
        """The round of every sample: (N,) int32."""
        return np.repeat(np.asarray(self.round_indices, np.int32), [len(times) for times in self.times_ms])

    @property
    def disturbance(self) -> Disturbance:
        """What the rest of the machine did while this cell was measured."""
        return self.watch.disturbance()

    def row(self, batch: int) -> dict[str, Any]:
        """Return the cell's row of the latency table, without lab and host; unsupported percentiles are NaN."""
        samples = self.samples_ms
        percentiles = supported_percentiles(samples)
        p50 = round_quantile_interval(samples, self.rounds)
        offline = round_interval(np.asarray(self.offline_images_per_s))
        noise = noise_reasons(self.disturbance, [float(np.median(times)) for times in self.times_ms], self.warmed_up)
        noise += gpu_doubts(self.looks)
        return {
            "model": self.cell.model,
            "variant": self.cell.variant,
            "seed": self.cell.seed,
            "engine": self.cell.engine,
            "threads": self.cell.threads,
            "load_ms": float(np.median(self.load_ms)),
            "first_call_ms": float(np.median(self.first_call_ms)),
            "calls": len(samples),
            "p50_ms": p50.estimate,
            "p50_low_ms": p50.low,
            "p50_high_ms": p50.high,
            "p90_ms": percentiles[90],
            "p99_ms": percentiles[99],
            "mean_ms": float(samples.mean(dtype=np.float64)),
            "batch": batch,
            "offline_images_per_s": offline.estimate,
            "offline_low_images_per_s": offline.low,
            "offline_high_images_per_s": offline.high,
            "rounds": len(self.times_ms),
            "peak_rss_bytes": self.peak_rss_bytes,
            "noisy": bool(noise),
            "noise": " ".join(noise),
        }

    def gpu_rows(self) -> list[dict[str, Any]]:
        """Return what was seen of the cell's GPU, for the table of GPU states, without lab and host."""
        identity = {name: getattr(self.cell, name) for name in ("model", "variant", "engine", "threads")}
        return [
            {**identity, "round": look.round, "after": look.after, **asdict(look.state)}
            | {"slowed_by": " ".join(look.state.slowed_by) or "nothing"}
            for look in self.looks
        ]


@dataclass(frozen=True)
class Skipped:
    """A cell without numbers and the reason in words; ``crashed`` when that was not the engine's own word."""

    cell: Cell
    reason: str
    crashed: bool = False
    stderr: str = ""


class SessionFailedError(Exception):
    """Some worker crashed; the message names each cell, what happened, and the worker's last words."""


@dataclass(frozen=True)
class SessionResult:
    """What a session found: measured cells, skipped cells, and the order in which cells had their turns."""

    protocol: Protocol
    measurements: list[Measurement]
    skipped: list[Skipped]
    order: list[tuple[int, str]]
    load_average_before: list[float] | str
    load_average_after: list[float] | str

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per measured cell, for the latency table."""
        return [measurement.row(self.protocol.offline_batch) for measurement in self.measurements]

    def gpu_rows(self) -> list[dict[str, Any]]:
        """Return one row per look at a GPU, for the table of GPU states."""
        return [row for measurement in self.measurements for row in measurement.gpu_rows()]

    def samples(self) -> dict[str, np.ndarray]:
        """Return the raw samples by cell key.

        ``KEY`` holds float32 ms of every call, ``KEY/rounds`` the int32 round of each, ``KEY/offline_images_per_s``
        float32 and ``KEY/offline_rounds`` int32 the throughput of every round.
        """
        arrays: dict[str, np.ndarray] = {}
        for measurement in self.measurements:
            key = measurement.cell.key
            arrays[key] = measurement.samples_ms
            arrays[f"{key}/rounds"] = measurement.rounds
            arrays[f"{key}/offline_images_per_s"] = np.asarray(measurement.offline_images_per_s, np.float32)
            arrays[f"{key}/offline_rounds"] = np.asarray(measurement.round_indices, np.int32)
        return arrays

    def conditions(self) -> dict[str, Any]:
        """Return what a reader needs to judge the session, ready for JSON: protocol, order, loads, disturbances."""
        return {
            "protocol": asdict(self.protocol),
            "order": [[index, key] for index, key in self.order],
            "load_average_before": self.load_average_before,
            "load_average_after": self.load_average_after,
            "cells": {measurement.cell.key: _cell_conditions(measurement) for measurement in self.measurements},
        }

    def raise_failures(self) -> None:
        """Raise SessionFailedError when a worker crashed; call it after the other cells' results are written."""
        crashed = [skip for skip in self.skipped if skip.crashed]
        if crashed:
            told = "\n".join(f"{skip.cell.key}: {skip.reason}\n{_indented(skip.stderr)}" for skip in crashed)
            raise SessionFailedError(f"{len(crashed)} of the session's cells crashed; the others are measured.\n{told}")


def run_session(
    cells: Sequence[Cell], protocol: Protocol, *, seed: int = 0, progress: bool = True, gpu: str | None = None
) -> SessionResult:
    """Measure all cells in interleaved rounds.

    ``seed`` fixes the order of every round; ``gpu`` is the UUID of the board that workers with a GPU compute on. A cell
    whose engine is unavailable, or whose worker crashes or hangs, is skipped with its reason, and the session goes on.
    Raises ValueError when two cells have the same key.
    """
    keys = [cell.key for cell in cells]
    if len(set(keys)) < len(keys):
        repeated = sorted({key for key in keys if keys.count(key) > 1})
        raise ValueError(f"these cells are in the session twice: {', '.join(repeated)}")
    session = _Session(cells, protocol, gpu)
    before = load_average()
    order = list(interleaved(cells, protocol.rounds, seed))
    with ExitStack() as workers:
        for index, cell in _announced(order, progress):
            session.take_turn(index, cell, workers)
    return SessionResult(
        protocol=protocol,
        measurements=[session.measured[key] for key in keys if key in session.measured],
        skipped=[session.skipped[key] for key in keys if key in session.skipped],
        order=[(index, cell.key) for index, cell in order],
        load_average_before=before,
        load_average_after=load_average(),
    )


def interleaved(cells: Sequence[Cell], rounds: int, seed: int) -> Iterator[tuple[int, Cell]]:
    """Yield (round, cell) so that every round has every cell once, in an order of its own that ``seed`` fixes."""
    generator = random.Random(seed)
    for index in range(rounds):
        for cell in generator.sample(list(cells), len(cells)):
            yield index, cell


class _Session:
    def __init__(self, cells: Sequence[Cell], protocol: Protocol, gpu: str | None) -> None:
        self._protocol = protocol
        self._gpu = gpu
        self._workers: dict[str, Worker] = {}
        self._devices = {cell.key: cell.device for cell in cells}
        self.measured = {cell.key: Measurement(cell) for cell in cells}
        self.skipped: dict[str, Skipped] = {}

    def take_turn(self, index: int, cell: Cell, workers: ExitStack) -> None:
        """Give ``cell`` its share of round ``index``, unless it was skipped before."""
        if cell.key in self.skipped:
            return
        try:
            self._measure(index, cell, workers)
        except WorkerSkippedError as error:
            self._skip(Skipped(cell, str(error)))
        except WorkerFailedError as error:
            self._skip(Skipped(cell, str(error), crashed=True, stderr=error.stderr))

    def _measure(self, index: int, cell: Cell, workers: ExitStack) -> None:
        measurement = self.measured[cell.key]
        worker = self._workers.get(cell.key) or self._open(measurement, workers)
        share = self._protocol
        with measurement.watch.watching(worker.process_id):
            warmed = worker.ask(
                "warm_up",
                calls=share.warmup_calls,
                tolerance=share.warmup_tolerance,
                longest_s=share.warmup_longest_s,
            )
            single = worker.ask(
                "measure",
                calls=math.ceil(share.calls / share.rounds),
                seconds=share.seconds / share.rounds,
                longest_s=share.longest_s / share.rounds,
            )
        self._look(measurement, index, "single")
        with measurement.watch.watching(worker.process_id):
            offline = worker.ask("offline", batch=share.offline_batch, images=share.offline_images)
        self._look(measurement, index, "offline")
        measurement.warmed_up &= warmed["stable"]
        measurement.times_ms.append(np.asarray(single["times_ns"], np.float64) / 1e6)
        measurement.round_indices.append(index)
        measurement.offline_images_per_s.append(offline["images"] / offline["seconds"])
        if share.fresh_workers or index == share.rounds - 1:
            self._close(measurement, worker)

    def _look(self, measurement: Measurement, index: int, after: After) -> None:
        """Look at the GPU of a cell that has one. This is work for the CPU, which its watch must not see."""
        if measurement.cell.device != "cuda" or self._gpu is None:
            return
        own = {worker.process_id for key, worker in self._workers.items() if self._devices[key] == "cuda"}
        measurement.looks.append(Look(index, after, look_at(self._gpu, own)))

    def _open(self, measurement: Measurement, workers: ExitStack) -> Worker:
        cell = measurement.cell
        worker = workers.enter_context(Worker(cell.threads, self._protocol.timeout_s))
        self._workers[cell.key] = worker
        timings = worker.ask(
            "open", engine=cell.engine, path=str(cell.path), threads=cell.threads, images=str(cell.images)
        )
        for name in ("import_ms", "load_ms", "first_call_ms"):
            getattr(measurement, name).append(timings[name])
        return worker

    def _close(self, measurement: Measurement, worker: Worker) -> None:
        peak = worker.ask("close")["peak_rss_bytes"]
        measurement.peak_rss_bytes = max(measurement.peak_rss_bytes, peak)
        self._end(measurement.cell.key)

    def _skip(self, skip: Skipped) -> None:
        self.skipped[skip.cell.key] = skip
        del self.measured[skip.cell.key]
        self._end(skip.cell.key)

    def _end(self, key: str) -> None:
        self._workers.pop(key).kill()


def _announced(order: Sequence[tuple[int, Cell]], progress: bool) -> Iterator[tuple[int, Cell]]:
    """Yield the turns and show on standard error where the session is: a bar for people, a line per round for logs."""
    people = sys.stderr.isatty()
    started = time.monotonic()
    with tqdm(total=len(order), disable=not (progress and people), unit="cell", leave=False) as bar:
        for done, (index, cell) in enumerate(order):
            bar.set_description(f"round {index + 1} {cell.model}/{cell.variant} on {cell.engine}")
            if progress and not people and (done == 0 or index > order[done - 1][0]):
                _print_round(index, done, len(order), time.monotonic() - started)
            yield index, cell
            bar.update()


def _print_round(index: int, done: int, turns: int, elapsed_s: float) -> None:
    left = f", about {elapsed_s / done * (turns - done):.0f} s left" if done else ""
    print(f"latency session: round {index + 1}, {done} of {turns} turns done{left}", file=sys.stderr, flush=True)


def _cell_conditions(measurement: Measurement) -> Mapping[str, Any]:
    disturbance = measurement.disturbance
    return {
        "import_ms": measurement.import_ms,
        "load_ms": measurement.load_ms,
        "first_call_ms": measurement.first_call_ms,
        "p50_ms": [float(np.median(times)) for times in measurement.times_ms],
        "offline_images_per_s": measurement.offline_images_per_s,
        "warmed_up": measurement.warmed_up,
        "others_percent": round(100 * disturbance.others_share, 2),
        "stolen_percent": round(100 * disturbance.stolen_share, 2),
    }


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())
