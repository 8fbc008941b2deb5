"""Answers per pixel: what was labelled, how the networks were trained, how well they overlap, and at what cost."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from compresslab.report.evidence import Evidence
from compresslab.report.exhibits.sheets import Builder, Sheet
from compresslab.report.facts import Merit, OverlapChange
from compresslab.report.findings import Findings
from compresslab.report.languages import Language
from compresslab.report.names import Names
from compresslab.report.numbers import (
    MISSING,
    NO_BREAK_SPACE,
    UNITS,
    Unit,
    count,
    interval,
    significant,
    written,
)

LOSSES = {"cross_entropy": "CE", "dice": "Dice", "lovasz": "Lovász"}
"""Terms of a loss by their names in the configuration, as the report calls them."""

_VOID = "void"
"""What a data card calls the pixels of no class."""


def pixels(evidence: Evidence, language: Language) -> Sheet | None:
    """Images per split, and the share of every class in their pixels; that of no class is of all pixels."""
    card = evidence.card
    if card.task != "segmentation":
        return None
    labelled = {split: sum(classes.values()) for split, classes in card.counts.items()}
    void = {split: card.void_pixels.get(split, 0) for split in labelled}
    builder = Builder(language).text("split", [language(f"split.{split}") for split in labelled])
    builder.numbers("images", [card.images.get(split) for split in labelled], _whole)
    for name in card.classes:
        shares = [_percent(card.counts[split].get(name, 0), total) for split, total in labelled.items()]
        builder.headed(name, shares)
    builder.headed(_VOID, [_percent(void[split], total + void[split]) for split, total in labelled.items()])
    return builder.sheet()


def label_map(evidence: Evidence, language: Language) -> Sheet | None:
    """Every class, and the published labels that became it."""
    becomes = evidence.card.label_map
    if not becomes:
        return None
    classes = [*evidence.card.classes, *([_VOID] if _VOID in becomes.values() else [])]
    published = [[label for label, name in becomes.items() if name == chosen] for chosen in classes]
    builder = Builder(language).code("class", classes)
    return builder.text("published_labels", [", ".join(labels) or MISSING for labels in published]).sheet()


def networks(evidence: Evidence, language: Language, chosen: Sequence[str]) -> Sheet | None:
    """What the networks of some variants are, how many parameters they have and what they multiply and hold."""
    found, names = Findings(evidence), Names(evidence.subject)
    rows = [(name, counted) for name in map(names.resolved, chosen) if (counted := found.counted(name))]
    if not rows:
        return None
    builder = Builder(language).code("variant", [name for name, _ in rows])
    builder.text("architecture", [_architecture(evidence, names, name) for name, _ in rows])
    for column in ("parameters", "macs"):
        builder.numbers(column, [counted[column] for _, counted in rows], count)
    builder.numbers("stored_bytes", [counted["stored_bytes"] for _, counted in rows])
    peaks = [counted["activation_peak_bytes"] for _, counted in rows]
    return builder.numbers("activation_peak_bytes", peaks, lambda size: significant(size / 1024)).sheet()


def recipes(evidence: Evidence, language: Language) -> Sheet | None:
    """How every trained variant was trained; those of one recipe share a row."""
    names = Names(evidence.subject)
    shared: dict[tuple[str, ...], list[str]] = {}
    for model, entry in evidence.subject.models.items():
        for name, settings in entry["variants"].items():
            if "epochs" in settings:
                shared.setdefault(_recipe(settings), []).append(names.name(model, name))
    if not shared:
        return None
    builder = Builder(language)
    builder.text("variant", [", ".join(f"`{name}`" for name in variants) for variants in shared.values()])
    headers = ("loss", "epochs", "batch", "optimizer", "schedule", "augmentation", "keep")
    for header, cells in zip(headers, zip(*shared, strict=True), strict=True):
        builder.text(f"recipe.{header}", cells)
    return builder.sheet()


def segmentation(evidence: Evidence, language: Language, chosen: Sequence[str] | None = None) -> Sheet | None:
    """Mean IoU and pixel accuracy on the test split, of some variants or of all: means over the seeds."""
    found, names = Findings(evidence), Names(evidence.subject)
    wanted = found.segmented if chosen is None else map(names.resolved, chosen)
    overlaps = [overlap for name in wanted if (overlap := found.overlap(name))]
    if not overlaps:
        return None
    builder = Builder(language, images=f"{overlaps[0].images:,}", pixels=f"{overlaps[0].pixels:,}")
    builder.code("variant", [overlap.variant for overlap in overlaps])
    builder.intervals("miou_percent", pd.DataFrame(map(vars, overlaps)), "low", "high")
    percent = UNITS["percent"]
    if max(overlap.seeds for overlap in overlaps) > 1:
        ranges = [f"{percent.digits(overlap.lowest)}–{percent.digits(overlap.highest)}" for overlap in overlaps]
        builder.numbers("miou_range_percent", ranges, str)
    return builder.numbers("pixel_accuracy_percent", [overlap.pixel_accuracy_percent for overlap in overlaps]).sheet()


def class_iou(evidence: Evidence, language: Language, chosen: Sequence[str]) -> Sheet | None:
    """IoU of every class, side by side for some variants: means over the seeds."""
    found, names = Findings(evidence), Names(evidence.subject)
    columns = {name: found.class_overlaps(name) for name in map(names.resolved, chosen)}
    columns = {name: overlaps for name, overlaps in columns.items() if overlaps}
    if not columns:
        return None
    shares = {overlap.name: overlap.share_percent for overlaps in columns.values() for overlap in overlaps}
    builder = Builder(language).text("class", shares).numbers("pixel_share_percent", shares.values())
    for name, overlaps in columns.items():
        ious = {overlap.name: overlap.iou_percent for overlap in overlaps}
        builder.headed(f"`{name}`", [written(ious.get(label), UNITS["percent"]) for label in shares])
    return builder.sheet()


def overlap_comparisons(
    evidence: Evidence, language: Language, chosen: Sequence[tuple[str, str]] | None = None
) -> Sheet | None:
    """Paired comparisons by mean IoU: those of some pairs (variant, reference), or all that were made."""
    pairs = _compared(evidence) if chosen is None else chosen
    found = Findings(evidence)
    changes = [change for pair in pairs if (change := found.overlap_change(*pair))]
    if not changes:
        return None
    builder = Builder(language).code("variant", [change.variant for change in changes])
    builder.code("reference", [change.reference for change in changes])
    return _changes(builder, changes, language).sheet()


def quantization(evidence: Evidence, language: Language, chosen: Sequence[str], baseline: str) -> Sheet | None:
    """FP32, simulated and real integers side by side: mean IoU, its change, bytes, and speed with one thread."""
    found, names = Findings(evidence), Names(evidence.subject)
    overlaps = [overlap for name in map(names.resolved, chosen) if (overlap := found.overlap(name))]
    if not overlaps:
        return None
    variants = [overlap.variant for overlap in overlaps]
    builder = Builder(language, baseline=names.resolved(baseline), host=evidence.subject.host).code("variant", variants)
    builder.text("arithmetic", [language(f"arithmetic.{precision(evidence, name)}") for name in variants])
    builder.intervals("miou_percent", pd.DataFrame(map(vars, overlaps)), "low", "high")
    changes = [found.overlap_change(name, baseline) if name != names.resolved(baseline) else None for name in variants]
    _changes(builder, changes, language)
    costs = [found.counted(name) or {} for name in variants]
    builder.numbers("file_bytes", [row.get("file_bytes") for row in costs])
    cells = [_cell(evidence, names, name) for name in variants]
    return (
        builder.code("engine", [cell.get("engine") for cell in cells])
        .numbers("p50_ms", [cell.get("p50_ms") for cell in cells])
        .sheet()
    )


def merit(evidence: Evidence, language: Language) -> Sheet | None:
    """FLOPs, bytes, cost, mean IoU and figure of merit of every variant, and whether the figure means anything."""
    merits = Findings(evidence).merits
    if not merits:
        return None
    builder = Builder(language, baseline=merits[0].baseline).code("variant", [row.variant for row in merits])
    builder.numbers("gflops", [row.gflops for row in merits]).numbers("model_mb", [row.model_mb for row in merits])
    builder.numbers("cost_gflops2_mb2", [row.cost for row in merits])
    overlaps = [_with_interval(row.miou_percent, row.miou_low, row.miou_high, UNITS["percent"]) for row in merits]
    builder.numbers("miou_percent", overlaps, str)
    builder.numbers("merit", [_with_interval(row.merit, row.merit_low, row.merit_high) for row in merits], str)
    return builder.text("condition", [language(f"condition.{row.condition}") for row in merits]).sheet()


def search(evidence: Evidence, language: Language) -> Sheet | None:
    """Every variant against the baseline: cost, mean IoU, figure of merit, and whether another one beats it in both."""
    merits = Findings(evidence).merits
    if not merits:
        return None
    builder = Builder(language, baseline=merits[0].baseline).code("variant", [row.variant for row in merits])
    builder.numbers("cost_ratio", [row.cost_ratio for row in merits])
    builder.numbers("miou_to_baseline_points", [_points(row) for row in merits], str)
    builder.text("miou_to_baseline_verdict", [_verdict(row, language) for row in merits])
    builder.numbers("merit_ratio", [_ratio(row) for row in merits], str)
    builder.numbers("validation_miou_percent", [row.validation_miou_percent for row in merits])
    return builder.text("on_front", [_front(row, language) for row in merits]).sheet()


def precision(evidence: Evidence, variant: str) -> str:
    """In what a variant computes: ``float``, ``simulated`` integers, or ``integer``."""
    return evidence.subject.arithmetic.get(Names(evidence.subject).resolved(variant), "float")


def _whole(value: int | None) -> str:
    return MISSING if value is None else count(value)


def _percent(part: int, whole: int) -> str:
    return MISSING if whole == 0 else UNITS["percent"].digits(100 * part / whole)


def _architecture(evidence: Evidence, names: Names, variant: str) -> str:
    """Write an architecture with its own arguments, as the configuration names them."""
    place = names.place(variant)
    model = evidence.subject.models[place[0]] if place else {}
    arguments = ", ".join(f"{name} {value}" for name, value in model.get("arguments", {}).items())
    name = model.get("architecture") or (place[0] if place else variant)
    return f"`{name}` ({arguments})" if arguments else f"`{name}`"


def _recipe(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Say a training in the columns of ``recipes``; what a method does not know is a dash."""
    optimizer, schedule = settings["optimizer"], str(settings["schedule"])
    steps = settings.get("step_epochs")
    return (
        loss_terms(settings.get("loss")),
        str(settings["epochs"]),
        str(settings["batch"]),
        f"{optimizer['name']}, {optimizer['lr']:g}",
        f"{schedule}, {steps}" if schedule == "step" and steps else schedule,
        str(settings["augmentation"]),
        str(settings["keep"]),
    )


