"""How good the answers are: scores, classes, paired comparisons, errors per layer, training."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from compresslab.models.numpy.activations import CURVES, activate
from compresslab.report.evidence import Evidence
from compresslab.report.exhibits.sheets import Builder, Sheet
from compresslab.report.facts import Sensitive
from compresslab.report.figures.activations import approximation
from compresslab.report.figures.drawing import variant_names
from compresslab.report.findings import Findings
from compresslab.report.languages import Language
from compresslab.report.names import Names
from compresslab.report.numbers import UNITS, count, decimals, significant, written
from compresslab.report.paired import mean_difference

_MOST_LAYERS_ABREAST = 24
"""Columns of layers that a page has room for."""


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
        Builder(language).code("variant", variant_names(means)).numbers("accuracy_percent", means["accuracy_percent"])
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
    names = Names(evidence.subject)
    chosen = names.resolved(variant) if variant else names.of(scores).iloc[0]
    rows = scores[names.of(scores) == chosen].groupby("class", sort=False).mean(numeric_only=True)
    if rows.empty:
        return None
    builder = Builder(language, variant=chosen).text("class", rows.index).numbers("images", rows["images"], count)
    for column in ("precision_percent", "recall_percent", "f1_percent"):
        builder.numbers(column, rows[column])
    return builder.sheet()


def recall(evidence: Evidence, language: Language, chosen: Iterable[str]) -> Sheet | None:
    """Mean recall over the seeds of every class, side by side for some variants."""
    scores = evidence.table("scores_by_class")
    if scores is None:
        return None
    names = Names(evidence.subject)
    means = scores.groupby([names.of(scores), "class"], sort=False)["recall_percent"].mean()
    found = [name for name in map(names.resolved, chosen) if name in means.index.get_level_values(0)]
    if not found:
        return None
    classes = list(dict.fromkeys(scores["class"]))
    builder = Builder(language).text("class", classes)
    for name in found:
        builder.headed(f"`{name}`", [written(means.get((name, label)), UNITS["percent"]) for label in classes])
    return builder.sheet()


def comparisons(
    evidence: Evidence, language: Language, against: str | None = None, confidence: bool = False
) -> Sheet | None:
    """Paired comparisons: means over seeds with their intervals, sums of images, each seed's verdict.

    ``against`` picks the references: ``parent``, ``sibling`` (of the same model, but no parent), ``model`` (of another
    model); all of them when unset. The interval is that of the mean over seeds, or the one seed's own. ``confidence``
    adds how far the confidence in the reference's answers moves.
    """
    table = evidence.table("comparisons")
    if table is None:
        return None
    names = Names(evidence.subject)
    kinds = [_kind(evidence, names, *map(str, row)) for row in table[["model", "variant", "reference"]].to_numpy()]
    if against is not None:
        table = table[[kind == against for kind in kinds]]
    if table.empty:
        return None
    groups = table.groupby(["model", "variant", "reference"], sort=False)
    means = groups.mean(numeric_only=True).reset_index()
    sums = groups[["only_reference_correct", "only_variant_correct"]].sum().reset_index()
    references = [names.beside(str(name), str(model)) for name, model in means[["reference", "model"]].to_numpy()]
    spoken = language(f"table.against.{against or 'all'}")
    builder = Builder(language, references=spoken).code("variant", names.of(means)).code("reference", references)
    builder.numbers("agreement_percent", means["agreement_percent"])
    builder.numbers("only_reference_correct", sums["only_reference_correct"], count)
    builder.numbers("only_variant_correct", sums["only_variant_correct"], count)
    differences = [mean_difference(runs) for _, runs in groups]
    means = means.assign(low=[found.low for found in differences], high=[found.high for found in differences])
    builder.intervals("accuracy_difference_points", means, "low", "high")
    builder.numbers("relative_l2_percent", means["relative_l2_percent"], significant)
    if confidence:
        builder.numbers("confidence_shift_points", means["confidence_shift_points"])
        builder.numbers("confidence_distance_points", means["confidence_distance_points"], decimals(2))
    builder.numbers("smallest_mcnemar_p", groups["mcnemar_p"].min(), UNITS["p"].digits)
    return builder.text("accuracy_verdict", [_tally(runs["accuracy_verdict"], language) for _, runs in groups]).sheet()


def layers(evidence: Evidence, language: Language) -> Sheet | None:
    """Relative L2 error after every layer: variants as rows and layers as columns, or the other way for many layers."""
    table = evidence.table("layers")
    if table is None:
        return None
    keys = ["model", "variant", "reference"]
    names = list(dict.fromkeys(table["layer"]))
    means = table.groupby([*keys, "layer"], sort=False)["relative_l2_percent"].mean().unstack()
    rows = means.loc[list(dict.fromkeys(table[keys].itertuples(index=False, name=None)))].reset_index()
    if len(names) > _MOST_LAYERS_ABREAST:
        builder = Builder(language).code("layer", names)
        pairs = variant_names(rows) + " ← " + rows["reference"]
        for pair, (_, row) in zip(pairs, rows.iterrows(), strict=True):
            builder.headed(f"`{pair}`", [written(float(row[name]), UNITS["number"]) for name in names])
        return builder.sheet()
    builder = Builder(language).code("variant", variant_names(rows)).code("reference", rows["reference"])
    for name in names:
        builder.headed(f"`{name}`", [written(value, UNITS["number"]) for value in rows[name]])
    return builder.sheet()


def sensitivity(evidence: Evidence, language: Language, variant: str) -> Sheet | None:
    """Every layer of a mixed variant, quantized alone: means over the seeds, and whether the variant keeps it float."""
    layers = Findings(evidence).sensitivity(variant)
    if not layers:
        return None
    kept = [_kept(layer, language) for layer in layers]
    builder = Builder(language, variant=Names(evidence.subject).resolved(variant), images=f"{layers[0].images:,}")
    builder.code("layer", [layer.layer for layer in layers]).text("operator", [layer.operator for layer in layers])
    builder.numbers("macs", [layer.macs for layer in layers], count)
    builder.numbers("relative_l2_percent", [layer.relative_l2_percent for layer in layers], significant)
    builder.numbers("agreement_percent", [layer.agreement_percent for layer in layers])
    builder.numbers("loss_increase", [layer.loss_increase for layer in layers], decimals(4, sign=True))
    builder.numbers("accuracy_difference_points", [layer.accuracy_difference_points for layer in layers])
    return builder.text("kept_float", kept).sheet()


def _kept(layer: Sensitive, language: Language) -> str:
    """Say whether a layer stays float, with the number of seeds where they differ."""
    said = language("table.yes" if layer.kept_float else "table.no")
    return f"{said} {layer.kept_float}/{layer.seeds}" if 0 < layer.kept_float < layer.seeds else said


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
    builder = Builder(language).code("variant", names).code("layer", places).text("function", functions)
    return builder.numbers("mean_error", means, decimals(3)).numbers("largest_error", largest, decimals(3)).sheet()


def training(evidence: Evidence, language: Language) -> Sheet | None:
    """The kept epoch of every training that began with fresh weights, and its time."""
    return _kept_epochs(evidence, language, fresh=True)


def fine_tuning(evidence: Evidence, language: Language) -> Sheet | None:
    """The kept epoch of every training that went on from a parent's weights, and its time."""
    return _kept_epochs(evidence, language, fresh=False)


