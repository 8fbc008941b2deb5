"""Run one latency session: every variant of a lab on its engines, side by side, alone on this machine."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compresslab.stages.command import Job, add_variants, log, parser, running

if TYPE_CHECKING:
    from compresslab.measure.audit_row import Row
    from compresslab.measure.latency import Cell


def main() -> None:
    """Write the session's table, raw samples, audit, skipped cells and the fingerprint of the host."""
    stage = parser(__doc__)
    stage.add_argument("--data", type=Path, nargs="+", required=True, help="the prepared dataset of every cell (.npz)")
    add_variants(stage, "--models", "the artifact of every cell of the slice", nargs="+", required=True)
    stage.add_argument("--out", type=Path, required=True, help="latency table (.csv)")
    stage.add_argument("--samples", type=Path, required=True, help="raw samples (.npz)")
    stage.add_argument("--audit", type=Path, required=True, help="executed graph of the integer variants (.csv)")
    stage.add_argument("--host", type=Path, required=True, help="fingerprint of this machine (.json)")
    stage.add_argument("--skipped", type=Path, required=True, help="cells that could not run, with reasons (.csv)")
    stage.add_argument("--gpu-states", type=Path, required=True, help="GPU of every turn that had one (.csv)")
    with running(stage) as job:
        # Before any time is spent on measuring: a variant that is not what it promises needs no stopwatch.
        _audit(job)
        _measure(job)


def _measure(job: Job) -> None:
    import numpy as np

    from compresslab.arrays import write_arrays
    from compresslab.artifacts import write_json
    from compresslab.config.inventory import engine_device
    from compresslab.data.prepared import read_split
    from compresslab.measure.host import fingerprint, usable_cores
    from compresslab.measure.latency import Cell, Protocol, run_session

    options, spec = job.options, job.spec
    settings = dict(spec["protocol"])
    host, wanted = settings.pop("host"), settings.pop("threads")
    counts = sorted({usable_cores() if count == "all" else int(count) for count in wanted})
    machine = fingerprint(host)
    with tempfile.TemporaryDirectory() as folder:
        images: dict[Path, Path] = {}
        for data in options.data:
            if data not in images:
                images[data] = Path(folder) / f"{len(images)}.npy"
                np.save(images[data], read_split(data, "test", settings["offline_images"]).images)
        cells = [
            Cell(
                cell["model"],
                cell["variant"],
                cell["engine"],
                path,
                images[data],
                threads,
                spec["seed"],
                engine_device(cell["engine"]),
            )
            for cell, path, data in zip(spec["cells"], options.models, options.data, strict=True)
            for threads in counts
        ]
        with _gpu_for(cells) as gpu:
            session = run_session(cells, Protocol(**settings), seed=spec["seed"], gpu=gpu)
    identity = {"lab": spec["lab"], "host": host}
    _write(options.out, "latency", [identity | row for row in session.rows()])
    write_arrays(options.samples, session.samples(), compress=True)
    write_json(options.host, machine | {"session": session.conditions()})
    _write(options.gpu_states, "gpu_states", [identity | row for row in session.gpu_rows()])
    # A cell is an engine and a thread count; the reason that an engine cannot run is the same for all counts.
    skipped = {
        (skip.cell.model, skip.cell.variant, skip.cell.engine): skip.reason for skip in reversed(session.skipped)
    }
    _write(
        options.skipped,
        "skipped",
        [
            {**identity, "model": model, "variant": variant, "engine": engine, "reason": reason}
            for (model, variant, engine), reason in sorted(skipped.items())
        ],
    )
    log.info("%d cells measured, %d skipped", len(session.measurements), len(session.skipped))
    session.raise_failures()


@contextmanager
def _gpu_for(cells: "Sequence[Cell]") -> Iterator[str | None]:
    """Hold one GPU for the whole session, if a cell needs one and there is one; yield the UUID of its board."""
    from compresslab.train import gpus

    if all(cell.device == "cpu" for cell in cells) or gpus.absence():
        # A worker that needs a GPU says itself that there is none.
        yield None
        return
    with gpus.one_for_children(log.info) as gpu:
        yield gpu.board


def _audit(job: Job) -> None:
    rows: list[dict[str, Any]] = []
    for cell, path in zip(job.spec["cells"], job.options.models, strict=True):
        if cell["integer"] and (audit := _auditor(cell["engine"])):
            identity = {"lab": job.spec["lab"], "host": job.spec["protocol"]["host"]}
            identity |= {name: cell[name] for name in ("model", "variant", "engine")}
            rows += [identity | asdict(row) for row in audit(path, cell["allow_float"])]
    _write(job.options.audit, "audit", rows)


def _auditor(engine: str) -> "Callable[[Path, list[str]], list[Row]] | None":
    """The audit of a runtime that takes integer models; None for an engine that has no graph of its own."""
    if engine == "onnxruntime":
        from compresslab.measure.audit import audit as audit_onnx

        return audit_onnx
    if engine == "torch-int8":
        from compresslab.measure.audit_torch import audit as audit_torch

        return audit_torch
    if engine == "litert":
        from compresslab.measure.audit_litert import audit as audit_litert

        return audit_litert
    return None


def _write(path: Path, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the rows in the columns of their table, so that a table without rows has its header too."""
    import pandas as pd

    from compresslab.artifacts import write_text
    from compresslab.tables.schemas import TABLES

    frame = pd.DataFrame(rows, columns=list(TABLES[table].columns))
    write_text(path, frame.to_csv(index=False, lineterminator="\n"))


if __name__ == "__main__":
    main()
