"""Two cells of one latency session, one held against the other: eager and graph, a pruned network and its parent.

The table ``speed`` compares every cell with the lab's baseline alone. Other pairs are quotients of the table
``latency``. Their intervals count as independent, which is wider than pairing rounds; the ledger of claims does so too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from compresslab.tables.schemas import LATENCY
from compresslab.tables.statistics import Estimate, quotient

MARGIN = 0.02
"""A speed differs when the whole interval of the ratio lies this far from 1, as in the table ``speed``."""

QUANTITIES = {"latency": "p50_ms", "throughput": "offline_images_per_s"}


@dataclass(frozen=True)
class Ratio:
    """How many times faster a cell is than another, with its 95 % interval; above 1 is faster."""

    variant: str
    engine: str
    baseline_variant: str
    baseline_engine: str
    threads: int
    value: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """``faster``, ``slower`` or ``noise``."""
        if self.low > 1 + MARGIN:
            return "faster"
        return "slower" if self.high < 1 / (1 + MARGIN) else "noise"


def cell_ratio(cell: Mapping[str, Any], baseline: Mapping[str, Any], quantity: str) -> Ratio | None:
    """Compare two rows of ``latency`` by ``latency`` or ``throughput``; None when one of them has no such number."""
    estimates = [_estimate(row, QUANTITIES[quantity]) for row in (cell, baseline)]
    if any(pd.isna(estimate.value) for estimate in estimates):
        return None
    # A shorter time is faster, a higher rate is faster.
    ratio = quotient(*(estimates[::-1] if quantity == "latency" else estimates))
    return Ratio(
        variant=cell["variant"],
        engine=cell["engine"],
        baseline_variant=baseline["variant"],
        baseline_engine=baseline["engine"],
        threads=int(cell["threads"]),
        value=ratio.value,
        low=ratio.low,
        high=ratio.high,
    )


def engine_ratios(latency: pd.DataFrame) -> pd.DataFrame:
    """Hold every engine against the first one (by the alphabet) of the same variant, host and thread count.

    One row per cell but the first: host, model, variant, threads, engine, baseline_engine and for each of
    ``QUANTITIES`` the ratio, ``_low``, ``_high`` (NaN where it was not measured) and ``_verdict``.
    """
    rows = []
    for _, cells in latency.groupby(["host", "model", "variant", "threads"], sort=False):
        first, *others = cells.sort_values("engine").to_dict("records")
        for cell in others:
            identity = {name: cell[name] for name in ("host", "model", "variant", "threads", "engine")}
            rows.append({**identity, "baseline_engine": first["engine"], **_columns(cell, first)})
    return pd.DataFrame(rows)


def _columns(cell: Mapping[Any, Any], first: Mapping[Any, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for quantity in QUANTITIES:
        ratio = cell_ratio(cell, first, quantity)
        values = (ratio.value, ratio.low, ratio.high) if ratio else (float("nan"),) * 3
        found |= dict(zip((f"{quantity}_ratio{end}" for end in ("", "_low", "_high")), values, strict=True))
        found[f"{quantity}_verdict"] = ratio.verdict if ratio else ""
    return found


def _estimate(row: Mapping[str, Any], column: str) -> Estimate:
    low, high = LATENCY.intervals[column]
    return Estimate(row[column], row[low], row[high])
