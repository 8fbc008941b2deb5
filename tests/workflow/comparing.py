"""What two runs of the same experiment have in common: everything but what a clock says."""

from pathlib import Path

import pandas as pd

# What a clock, a scheduler or a machine says; every other column of every table is the same in every run.
TIMINGS = {
    "training": ["epoch_s"],
    "latency": [
        *("load_ms", "first_call_ms", "calls", "p50_ms", "p50_low_ms", "p50_high_ms", "p90_ms", "p99_ms", "mean_ms"),
        *("offline_images_per_s", "offline_low_images_per_s", "offline_high_images_per_s"),
        *("peak_rss_bytes", "noisy", "noise"),
    ],
    "speed": [
        *("latency_ratio", "latency_ratio_low", "latency_ratio_high"),
        *("throughput_ratio", "throughput_ratio_low", "throughput_ratio_high", "speed_verdict"),
    ],
}
# A claim about speed is judged by timings; a claim about anything else is not.
JUDGEMENT = ["measured", "measured_low", "measured_high", "verdict", "reason"]
# Files that are the same to the byte.
EXACT = ("models/**/model.*", "models/**/card.json", "predictions/**/*.npz", "layers/**/*.csv", "costs/**/*.json")


def tables(results: Path) -> dict[str, Path]:
    """The merged tables of a run and those of its labs, by name."""
    folder = results / "tables"
    return {str(path.relative_to(folder).with_suffix("")): path for path in folder.rglob("*.csv")}


def without_timings(path: Path) -> str:
    """A table as text, as it was written, without what a clock says."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    timings = TIMINGS.get(path.stem, [])
    assert set(timings) <= set(table.columns), f"{path.stem} has no such columns"
    if path.stem == "claims":
        table.loc[table["hardware_dependent"] == "True", JUDGEMENT] = ""
    return table.drop(columns=timings).to_csv(index=False)


def different_tables(first: Path, second: Path) -> list[str]:
    """Names of the tables of two runs that differ in more than timings, or that one of them lacks."""
    ones, others = tables(first), tables(second)
    alone = sorted(ones.keys() ^ others.keys())
    return alone + [
        name for name in ones if name in others and without_timings(ones[name]) != without_timings(others[name])
    ]


def different_files(first: Path, second: Path, kind: str) -> list[str]:
    """Files of a kind, as in `EXACT`, that are not the same to the byte in two runs, or that one of them lacks."""
    ones, others = ({path.relative_to(results) for path in results.glob(kind)} for results in (first, second))
    alone = sorted(map(str, ones ^ others))
    return alone + [str(path) for path in ones & others if (first / path).read_bytes() != (second / path).read_bytes()]
