"""How fast a session found every cell, what was really executed, and what could not be measured."""

from collections.abc import Iterable
from typing import Any

import pandas as pd

from compresslab.report.evidence import Evidence
from compresslab.report.exhibits.sheets import Builder, Sheet
from compresslab.report.figures.drawing import variant_names
from compresslab.report.findings import Findings
from compresslab.report.languages import Language
from compresslab.report.names import Names
from compresslab.report.numbers import MEBIBYTE, MISSING, count, significant
from compresslab.report.ratios import QUANTITIES, Ratio, engine_ratios


def frameworks(evidence: Evidence, language: Language, chosen: Iterable[str], threads: int = 1) -> Sheet | None:
    """Framework and engine of some variants beside parameters, time per image, throughput, MACs and accuracy."""
    names = Names(evidence.subject)
    costs, scores = evidence.table("costs"), evidence.table("scores")
    if costs is None or scores is None:
        return None
    cells = _cells(evidence, "latency", evidence.subject.host, threads)
    accuracies = scores.groupby(names.of(scores), sort=False)["accuracy_percent"].mean()
    counted = costs.set_index(names.of(costs))
    rows = [(name, cell) for name in map(names.resolved, chosen) for cell in _of_variant(cells, names, name)]
    rows = [(name, cell) for name, cell in rows if name in counted.index]
    if not rows:
        return None
    builder = Builder(language, threads=_threads(threads, language), host=evidence.subject.host)
    builder.code("variant", [name for name, _ in rows]).code("engine", [cell.get("engine") for _, cell in rows])
    builder.numbers("parameters", [counted.loc[name, "parameters"] for name, _ in rows], count)
    builder.numbers("macs", [counted.loc[name, "macs"] for name, _ in rows], count)
    builder.numbers("p50_ms", [cell.get("p50_ms") for _, cell in rows])
    rates = [cell.get("offline_images_per_s") for _, cell in rows]
    builder.numbers("per_image_ms", [None if rate is None or pd.isna(rate) else 1000 / rate for rate in rates])
    builder.numbers("offline_images_per_s", rates)
    return builder.numbers("accuracy_percent", [accuracies.get(name) for name, _ in rows]).sheet()


def engines(evidence: Evidence, language: Language) -> Sheet | None:
    """Every engine against the first one of the same variant on the run's own host: latency and throughput."""
    table = evidence.table("latency")
    if table is None:
        return None
    rows = engine_ratios(table[table["host"] == evidence.subject.host])
    if rows.empty:
        return None
    builder = Builder(language, host=evidence.subject.host).code("variant", variant_names(rows))
    builder.code("engine", rows["engine"]).code("baseline", rows["baseline_engine"])
    builder.numbers("threads", rows["threads"], count)
    for ratio, verdict in (("latency_ratio", "latency_verdict"), ("throughput_ratio", "throughput_verdict")):
        builder.intervals(ratio, rows, f"{ratio}_low", f"{ratio}_high")
        builder.text(verdict, [language(f"verdict.{word}") if word else MISSING for word in rows[verdict]])
    return builder.sheet()


def same_engine(evidence: Evidence, language: Language, chosen: Iterable[tuple[str, str, str]]) -> Sheet | None:
    """Variants against another one on the same engine with one thread: (variant, baseline, engine)."""
    found, rows = Findings(evidence), []
    for variant, baseline, engine in chosen:
        ratios = [found.against((variant, engine), (baseline, engine), quantity) for quantity in QUANTITIES]
        if any(ratios):
            rows.append((Names(evidence.subject).resolved(variant), baseline, engine, *ratios))
    if not rows:
        return None
    variants, baselines, engines_of, latencies, throughputs = zip(*rows, strict=True)
    builder = Builder(language, host=evidence.subject.host).code("variant", variants)
    builder.code("baseline", map(Names(evidence.subject).resolved, baselines)).code("engine", engines_of)
    builder.ratios("latency_ratio", latencies).text("latency_verdict", _words(latencies, language))
    return (
        builder.ratios("throughput_ratio", throughputs)
        .text("throughput_verdict", _words(throughputs, language))
        .sheet()
    )


def _words(ratios: Iterable[Ratio | None], language: Language) -> list[str]:
    return [MISSING if ratio is None else language(f"verdict.{ratio.verdict}") for ratio in ratios]


