"""The tables of a report, by name: which rows and columns of a run's tables a reader sees, and in what words.

Every function takes what is known of a run and a language and returns a ``Sheet``, or None when there are no rows.
Columns are headed by the catalogue (``column.*``); numbers are written by their unit (``report.numbers``).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from compresslab.models.numpy.activations import CURVES, activate
from compresslab.report.evidence import Evidence
from compresslab.report.figures.activations import approximation
from compresslab.report.figures.drawing import variant_names
from compresslab.report.languages import Language
from compresslab.report.numbers import (
    MISSING,
    NO_BREAK_SPACE,
    UNITS,
    count,
    decimals,
    interval,
    signed_minus,
    significant,
    unit_of,
    written,
)

_MEBIBYTE = 2**20
_MOST_CLASSES = 12
_DIGEST_CHARACTERS = 16


@dataclass(frozen=True)
class Sheet:
    """A table as people read it: headers, rows of finished cells, and which columns hold numbers."""

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[bool, ...]
    values: Mapping[str, Any]
    """What the caption names: ``{host}``, ``{threads}`` ..."""

    def markdown(self) -> str:
        """Return a pipe table; numbers stand to the right."""
        rule = ["---:" if numeric else ":---" for numeric in self.numeric]
        lines = [self.headers, rule, *self.rows]
        return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


class _Builder:
    """Collects the columns of a sheet from left to right."""

    def __init__(self, language: Language, **values: Any) -> None:
        self._language = language
        self._columns: list[tuple[str, list[str], bool]] = []
        self._values = values

    def text(self, name: str, cells: Iterable[Any]) -> "_Builder":
        """Add a column of words."""
        return self._add(name, [self._language.spaced(str(cell)) for cell in cells], numeric=False)

    def code(self, name: str, cells: Iterable[Any]) -> "_Builder":
        """Add a column of names as they stand in files."""
        return self._add(name, [f"`{cell}`" if cell else MISSING for cell in cells], numeric=False)

    def numbers(self, name: str, values: Iterable[Any], write: Callable[[Any], str] | None = None) -> "_Builder":
        """Add a column of numbers, in the unit that the name ends with unless ``write`` is given."""
        unit = unit_of(name)
        return self._add(name, [write(value) if write else written(value, unit) for value in values], numeric=True)

    def intervals(self, name: str, rows: pd.DataFrame, low: str, high: str) -> "_Builder":
        """Add a column of values with their 95 % intervals in brackets."""
        unit = unit_of(name)
        cells = [
            written(value, unit)
            if pd.isna(value) or pd.isna(least)
            else f"{written(value, unit)}{NO_BREAK_SPACE}{interval(least, most, unit)}"
            for value, least, most in zip(rows[name], rows[low], rows[high], strict=True)
        ]
        self._columns.append((self._language("table.interval", header=self._language(f"column.{name}")), cells, True))
        return self

    def headed(self, header: str, cells: Iterable[str], numeric: bool = True) -> "_Builder":
        """Add a column whose header comes from the data (a class, a layer)."""
        self._columns.append((header, list(cells), numeric))
        return self

    def sheet(self) -> Sheet:
        """Return what was collected."""
        headers, cells, numeric = zip(*self._columns, strict=True)
        return Sheet(headers, tuple(zip(*cells, strict=True)), numeric, self._values)

    def _add(self, name: str, cells: list[str], numeric: bool) -> "_Builder":
        self._columns.append((self._language(f"column.{name}"), cells, numeric))
        return self


def counts(evidence: Evidence, language: Language) -> Sheet | None:
    """Images per split, and per class where there are not too many."""
    card = evidence.card
    builder = _Builder(language).text("split", [language(f"split.{split}") for split in card.counts])
    if len(card.classes) <= _MOST_CLASSES:
        for name in card.classes:
            builder.headed(name, [count(classes.get(name, 0)) for classes in card.counts.values()])
    return builder.numbers("total", [sum(classes.values()) for classes in card.counts.values()], count).sheet()


def files(evidence: Evidence, language: Language) -> Sheet | None:
    """The published files that the data came from."""
    found = evidence.card.files
    if not found:
        return None
    builder = _Builder(language).code("file", [file.name for file in found])
    builder.numbers("file_bytes", [file.bytes for file in found])
    return builder.code("sha256", [file.sha256[:_DIGEST_CHARACTERS] + "…" for file in found]).sheet()


def variants(evidence: Evidence, language: Language) -> Sheet | None:
    """The variant graph: parent, method and settings."""
    rows = [
        (f"{model} / {name}" if len(evidence.subject.models) > 1 else name, settings)
        for model, entry in evidence.subject.models.items()
        for name, settings in entry["variants"].items()
    ]
    builder = _Builder(language).code("variant", [name for name, _ in rows])
    builder.code("parent", [settings.get("from") for _, settings in rows])
    builder.code("method", [settings["method"] for _, settings in rows])
    return builder.text("settings", [_settings(settings) for _, settings in rows]).sheet()


def settings(evidence: Evidence, language: Language) -> Sheet | None:
    """How each model is trained."""
    rows = [
        (model, key, value)
        for model, entry in evidence.subject.models.items()
        for key, value in _flat(entry.get("train", {})).items()
    ]
    if not rows:
        return None
    builder = _Builder(language)
    if len(evidence.subject.models) > 1:
        builder.code("model", [model for model, _, _ in rows])
    return builder.code("field", [key for _, key, _ in rows]).text("value", [value for _, _, value in rows]).sheet()


def architecture(evidence: Evidence, language: Language, variant: str | None = None) -> Sheet | None:
    """Layers, shapes, parameters and multiply-accumulates of one variant (the first one when unset)."""
    layers = evidence.table("cost_layers")
    if layers is None:
        return None
    chosen = variant or layers["variant"].iloc[0]
    rows = layers[layers["variant"] == chosen]
    if rows.empty:
        return None
    builder = _Builder(language, variant=chosen).code("layer", rows["layer"]).text("operator", rows["operator"])
    builder.numbers("output_shape", rows["output_shape"], str)
    return builder.numbers("parameters", rows["parameters"], count).numbers("macs", rows["macs"], count).sheet()


def sizes(evidence: Evidence, language: Language) -> Sheet | None:
    """Bytes of every variant, and how many times smaller it is than the first one of its model."""
    costs = evidence.table("costs")
    if costs is None:
        return None
    first = costs.groupby("model", sort=False)["stored_bytes"].transform("first")
    builder = _Builder(language, baseline=costs["variant"].iloc[0]).code("variant", variant_names(costs))
    for column in ("weight_bytes", "table_bytes", "stored_bytes"):
        builder.numbers(column, costs[column])
    builder.numbers("compression_ratio", first / costs["stored_bytes"])
    for column in ("quantization_bytes", "file_bytes", "file_gz_bytes", "activation_peak_bytes"):
        builder.numbers(column, costs[column], lambda value: significant(value / 1024))
    return builder.sheet()


def accuracy(evidence: Evidence, language: Language) -> Sheet | None:
    """Scores on the test split: the mean over seeds, their range, and how sure a single training is."""
    scores = evidence.table("scores")
    if scores is None:
        return None
    half = (scores["accuracy_high_percent"] - scores["accuracy_low_percent"]) / 2
    groups = scores.assign(half=half).groupby(["model", "variant"], sort=False)
    means = groups.mean(numeric_only=True).reset_index()
    lowest, highest = groups["accuracy_percent"].min(), groups["accuracy_percent"].max()
    percent = UNITS["percent"]
    builder = (
        _Builder(language).code("variant", variant_names(means)).numbers("accuracy_percent", means["accuracy_percent"])
    )
    if scores["seed"].nunique() > 1:
        ranges = zip(lowest, highest, strict=True)
        builder.numbers(
            "accuracy_range_percent", [f"{percent.digits(low)}–{percent.digits(high)}" for low, high in ranges], str
        )
    builder.numbers("single_run_half_width", means["half"], decimals(2))
    for column in ("macro_precision_percent", "macro_recall_percent", "macro_f1_percent", "mean_loss"):
        builder.numbers(column, means[column])
    return builder.sheet()


def by_class(evidence: Evidence, language: Language, variant: str | None = None) -> Sheet | None:
    """Precision, recall and F1 of every class for one variant (the first one when unset)."""
    scores = evidence.table("scores_by_class")
    if scores is None:
        return None
    chosen = variant or scores["variant"].iloc[0]
    rows = scores[scores["variant"] == chosen].groupby("class", sort=False).mean(numeric_only=True)
    if rows.empty:
        return None
    builder = _Builder(language, variant=chosen).text("class", rows.index).numbers("images", rows["images"], count)
    for column in ("precision_percent", "recall_percent", "f1_percent"):
        builder.numbers(column, rows[column])
    return builder.sheet()


def comparisons(evidence: Evidence, language: Language) -> Sheet | None:
    """Paired comparison with the parent: means over seeds, sums of images, the verdict of each seed."""
    table = evidence.table("comparisons")
    if table is None:
        return None
    groups = table.groupby(["model", "variant", "parent"], sort=False)
    means = groups.mean(numeric_only=True).reset_index()
    sums = groups[["only_parent_correct", "only_variant_correct"]].sum().reset_index()
    builder = _Builder(language).code("variant", variant_names(means)).code("parent", means["parent"])
    builder.numbers("agreement_percent", means["agreement_percent"])
    builder.numbers("only_parent_correct", sums["only_parent_correct"], count)
    builder.numbers("only_variant_correct", sums["only_variant_correct"], count)
    builder.numbers("accuracy_difference_points", means["accuracy_difference_points"])
    builder.numbers("relative_l2_percent", means["relative_l2_percent"], significant)
    lowest = groups["mcnemar_p"].min()
    builder.numbers("smallest_mcnemar_p", lowest, UNITS["p"].digits)
    return builder.text("accuracy_verdict", [_tally(runs["accuracy_verdict"], language) for _, runs in groups]).sheet()


def layers(evidence: Evidence, language: Language) -> Sheet | None:
    """Relative L2 error after every layer: variants as rows, layers as columns."""
    table = evidence.table("layers")
    if table is None:
        return None
    keys = ["model", "variant", "reference"]
    names = list(dict.fromkeys(table["layer"]))
    means = table.groupby([*keys, "layer"], sort=False)["relative_l2_percent"].mean().unstack()
    rows = means.loc[list(dict.fromkeys(table[keys].itertuples(index=False, name=None)))].reset_index()
    builder = _Builder(language).code("variant", variant_names(rows)).code("reference", rows["reference"])
    for name in names:
        builder.headed(f"`{name}`", [written(value, UNITS["number"]) for value in rows[name]])
    return builder.sheet()


def activation_errors(evidence: Evidence, language: Language) -> Sheet | None:
    """SELU and GELU over all 256 codes: error of look-up table and straight lines in steps of the output."""
    rows = []
    for name, network in evidence.networks.items():
        for layer in network.layers if network.arithmetic == "integer" else ():
            if layer.activation in CURVES:
                inputs, outputs, step = approximation(layer)
                error = np.abs(outputs - activate(inputs.astype(np.float64), layer.activation)) / step
                rows.append((name.split("/")[-1], layer.name, layer.activation.upper(), error.mean(), error.max()))
    if not rows:
        return None
    names, places, functions, means, largest = zip(*rows, strict=True)
    builder = _Builder(language).code("variant", names).code("layer", places).text("function", functions)
    return builder.numbers("mean_error", means, decimals(3)).numbers("largest_error", largest, decimals(3)).sheet()


def latency(evidence: Evidence, language: Language, host: str, threads: int) -> Sheet | None:
    """Steady state of every cell of one host and thread count."""
    rows = _cells(evidence, "latency", host, threads)
    if rows is None:
        return None
    builder = _Builder(language, host=host, threads=_threads(threads, language))
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
    builder = _Builder(language, host=host, threads=_threads(threads, language))
    builder.code("variant", variant_names(rows)).code("engine", rows["engine"])
    builder.numbers("load_ms", rows["load_ms"]).numbers("first_call_ms", rows["first_call_ms"])
    builder.numbers("calls", rows["calls"], count)
    return builder.numbers("peak_rss_bytes", rows["peak_rss_bytes"] / _MEBIBYTE, significant).sheet()


def speed(evidence: Evidence, language: Language, host: str, threads: int) -> Sheet | None:
    """How many times faster than the baseline, with the verdict."""
    rows = _cells(evidence, "speed", host, threads)
    if rows is None:
        return None
    baselines = rows["baseline_variant"] + " · " + rows["baseline_engine"]
    named = language("list.join").join(f"`{name}`" for name in dict.fromkeys(baselines))
    builder = _Builder(language, host=host, threads=_threads(threads, language), baseline=named)
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
    builder = _Builder(language).code("variant", variant_names(names)).code("engine", [key[2] for key, _ in groups])
    for column, kind in {"integer_nodes": "integer", "float_nodes": "float", "unfused_nodes": "unfused"}.items():
        builder.numbers(column, [int((nodes["runs_as"] == kind).sum()) for _, nodes in groups], count)
    return builder.text("others", [_operators(nodes) for _, nodes in groups]).sheet()


def skipped(evidence: Evidence, language: Language) -> Sheet | None:
    """What could not be measured, and why."""
    rows = evidence.table("skipped")
    if rows is None:
        return None
    builder = _Builder(language).code("variant", variant_names(rows)).code("engine", rows["engine"])
    return builder.text("host", rows["host"]).text("reason", rows["reason"]).sheet()


def training(evidence: Evidence, language: Language) -> Sheet | None:
    """The last epoch of every training, and its time."""
    table = evidence.table("training")
    if table is None:
        return None
    groups = table.groupby(["model", "variant", "seed"], sort=False)
    rows = groups.last().reset_index().assign(total_s=groups["epoch_s"].sum().to_numpy())
    builder = _Builder(language).code("variant", variant_names(rows)).numbers("seed", rows["seed"], count)
    builder.numbers("epoch", rows["epoch"], count)
    for column in ("train_loss", "train_accuracy_percent", "validation_loss", "validation_accuracy_percent", "total_s"):
        builder.numbers(column, rows[column])
    return builder.sheet()


def claims(evidence: Evidence, language: Language) -> Sheet | None:
    """Published number, measured number, verdict."""
    rows = evidence.table("claims")
    if rows is None:
        return None
    statements = rows["statement_zh" if language.is_chinese else "statement_en"]
    builder = _Builder(language).text("claim", statements)
    builder.text("published", [_published(row) for row in rows.itertuples()])
    builder.text("measured", [_measured(row) for row in rows.itertuples()])
    return builder.text("verdict", [_verdict(row, language) for row in rows.itertuples()]).sheet()


def host(evidence: Evidence, language: Language, host: str) -> Sheet | None:
    """The fingerprint of a machine; what it did not tell is said."""
    card = next((card for card in evidence.hosts if card["host"] == host), None)
    if card is None:
        return None
    facts = list(_host_facts(card, language))
    builder = _Builder(language, host=host).text("field", [language(f"host.{name}") for name, _ in facts])
    return builder.text("value", [value for _, value in facts]).sheet()


SHEETS: dict[str, Callable[..., Sheet | None]] = {
    function.__name__: function
    for function in (
        *(counts, files, variants, settings, architecture, sizes, accuracy, by_class, comparisons, layers),
        *(activation_errors, latency, start, speed, audit, skipped, training, claims, host),
    )
}


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
    words = [word.strip() for word in str(reasons).replace(",", ";").split(";") if word.strip()]
    return language("list.join").join(language.known(f"noise.{word}", word) for word in words)


def _tally(verdicts: pd.Series, language: Language) -> str:
    """Say a verdict once when all seeds share it, else how many seeds have which."""
    found = verdicts.value_counts(sort=False)
    if len(found) == 1:
        return language(f"verdict.{found.index[0]}")
    parts = [f"{language(f'verdict.{verdict}')} {seeds}/{len(verdicts)}" for verdict, seeds in found.items()]
    return language("list.join").join(parts)


def _operators(nodes: pd.DataFrame) -> str:
    others = nodes[nodes["runs_as"] != "integer"]["operator"].value_counts(sort=False)
    parts = [f"{operator} × {times}" if times > 1 else str(operator) for operator, times in others.items()]
    return ", ".join(parts) or MISSING


def _settings(entry: Mapping[str, Any]) -> str:
    return (
        ", ".join(f"{key} {value}" for key, value in _flat(entry).items() if key not in ("method", "from")) or MISSING
    )


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Write nested settings as ``optimizer.lr: 0.01``; what is unset is left out."""
    flat: dict[str, str] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        elif value is not None and value != []:
            flat[prefix + key] = str(value)
    return flat