def loss_terms(loss: Mapping[str, float] | None) -> str:
    """Write a loss as its weighted terms, ``CE + 0.5 Lovász``; cross entropy where nothing else is said."""
    weights = {name: weight for name, weight in (loss or {}).items() if weight} or {"cross_entropy": 1.0}
    named = [(LOSSES.get(name, name), weight) for name, weight in weights.items()]
    return " + ".join(name if weight == 1 else f"{weight:g} {name}" for name, weight in named)


def _compared(evidence: Evidence) -> list[tuple[str, str]]:
    table, names = evidence.table("segmentation_comparisons"), Names(evidence.subject)
    if table is None:
        return []
    pairs = zip(names.of(table), table["reference"], table["model"], strict=True)
    return list(dict.fromkeys((str(name), names.resolved(str(other), str(model))) for name, other, model in pairs))


def _changes(builder: Builder, changes: Sequence[OverlapChange | None], language: Language) -> Builder:
    points = UNITS["points"]
    differences = [
        MISSING if change is None else _with_interval(change.difference_points, change.low, change.high, points)
        for change in changes
    ]
    builder.numbers("miou_difference_points", differences, str)
    builder.text(
        "miou_verdict", [MISSING if change is None else language(f"verdict.{change.verdict}") for change in changes]
    )
    agreements = [None if change is None else change.agreement_percent for change in changes]
    return builder.numbers("pixel_agreement_percent", agreements)