def _kept_epochs(evidence: Evidence, language: Language, fresh: bool) -> Sheet | None:
    table = evidence.table("training")
    if table is None:
        return None
    places = table[["model", "variant"]].to_numpy()
    table = table[[(_parent(evidence, str(model), str(name)) is None) == fresh for model, name in places]]
    if table.empty:
        return None
    groups = table.groupby(["model", "variant", "seed"], sort=False)
    rows = table[table["kept"]].assign(total_s=groups["epoch_s"].transform("sum"))
    builder = Builder(language).code("variant", variant_names(rows)).numbers("seed", rows["seed"], count)
    builder.numbers("epoch", rows["epoch"], count)
    scored = "accuracy" if rows["validation_miou_percent"].isna().all() else "miou"
    for column in (
        "train_loss",
        f"train_{scored}_percent",
        "validation_loss",
        f"validation_{scored}_percent",
        "total_s",
    ):
        builder.numbers(column, rows[column])
    return builder.sheet()


def _kind(evidence: Evidence, names: Names, model: str, variant: str, reference: str) -> str:
    """What a reference is to a variant: its ``parent``, a ``sibling`` of the same model, or of another ``model``."""
    of_model, name = names.place(reference, model) or (model, reference)
    if of_model != model:
        return "model"
    return "parent" if _parent(evidence, model, variant) == name else "sibling"


def _parent(evidence: Evidence, model: str, variant: str) -> Any:
    """What the configuration says a variant is made from, or None."""
    return evidence.subject.models.get(model, {}).get("variants", {}).get(variant, {}).get("from")


def _tally(verdicts: pd.Series, language: Language) -> str:
    """Say a verdict once when all seeds share it, else how many seeds have which."""
    found = verdicts.value_counts(sort=False)
    if len(found) == 1:
        return language(f"verdict.{found.index[0]}")
    parts = [f"{language(f'verdict.{verdict}')} {seeds}/{len(verdicts)}" for verdict, seeds in found.items()]
    return language("list.join").join(parts)
