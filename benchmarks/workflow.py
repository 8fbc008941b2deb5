"""Time and memory of the workflow around the work: dry run, a run with nothing to do, the demo, its largest job.

    python benchmarks/workflow.py [--skip-demo] [--json FILE]

Everything runs in a private copy of the project. The baseline of the first two is `snakemake --version`, measured in
the same run: importing Snakemake is the least that any call of it costs.
"""

import argparse
import json
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from private_copy import private_copy

SMOKE = ["--config", "scale=smoke"]
REPETITIONS = 3


def main() -> None:
    """Measure and print one row per question."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--skip-demo", action="store_true", help="leave out the demo and what needs its results")
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1, help="cores of the demo (default: all)")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = list(_rows(private_copy(Path(folder) / "compresslab"), options))
    for row in rows:
        print("  ".join(f"{value:>10.2f}" if isinstance(value, float) else f"{value:<46}" for value in row.values()))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


def _rows(project: Path, options: argparse.Namespace) -> Iterator[dict[str, str | float]]:
    floor = _seconds(project, ["--version"])
    yield {"what": "snakemake --version (baseline), s", "value": floor, "ratio": 1.0}
    dry_run = _seconds(project, ["--dry-run", "--quiet", "all"])
    yield {"what": "dry run of the whole configuration, s", "value": dry_run, "ratio": dry_run / floor}
    if options.skip_demo:
        return
    started = time.perf_counter()
    _snakemake(project, ["--cores", str(options.cores), *SMOKE])
    demo = time.perf_counter() - started
    yield {"what": f"demo on {options.cores} cores after set-up, s", "value": demo, "ratio": demo / floor}
    idle = _seconds(project, ["--cores", str(options.cores), *SMOKE])
    yield {"what": "run with nothing to do, s", "value": idle, "ratio": idle / floor}
    job, peak_mb = max(_peaks(project), key=lambda entry: entry[1])
    yield {"what": f"peak memory of the largest job ({job}), MB", "value": peak_mb, "ratio": float("nan")}


def _seconds(project: Path, arguments: list[str]) -> float:
    """The fastest of a few calls."""
    times = []
    for _ in range(REPETITIONS):
        started = time.perf_counter()
        _snakemake(project, arguments)
        times.append(time.perf_counter() - started)
    return min(times)


def _snakemake(project: Path, arguments: list[str]) -> None:
    environment = {**os.environ, "PYTHONPATH": str(project / "src")}
    result = subprocess.run(["snakemake", *arguments], cwd=project, env=environment, capture_output=True, text=True)
    if result.returncode:
        raise SystemExit(f"snakemake {' '.join(arguments)} failed:\n{result.stderr[-3000:]}")


def _peaks(project: Path) -> Iterator[tuple[str, float]]:
    """Peak memory that every stage wrote at the end of its log."""
    for log in [*(project / "results").rglob("*.log"), *(project / "data").rglob("*.log")]:
        found = re.search(r"peak memory (\d+) MB", log.read_text(encoding="utf-8"))
        if found:
            yield str(log.relative_to(project)), float(found.group(1))


if __name__ == "__main__":
    main()