def _cell(evidence: Evidence, names: Names, name: str) -> Mapping[Any, Any]:
    """The first engine of a variant on the run's own host with one thread; empty when it was not timed."""
    table = evidence.table("latency")
    if table is None:
        return {}
    rows = table[(names.of(table) == name) & (table["host"] == evidence.subject.host) & (table["threads"] == 1)]
    return {} if rows.empty else rows.to_dict("records")[0]


def _with_interval(value: float | None, low: float | None, high: float | None, unit: Unit = UNITS["number"]) -> str:
    """Write a value and its interval; an end that is None is open."""
    if value is None:
        return MISSING
    ends = interval(0.0 if low is None else low, float("inf") if high is None else high, unit)
    return f"{written(value, unit)}{NO_BREAK_SPACE}{ends}"


def _points(row: Merit) -> str:
    if row.variant == row.baseline:
        return MISSING
    return _with_interval(row.miou_points, row.miou_points_low, row.miou_points_high, UNITS["points"])


def _ratio(row: Merit) -> str:
    if row.variant == row.baseline:
        return MISSING
    return _with_interval(row.merit_ratio, row.merit_ratio_low, row.merit_ratio_high)


def _verdict(row: Merit, language: Language) -> str:
    return MISSING if row.variant == row.baseline else language(f"verdict.{row.verdict}")


def _front(row: Merit, language: Language) -> str:
    """Say whether a variant is on the Pareto front, with the number of seeds where they differ."""
    said = language("table.yes" if row.fronts else "table.no")
    return f"{said} {row.fronts}/{row.seeds}" if 0 < row.fronts < row.seeds else said
