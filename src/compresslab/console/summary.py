"""What a run tells before it starts: scale, data, jobs by stage, expected time, devices, and a word of warning."""

import shutil
import subprocess
from collections.abc import Iterable, Mapping
from datetime import timedelta

from compresslab.config.experiment import Experiment
from compresslab.config.plan import OnGpuOnly

NAMED_VARIANTS = 3
"""How many variants a warning names."""

WITHOUT_HISTORY = "unknown: none of these stages has run here before"


def summary(
    experiment: Experiment,
    jobs: Mapping[str, int],
    seconds: Mapping[str, float],
    cores: int,
    on_gpu_only: Iterable[OnGpuOnly] = (),
    elsewhere: int = 0,
) -> list[str]:
    """Lines for the terminal. `jobs` counts the planned jobs of each rule, `seconds` is what one took so far.

    `on_gpu_only` is what would not run here without a GPU. `elsewhere` is how many jobs may be on other machines at
    once, of which nothing is known here; 0 where all run on this one.
    """
    gpus = [] if elsewhere else graphics_processors()
    lines = [
        f"scale     {experiment.scale}, results in results/{experiment.run_name}",
        f"data      {experiment.data.source}{_mirror(experiment)}{_instead(experiment)}",
        f"labs      {', '.join(experiment.labs)}; seeds {', '.join(map(str, experiment.seeds))}",
        f"jobs      {', '.join(f'{count} {rule}' for rule, count in sorted(jobs.items()))}",
        f"time      {_expected(jobs, seconds, cores)}{', one job after the other' if elsewhere else ''}",
        f"devices   {_devices(cores, gpus, elsewhere)}",
    ]
    if not elsewhere and experiment.scale == "full" and jobs.get("train_torch") and not gpus:
        lines.append(
            "warning   full scale without a GPU can take long; --config scale=quick is the smaller one, "
            "scale=smoke the smallest"
        )
    if not elsewhere and not gpus:
        lines += _impossible(on_gpu_only)
    if experiment.data.source == "embedded":
        lines.append("warning   embedded data are generated: the numbers of this run say nothing about real data")
    return lines


def _devices(cores: int, gpus: list[str], elsewhere: int) -> str:
    if elsewhere:
        return f"those of other machines, up to {elsewhere} jobs at once"
    return f"{cores} CPU core{'s' if cores > 1 else ''}; {', '.join(gpus) or 'no GPU found'}"


def graphics_processors() -> list[str]:
    """Names of the GPUs that the NVIDIA driver lists; empty without one."""
    if shutil.which("nvidia-smi") is None:
        return []
    try:
        answer = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True, timeout=20).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.partition(": ")[2].partition(" (UUID")[0] for line in answer.splitlines() if line.startswith("GPU ")]


def _impossible(on_gpu_only: Iterable[OnGpuOnly]) -> list[str]:
    """Name what asks for a GPU that is not here, and what becomes of it, each once with its variants."""
    variants: dict[tuple[str, str], list[str]] = {}
    for need in on_gpu_only:
        variants.setdefault((need.asks, need.without), []).append(need.variant)
    return [
        f"warning   {asks}, but no GPU is found here: {without} ({_named(names)})"
        for (asks, without), names in variants.items()
    ]


def _named(variants: list[str]) -> str:
    rest = len(variants) - NAMED_VARIANTS
    return ", ".join(variants[:NAMED_VARIANTS]) + (f" and {rest} more" if rest > 0 else "")


def _mirror(experiment: Experiment) -> str:
    return f" in {experiment.data.mirror}" if experiment.data.source == "mirror" else ""


def _instead(experiment: Experiment) -> str:
    return "".join(f"; {other} in place of {name}" for name, other in experiment.data.instead.items())


def _expected(jobs: Mapping[str, int], seconds: Mapping[str, float], cores: int) -> str:
    """Time from earlier runs: a session has the machine for itself, other jobs share the cores."""
    known = {rule: count for rule, count in jobs.items() if rule in seconds}
    if not known:
        return WITHOUT_HISTORY
    total = sum(count * seconds[rule] / (1 if rule == "benchmark" else cores) for rule, count in known.items())
    unknown = sorted(jobs.keys() - known.keys())
    rest = f", and {', '.join(unknown)}, which have not run here before" if unknown else ""
    return f"about {timedelta(seconds=round(total))} by earlier runs{rest}"
