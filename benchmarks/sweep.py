"""What a large sweep costs before anything runs: a dry run of generated configurations, by their number of variants.

    python benchmarks/sweep.py [--variants 10 1000 5000] [--per-lab 100] [--json FILE]

A configuration has labs of `--per-lab` variants: trainings, each with its ONNX file and an int8 form of that. Measured
are the time and the peak memory of a dry run of everything, and of one that asks for a single prediction, which is what
every job of a cluster does twice before it starts. The first number of variants is the baseline.
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

MAXRSS_PER_MB = 1000
"""`ru_maxrss` counts KiB on Linux."""

HEAD = "scale: full\nseeds: [0]\nlanguages: [en]\ndata: {source: embedded}\nlabs:\n"
LAB = "  sweep-{lab}:\n    dataset: mnist\n    baseline: model-{first}/torch-fp32\n    models:\n"
MODEL = """\
      model-{number}:
        architecture: gapcnn
        train: {{epochs: 1, optimizer: {{name: adam, lr: {lr}}}}}
        variants:
          torch-fp32: {{method: train-torch}}
          onnx-fp32: {{from: torch-fp32, method: export-onnx}}
          onnx-int8: {{from: onnx-fp32, method: ptq-onnx}}
"""
VARIANTS_PER_MODEL = 3
COLUMNS = ("variants", "jobs", "files", "plan_s", "plan_peak_mb", "job_s", "job_peak_mb", "longest_command_kb")


def main() -> None:
    """Measure and print one row per size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", type=int, nargs="+", default=[10, 100, 1000, 5000], help="sizes of the sweep")
    parser.add_argument("--per-lab", type=int, default=100, help="variants of a lab, at most (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    options = parser.parse_args()
    print("".join(f"{name:>20}" for name in COLUMNS))
    rows = []
    for row in measure(options.variants, options.per_lab):
        print("".join(f"{row[name]:>20.6g}" for name in COLUMNS), flush=True)
        rows.append(row)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


def measure(sizes: list[int], per_lab: int) -> Iterator[dict[str, float]]:
    """Yield one row per size of the sweep."""
    with tempfile.TemporaryDirectory() as folder:
        copy = private_copy(Path(folder) / "compresslab")
        for variants in sizes:
            (copy / "config.yaml").write_text(sweep(variants, per_lab), encoding="utf-8")
            plan_s, plan_mb, said = dry_run(copy, "--printshellcmds")
            one = "results/full/predictions/sweep-0/model-0/torch-fp32/seed-0.npz"
            job_s, job_mb, _ = dry_run(copy, "--quiet", "all", "--", one)
            commands = re.findall(r"^Shell command: (.*)$", said, flags=re.MULTILINE)
            yield {
                "variants": variants,
                "jobs": int(re.search(r"^total +(\d+)", said, flags=re.MULTILINE).group(1)),  # type: ignore[union-attr]
                "files": listed_files(copy),
                "plan_s": plan_s,
                "plan_peak_mb": plan_mb,
                "job_s": job_s,
                "job_peak_mb": job_mb,
                "longest_command_kb": max(map(len, commands)) / 1000,
            }


def sweep(variants: int, per_lab: int) -> str:
    """A configuration of about so many variants."""
    text, models, models_per_lab = HEAD, max(1, variants // VARIANTS_PER_MODEL), max(1, per_lab // VARIANTS_PER_MODEL)
    for number in range(models):
        if number % models_per_lab == 0:
            text += LAB.format(lab=number // models_per_lab, first=number)
        text += MODEL.format(number=number, lr=0.001 + number / 1e6)
    return text


def listed_files(project: Path) -> int:
    """Files that the jobs would make."""
    return sum(line.startswith(("results/", "data/")) for line in snakemake(project, "--summary")[2].splitlines())


def dry_run(project: Path, *options: str) -> tuple[float, float, str]:
    """Seconds, peak memory in MB and output of a dry run."""
    return snakemake(project, "--dry-run", *options)


def snakemake(project: Path, *options: str) -> tuple[float, float, str]:
    """Seconds, peak memory in MB and output of a call."""
    environment = {**os.environ, "PYTHONPATH": str(project / "src")}
    started = time.perf_counter()
    process = subprocess.Popen(
        ["snakemake", *options],
        cwd=project, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    said = process.stdout.read() if process.stdout else ""
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"snakemake {' '.join(options)} failed:\n{said[-3000:]}")
    return time.perf_counter() - started, used.ru_maxrss / MAXRSS_PER_MB, said


if __name__ == "__main__":
    main()
