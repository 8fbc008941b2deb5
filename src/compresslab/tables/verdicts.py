"""The claims of a ledger, judged by the tables of one run."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from compresslab.tables.claims import BaseClaim, Judgement, Metric, OrderClaim, RatioClaim
from compresslab.tables.schemas import CLAIMS, TABLES
from compresslab.tables.statistics import Estimate, quotient, seed_mean

_REDUCERS: dict[str, Callable[[pd.Series], float]] = {
    "min": lambda rows: float(rows.min()),
    "max": lambda rows: float(rows.max()),
    "mean": lambda rows: float(rows.mean()),
    "sum": lambda rows: float(rows.sum()),
}


@dataclass(frozen=True)
class RunFacts:
    """What decides whether a run's numbers may be held against published ones.

    ``host`` is the host whose measurements the run judges; tables with other hosts' rows are read for it alone.
    """

    scale: str
    source: str
    embedded: bool
    substitute: bool
    host: str


def evaluate_claims(claims: Iterable[BaseClaim], tables: Mapping[str, pd.DataFrame], facts: RunFacts) -> pd.DataFrame:
    """The rows of ``claims.csv``: one per claim, in the ledger's order, with what was measured even without a verdict.

    ``tables`` maps names to frames as ``read_table`` gives them; one that is absent leaves its claims unmeasured. For
    an order, measured is the least sure lead of a metric over the next. A claim whose filters leave several rows of one
    seed is a ValueError that names it.
    """
    rows = [_claim_row(claim, tables, facts) for claim in claims]
    return CLAIMS.validated(pd.DataFrame(rows, columns=list(CLAIMS.columns)))


def _claim_row(claim: BaseClaim, tables: Mapping[str, pd.DataFrame], facts: RunFacts) -> dict[str, Any]:
    measured = _measured(claim, tables, facts.host)
    judgement = _judgement(claim, measured, facts)
    shown = measured or Estimate(math.nan)
    return {
        "claim": claim.id,
        "lab": claim.lab,
        "statement_en": claim.statement.en,
        "statement_zh": claim.statement.zh_TW,
        "source": str(claim.source),
        **claim.published_columns(),
        "unit": claim.unit,
        "kind": getattr(claim, "kind", None),
        "measured": shown.value,
        "measured_low": shown.low,
        "measured_high": shown.high,
        "verdict": judgement.verdict,
        "reason": judgement.reason,
        "hardware_dependent": claim.hardware_dependent,
    }


def _judgement(claim: BaseClaim, measured: Estimate | None, facts: RunFacts) -> Judgement:
    obstacles = {
        "embedded_data": claim.requires.real_data and facts.embedded,
        "substitute_data": claim.requires.real_data and facts.substitute,
        "reduced_scale": claim.requires.full_scale and facts.scale != "full",
        "other_hardware": claim.needs_published_host or claim.requires.published_host,
        "other_data": claim.requires.published_data,
    }
    for reason, stands in obstacles.items():
        if stands:
            return Judgement("not_comparable", reason)
    return claim.judge(measured) if measured else Judgement("not_comparable", "missing_measurement")


def _measured(claim: BaseClaim, tables: Mapping[str, pd.DataFrame], host: str) -> Estimate | None:
    estimates = []
    for metric in claim.metrics_read:
        estimate = _estimate(claim, metric, tables, host)
        if estimate is None:
            return None
        estimates.append(estimate)
    if isinstance(claim, OrderClaim):
        return claim.smallest_lead(estimates)
    if isinstance(claim, RatioClaim):
        return quotient(*estimates)
    return estimates[0]


def _estimate(claim: BaseClaim, metric: Metric, tables: Mapping[str, pd.DataFrame], host: str) -> Estimate | None:
    """The metric's value with its interval: over seeds where there are several, else the table's own."""
    if metric.table not in tables:
        return None
    rows = _matching(tables[metric.table], {"lab": claim.lab, **metric.where}, host)
    if rows.empty:
        return None
    groups = [seed for _, seed in rows.groupby("seed")] if "seed" in rows else [rows]
    values = [_reduced(claim, metric, group) for group in groups]
    estimate = seed_mean(values) if len(values) > 1 else _with_own_interval(metric, groups[0], values[0])
    return None if math.isnan(estimate.value) else estimate.scaled(1 / metric.divide_by)


def _matching(frame: pd.DataFrame, where: Mapping[str, Any], host: str) -> pd.DataFrame:
    filters = {"host": host, **where} if "host" in frame else where
    for column, value in filters.items():
        frame = frame[frame[column] == value]
    return frame


def _reduced(claim: BaseClaim, metric: Metric, rows: pd.DataFrame) -> float:
    if metric.rows != "one":
        return _REDUCERS[metric.rows](rows[metric.column])
    if len(rows) > 1:
        differing = [str(name) for name in TABLES[metric.table].key if rows[name].nunique() > 1]
        raise ValueError(
            f"claim {claim.id}: {len(rows)} rows of table {metric.table} match; add {' or '.join(differing)} to where"
        )
    return float(rows[metric.column].iloc[0])


def _with_own_interval(metric: Metric, rows: pd.DataFrame, value: float) -> Estimate:
    columns = TABLES[metric.table].intervals.get(metric.column)
    if columns is None or len(rows) > 1:
        return Estimate(value)
    return Estimate(value, *(float(rows[name].iloc[0]) for name in columns))