def latency(evidence: Evidence, language: Language, host: str, threads: int) -> Sheet | None:
    """Steady state of every cell of one host and thread count."""
    rows = _cells(evidence, "latency", host, threads)
    if rows is None:
        return None
    builder = Builder(language, host=host, threads=_threads(threads, language))
    builder.code("variant", variant_names(rows)).code("engine", rows["engine"])
    builder.intervals("p50_ms", rows, "p50_low_ms", "p50_high_ms")
    for column in ("p90_ms", "p99_ms"):
        if rows[column].notna().any():
            builder.numbers(column, rows[column])
    builder.intervals("offline_images_per_s", rows, "offline_low_images_per_s", "offline_high_images_per_s")
    return builder.text(
        "noise",
        [_noise(bool(noisy), noise, language) for noisy, noise in zip(rows["noisy"], rows["noise"], strict=True)],
    ).sheet()


def start(evidence: Evidence, language: Language, host: str, threads: int) -> Sheet | None:
    """What happens before the steady state: load and first call; and the memory of the process."""
    rows = _cells(evidence, "latency", host, threads)
    if rows is None:
        return None
    builder = Builder(language, host=host, threads=_threads(threads, language))
    builder.code("variant", variant_names(rows)).code("engine", rows["engine"])
    builder.numbers("load_ms", rows["load_ms"]).numbers("first_call_ms", rows["first_call_ms"])
    builder.numbers("calls", rows["calls"], count)
    return builder.numbers("peak_rss_bytes", rows["peak_rss_bytes"] / MEBIBYTE, significant).sheet()


def speed(evidence: Evidence, language: Language, host: str, threads: int) -> Sheet | None:
    """How many times faster than the baseline, with the verdict."""
    rows = _cells(evidence, "speed", host, threads)
    if rows is None:
        return None
    baselines = rows["baseline_variant"] + " · " + rows["baseline_engine"]
    named = language("list.join").join(f"`{name}`" for name in dict.fromkeys(baselines))
    builder = Builder(language, host=host, threads=_threads(threads, language), baseline=named)
    builder.code("variant", variant_names(rows)).code("engine", rows["engine"])
    if baselines.nunique() > 1:
        builder.code("baseline", baselines)
    builder.intervals("latency_ratio", rows, "latency_ratio_low", "latency_ratio_high")
    builder.intervals("throughput_ratio", rows, "throughput_ratio_low", "throughput_ratio_high")
    return builder.text("speed_verdict", [language(f"verdict.{verdict}") for verdict in rows["speed_verdict"]]).sheet()


def audit(evidence: Evidence, language: Language) -> Sheet | None:
    """How many operators of each executed graph run in integers, and which ones do not."""
    table = evidence.table("audit")
    if table is None:
        return None
    groups = list(table.groupby(["model", "variant", "engine", "host"], sort=False))
    names = pd.DataFrame([key[:2] for key, _ in groups], columns=["model", "variant"])
    builder = Builder(language).code("variant", variant_names(names)).code("engine", [key[2] for key, _ in groups])
    for column, kind in {"integer_nodes": "integer", "float_nodes": "float", "unfused_nodes": "unfused"}.items():
        builder.numbers(column, [int((nodes["runs_as"] == kind).sum()) for _, nodes in groups], count)
    return builder.text("others", [_operators(nodes) for _, nodes in groups]).sheet()


def skipped(evidence: Evidence, language: Language) -> Sheet | None:
    """What could not be measured, and why."""
    rows = evidence.table("skipped")
    if rows is None:
        return None
    builder = Builder(language).code("variant", variant_names(rows)).code("engine", rows["engine"])
    return builder.text("host", rows["host"]).text("reason", rows["reason"]).sheet()


def _cells(evidence: Evidence, name: str, host: str, threads: int) -> pd.DataFrame | None:
    table = evidence.table(name)
    if table is None:
        return None
    rows = table[(table["host"] == host) & (table["threads"] == threads)]
    return None if rows.empty else rows


def _threads(threads: int, language: Language) -> str:
    return language("figure.threads.one") if threads == 1 else language("figure.threads.many", threads=threads)


def _noise(noisy: bool, reasons: Any, language: Language) -> str:
    if not noisy:
        return language("noise.none")
    words = str(reasons).replace(",", " ").replace(";", " ").split()
    return language("list.join").join(language.known(f"noise.{word}", word) for word in words)


def _operators(nodes: pd.DataFrame) -> str:
    others = nodes[nodes["runs_as"] != "integer"]["operator"].value_counts(sort=False)
    parts = [f"{operator} × {times}" if times > 1 else str(operator) for operator, times in others.items()]
    return ", ".join(parts) or MISSING


def _of_variant(cells: pd.DataFrame | None, names: Names, name: str) -> list[dict[Any, Any]]:
    """The cells of one variant; an empty one when it was not measured, so that its other numbers are still shown."""
    rows = pd.DataFrame() if cells is None else cells[names.of(cells) == name]
    return rows.to_dict("records") or [{}]
