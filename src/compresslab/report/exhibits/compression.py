"""Every variant of a lab side by side: bytes, speed, and how far its answers are from a baseline's."""

from typing import Any

import pandas as pd

from compresslab.report.evidence import Evidence
from compresslab.report.exhibits.sheets import Builder, Sheet
from compresslab.report.facts import Change, Speed
from compresslab.report.findings import Findings
from compresslab.report.languages import Language
from compresslab.report.names import Names
from compresslab.report.numbers import MEBIBYTE, MISSING, UNITS, decimals, interval, significant, written


def compression(evidence: Evidence, language: Language, baseline: str) -> Sheet | None:
    """One row per variant, or per engine of it: bytes, speed with one thread, accuracy, and the distance to a baseline.

    The speed-up is that of the table ``speed``, the differences are those of ``comparisons`` against ``baseline``. So
    many columns need short headers to fit on paper; the caption explains them.
    """
    costs = evidence.table("costs")
    names, found = Names(evidence.subject), Findings(evidence)
    if costs is None:
        return None
    rows = [(name, cell) for name in names.of(costs) for cell in _cells(evidence, names, name)]
    counted = {name: found.counted(name) or {} for name, _ in rows}
    base = found.counted(baseline)
    builder = Builder(language, host=evidence.subject.host, baseline=names.resolved(baseline))
    builder.code("variant", [name for name, _ in rows])
    if len(rows) > len(costs):
        builder.code("engine", [cell.get("engine") for _, cell in rows])
    files = [counted[name]["file_bytes"] for name, _ in rows]
    builder.numbers("file_mib", [size / MEBIBYTE for size in files], significant)
    if base is not None:
        builder.numbers("short.compression_ratio", [base["file_bytes"] / size for size in files])
    builder.numbers("short.p50_ms", [cell.get("p50_ms") for _, cell in rows])
    speeds = [found.speed(name, str(cell.get("engine"))) for name, cell in rows]
    builder.numbers("short.latency_ratio", [_with_interval(speed) for speed in speeds], str)
    builder.numbers("short.offline_images_per_s", [cell.get("offline_images_per_s") for _, cell in rows])
    scores = [found.score(name) for name, _ in rows]
    builder.numbers("short.accuracy_percent", [None if score is None else score.mean for score in scores])
    return _distances(builder, [found.change(name, baseline) for name, _ in rows], language).sheet()


def _distances(builder: Builder, changes: list[Change | None], language: Language) -> Builder:
    """Add how far the answers are from the baseline's."""

    def of(name: str) -> list[Any]:
        return [None if change is None else getattr(change, name) for change in changes]

    builder.numbers("short.accuracy_difference_points", [_difference(change) for change in changes], str)
    builder.text("accuracy_verdict", [_verdict(change, language) for change in changes])
    builder.numbers("short.smallest_mcnemar_p", of("smallest_p"), lambda p: written(p, UNITS["p"]))
    builder.numbers("short.agreement_percent", of("agreement_percent"))
    builder.numbers("short.confidence_shift_points", of("confidence_shift_points"))
    builder.numbers("short.confidence_distance_points", of("confidence_distance_points"), _unsigned)
    return builder.numbers(
        "short.relative_l2_percent", of("relative_l2_percent"), lambda l2: written(l2, UNITS["number"])
    )


def _cells(evidence: Evidence, names: Names, name: str) -> list[dict[str, Any]]:
    """The cells of a variant on the run's own host with one thread; an empty one when it was not measured."""
    table = evidence.table("latency")
    rows = pd.DataFrame() if table is None else table[names.of(table) == name]
    if not rows.empty:
        rows = rows[(rows["host"] == evidence.subject.host) & (rows["threads"] == 1)]
    return [{str(key): value for key, value in row.items()} for row in rows.to_dict("records")] or [{}]


def _with_interval(speed: Speed | None) -> str:
    if speed is None:
        return MISSING
    unit = UNITS["ratio"]
    return f"{unit.digits(speed.ratio)} {interval(speed.low, speed.high, unit)}"


def _difference(change: Change | None) -> str:
    if change is None:
        return MISSING
    unit = UNITS["points"]
    value = written(change.difference_points, unit)
    low, high = change.difference_low, change.difference_high
    return value if pd.isna(low) else f"{value} {interval(low, high, unit)}"


def _verdict(change: Change | None, language: Language) -> str:
    return MISSING if change is None else language(f"verdict.{change.verdict}")


def _unsigned(points: float | None) -> str:
    return MISSING if points is None else decimals(2)(points)
