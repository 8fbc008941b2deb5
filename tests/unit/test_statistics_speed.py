"""Speed ratios from the samples of a session."""

import numpy as np
import pandas as pd
import pytest

from compresslab.tables.collect import assembled
from compresslab.tables.schemas import SPEED
from compresslab.tables.speed import Contest, compare_speed

CONTEST = Contest("gapcnn", "int8", "numpy-integer", "fp32", "numpy")
ROUNDS = np.repeat(np.arange(5, dtype=np.int32), 40)


def session(cells):
    """A session of cells (variant, engine, threads, median ms, images per s) on a host that slows down each round."""
    generator = np.random.default_rng(0)
    rows, samples = [], {}
    for variant, engine, threads, median_ms, rate in cells:
        key = f"gapcnn/{variant}/{engine}/{threads}"
        slower = 1 + ROUNDS / 5
        samples[key] = (median_ms * slower * generator.lognormal(0, 0.02, len(ROUNDS))).astype(np.float32)
        samples[f"{key}/rounds"] = ROUNDS
        samples[f"{key}/offline_images_per_s"] = np.float32(rate) / np.arange(1, 6, dtype=np.float32)
        samples[f"{key}/offline_rounds"] = np.arange(5, dtype=np.int32)
        identity = {"lab": "mnist-integer", "host": "local", "model": "gapcnn", "variant": variant}
        rows.append({**identity, "engine": engine, "threads": threads, "offline_images_per_s": float(rate)})
    return pd.DataFrame(rows), samples


def test_three_times_faster_reads_three_although_the_host_slows_down():
    latency, samples = session([("fp32", "numpy", 1, 3.0, 100), ("int8", "numpy-integer", 1, 1.0, 200)])
    (row,) = compare_speed(latency, samples, [CONTEST])
    assert row["latency_ratio"] == pytest.approx(3, rel=0.02)
    assert row["latency_ratio_high"] - row["latency_ratio_low"] < 0.2
    assert row["throughput_ratio"] == pytest.approx(2)
    assert row["speed_verdict"] == "faster"
    assert len(assembled(SPEED, [pd.DataFrame([row])])) == 1


@pytest.mark.parametrize(("median_ms", "verdict"), [(1.0, "faster"), (3.0, "noise"), (9.0, "slower")])
def test_verdicts(median_ms, verdict):
    latency, samples = session([("fp32", "numpy", 1, 3.0, 100), ("int8", "numpy-integer", 1, median_ms, 100)])
    (row,) = compare_speed(latency, samples, [CONTEST])
    assert row["speed_verdict"] == verdict


def test_only_equal_thread_counts_meet():
    cells = [
        ("fp32", "numpy", 1, 3.0, 100),
        ("int8", "numpy-integer", 1, 1.0, 100),
        ("int8", "numpy-integer", 2, 0.5, 100),
    ]
    latency, samples = session(cells)
    assert [row["threads"] for row in compare_speed(latency, samples, [CONTEST])] == [1]


def test_a_baseline_is_not_its_own_opponent():
    latency, samples = session([("fp32", "numpy", 1, 3.0, 100)])
    assert compare_speed(latency, samples, [Contest("gapcnn", "fp32", "numpy", "fp32", "numpy")]) == []


def test_without_offline_runs_there_is_no_throughput_ratio():
    latency, samples = session([("fp32", "numpy", 1, 3.0, 100), ("int8", "numpy-integer", 1, 1.0, np.nan)])
    (row,) = compare_speed(latency, samples, [CONTEST])
    assert np.isnan(row["throughput_ratio"])
    assert len(assembled(SPEED, [pd.DataFrame([row])])) == 1


def test_lost_samples_are_named():
    latency, samples = session([("fp32", "numpy", 1, 3.0, 100), ("int8", "numpy-integer", 1, 1.0, 100)])
    del samples["gapcnn/fp32/numpy/1"]
    with pytest.raises(ValueError, match="no samples for gapcnn/fp32/numpy/1"):
        compare_speed(latency, samples, [CONTEST])