def _published(row: Any) -> str:
    if pd.notna(row.published):
        text = signed_minus(f"{row.published:,g}")
    elif pd.notna(row.published_low) and pd.notna(row.published_high):
        text = signed_minus(f"{row.published_low:,g}–{row.published_high:,g}")
    else:
        return MISSING
    return _with_unit(text, row.unit, row.kind)


def _measured(row: Any) -> str:
    if pd.isna(row.measured):
        return MISSING
    text = _with_unit(significant(row.measured, 4), row.unit)
    if pd.isna(row.measured_low):
        return text
    return f"{text} [{significant(row.measured_low, 4)}, {significant(row.measured_high, 4)}]"


def _with_unit(text: str, unit: Any, kind: str = "") -> str:
    sign = {"at_least": "≥\u202f", "at_most": "≤\u202f"}.get(kind, "")
    return f"{sign}{text}\u202f{unit}" if isinstance(unit, str) and unit else sign + text


def _verdict(row: Any, language: Language) -> str:
    verdict = f"**{language(f'verdict.{row.verdict}')}**"
    if isinstance(row.reason, str) and row.reason:
        reason = language.known(f"reason.{row.reason}", row.reason)
        return language("table.verdict_reason", verdict=verdict, reason=reason)
    return verdict


def _host_facts(card: Mapping[str, Any], language: Language) -> Iterable[tuple[str, str]]:
    def told(value: Any) -> str:
        return language.known(f"hostvalue.{value}", str(value))

    def joined(values: Sequence[str]) -> str:
        return ", ".join(values) or MISSING

    def of(value: Any, show: Callable[[Any], str], kind: type | tuple[type, ...]) -> str:
        return show(value) if isinstance(value, kind) else told(value)

    cpu, memory, container, system = card["cpu"], card["memory"], card["container"], card["operating_system"]
    yield "cpu", f"{told(cpu['model'])} ({told(cpu['architecture'])})"
    yield "cores", " / ".join(told(cpu[f"{kind}_cores"]) for kind in ("physical", "logical", "usable"))
    yield "flags", of(cpu["flags"], lambda flags: joined([name for name, present in flags.items() if present]), dict)
    yield "caches", of(cpu["caches"], lambda sizes: joined([f"{name} {size}" for name, size in sizes.items()]), dict)
    yield "governor", told(cpu["governor"])
    yield "virtual", told(cpu["virtual_machine"])
    yield "memory", _gibibytes(memory["total_bytes"])
    limits = (container["cpu_quota_cores"], of(container["memory_limit_bytes"], _gibibytes, int))
    yield "container", " / ".join(told(limit) for limit in limits)
    yield (
        "gpu",
        of(
            card["gpu"],
            lambda gpus: joined([f"{gpu['name']} ({gpu['memory']}, {gpu['driver']})" for gpu in gpus]),
            list,
        ),
    )
    yield "system", joined([told(system[name]) for name in ("distribution", "kernel", "libc")])
    yield "python", f"{card['python']['implementation']} {card['python']['version']}"
    installed = {name: version for name, version in card["libraries"].items() if version != "not installed"}
    yield "libraries", joined([f"{name} {version}" for name, version in installed.items()])
    yield "blas", f"{told(card['blas']['numpy']['name'])} {told(card['blas']['numpy']['version'])}"
    yield "code", _code(card["code"], language, told)
    yield "taken", told(card["taken_at"])


def _gibibytes(size: float) -> str:
    return f"{significant(size / 2**30)}\u202fGiB"


def _code(code: Mapping[str, Any], language: Language, told: Callable[[Any], str]) -> str:
    revision = told(code["revision"])
    if not isinstance(code["uncommitted_changes"], bool):
        return revision
    state = language("hostvalue.dirty" if code["uncommitted_changes"] else "hostvalue.clean")
    return f"`{revision[:12]}` ({state})"
