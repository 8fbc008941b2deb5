"""How many times faster a variant runs than its baseline, from the samples of one latency session."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from compresslab.measure.intervals import Interval, paired_ratio, round_interval, speed_verdict


class Contest(NamedTuple):
    """A variant on an engine, and the variant and engine of the same model that it is measured against."""

    model: str
    variant: str
    engine: str
    baseline_variant: str
    baseline_engine: str


def compare_speed(
    latency: pd.DataFrame, samples: Mapping[str, np.ndarray], contests: Iterable[Contest]
) -> list[dict[str, Any]]:
    """Rows of ``speed.csv`` for one session: every contest at every thread count that both sides were measured at.

    ``latency`` holds the session's rows of ``latency.csv``; ``samples`` its raw times in ms under
    ``model/variant/engine/threads`` with their rounds under ``.../rounds``, and the throughput of every round under
    ``.../offline_images_per_s`` and ``.../offline_rounds``. Both ratios are medians over rounds with both sides from
    the same round, and above 1 when the variant is faster; without offline runs the throughput ratio is NaN.
    A contest whose baseline is the variant itself, or was skipped on this host, has no row.
    """
    return [row for contest in contests for row in _contest_rows(latency, samples, contest)]


def _contest_rows(
    latency: pd.DataFrame, samples: Mapping[str, np.ndarray], contest: Contest
) -> Iterator[dict[str, Any]]:
    baseline_cell = (contest.baseline_variant, contest.baseline_engine)
    if (contest.variant, contest.engine) == baseline_cell:
        return
    baselines = {row["threads"]: row for row in _cell_rows(latency, contest.model, *baseline_cell)}
    for row in _cell_rows(latency, contest.model, contest.variant, contest.engine):
        if row["threads"] in baselines:
            yield _compared(row, baselines[row["threads"]], samples)


def _cell_rows(latency: pd.DataFrame, model: str, variant: str, engine: str) -> list[dict[str, Any]]:
    chosen = (latency["model"] == model) & (latency["variant"] == variant) & (latency["engine"] == engine)
    return [{str(name): value for name, value in row.items()} for row in latency[chosen].to_dict("records")]


def _compared(row: dict[str, Any], baseline: dict[str, Any], samples: Mapping[str, np.ndarray]) -> dict[str, Any]:
    ratio = paired_ratio(
        *_series(baseline, samples, "", "/rounds"),
        *_series(row, samples, "", "/rounds"),
    )
    throughput = _throughput_ratio(row, baseline, samples)
    identity = {name: row[name] for name in ("lab", "host", "model", "variant", "engine", "threads")}
    return {
        **identity,
        "baseline_variant": baseline["variant"],
        "baseline_engine": baseline["engine"],
        "latency_ratio": ratio.estimate,
        "latency_ratio_low": ratio.low,
        "latency_ratio_high": ratio.high,
        "throughput_ratio": throughput.estimate,
        "throughput_ratio_low": throughput.low,
        "throughput_ratio_high": throughput.high,
        "speed_verdict": speed_verdict(ratio),
    }


def _throughput_ratio(row: dict[str, Any], baseline: dict[str, Any], samples: Mapping[str, np.ndarray]) -> Interval:
    if math.isnan(row["offline_images_per_s"]) or math.isnan(baseline["offline_images_per_s"]):
        return Interval(math.nan, math.nan, math.nan)
    names = ("/offline_images_per_s", "/offline_rounds")
    own, base = (dict(zip(*_series(cell, samples, *names)[::-1], strict=True)) for cell in (row, baseline))
    shared = sorted(own.keys() & base.keys())
    return round_interval(np.array([own[index] / base[index] for index in shared]))


def _series(
    row: dict[str, Any], samples: Mapping[str, np.ndarray], values: str, rounds: str
) -> tuple[np.ndarray, np.ndarray]:
    key = f"{row['model']}/{row['variant']}/{row['engine']}/{row['threads']}"
    if key + values not in samples or key + rounds not in samples:
        raise ValueError(f"the latency session has a row but no samples for {key}; delete its results and run it again")
    return samples[key + values], samples[key + rounds]
