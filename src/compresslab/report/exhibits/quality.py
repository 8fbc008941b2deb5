"""How good the answers are: scores, classes, paired comparisons, errors per layer, training."""

import numpy as np
import pandas as pd

from compresslab.report.evidence import Evidence
from compresslab.report.exhibits.sheets import Builder, Sheet
from compresslab.report.figures.drawing import variant_names
from compresslab.report.languages import Language
from compresslab.report.numbers import *


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
    chosen = variant or scores["variant"].iloc[0]
    rows = scores[scores["variant"] == chosen].groupby("class", sort=False).mean(numeric_only=True)
    if rows.empty:
        return None
    builder = Builder(language, variant=chosen).text("class", rows.index).numbers("images", rows["images"], count)
    for column in ("precision_percent", "recall_percent", "f1_percent"):
        builder.numbers(column, rows[column])
    return builder.sheet()


def comparisons(evidence: Evidence, language: Language) -> Sheet | None:
    """Paired comparison with parents and other references: means over seeds, sums of images, each seed's verdict."""
    table = evidence.table("comparisons")
    if table is None:
        return None
    groups = table.groupby(["model", "variant", "reference"], sort=False)
    means = groups.mean(numeric_only=True).reset_index()
    sums = groups[["only_reference_correct", "only_variant_correct"]].sum().reset_index()
    builder = Builder(language).code("variant", variant_names(means)).code("reference", means["reference"])
    builder.numbers("agreement_percent", means["agreement_percent"])
    builder.numbers("only_reference_correct", sums["only_reference_correct"], count)
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
    builder = Builder(language).code("variant", variant_names(rows)).code("reference", rows["reference"])
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
    builder = Builder(language).code("variant", names).code("layer", places).text("function", functions)
    return builder.numbers("mean_error", means, decimals(3)).numbers("largest_error", largest, decimals(3)).sheet()


def training(evidence: Evidence, language: Language) -> Sheet | None:
    """The last epoch of every training, and its time."""
    table = evidence.table("training")
    if table is None:
        return None
    groups = table.groupby(["model", "variant", "seed"], sort=False)
    rows = groups.last().reset_index().assign(total_s=groups["epoch_s"].sum().to_numpy())
    builder = Builder(language).code("variant", variant_names(rows)).numbers("seed", rows["seed"], count)
    builder.numbers("epoch", rows["epoch"], count)
    for column in ("train_loss", "train_accuracy_percent", "validation_loss", "validation_accuracy_percent", "total_s"):
        builder.numbers(column, rows[column])
    return builder.sheet()


def _tally(verdicts: pd.Series, language: Language) -> str:
    """Say a verdict once when all seeds share it, else how many seeds have which."""
    found = verdicts.value_counts(sort=False)
    if len(found) == 1:
        return language(f"verdict.{found.index[0]}")
    parts = [f"{language(f'verdict.{verdict}')} {seeds}/{len(verdicts)}" for verdict, seeds in found.items()]
    return language("list.join").join(parts)
