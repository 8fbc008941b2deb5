"""What a variant takes to store: bytes, what pruning and clustering leave of them, and where sparse weights pay."""

from collections.abc import Sequence

import pandas as pd

from compresslab.report.evidence import Evidence
from compresslab.report.exhibits.sheets import Builder, Sheet
from compresslab.report.figures.drawing import variant_names
from compresslab.report.findings import Findings
from compresslab.report.languages import Language
from compresslab.report.names import Names
from compresslab.report.numbers import MISSING, UNITS, count, decimals, significant

_SHOWN_SPARSITY = 50
"""The sparsity at which the time of a sparse product is shown: that of the lab's pruning."""


def sizes(evidence: Evidence, language: Language) -> Sheet | None:
    """Bytes of every variant, and how many times smaller it is than the first one of its model."""
    costs = evidence.table("costs")
    if costs is None:
        return None
    first = costs.groupby("model", sort=False)["stored_bytes"].transform("first")
    baselines = dict.fromkeys(variant_names(costs.groupby("model", sort=False).head(1)))
    named = language("list.join").join(f"`{name}`" for name in baselines)
    builder = Builder(language, baseline=named).code("variant", variant_names(costs))
    for column in ("weight_bytes", "table_bytes", "stored_bytes"):
        if costs[column].any():
            builder.numbers(column, costs[column])
    builder.numbers("compression_ratio", first / costs["stored_bytes"])
    for column in ("quantization_bytes", "file_bytes", "file_gz_bytes", "activation_peak_bytes"):
        builder.numbers(column, costs[column], lambda value: significant(value / 1024))
    return builder.sheet()


def costs(evidence: Evidence, language: Language) -> Sheet | None:
    """What every variant stores and what one inference computes and holds."""
    table = evidence.table("costs")
    if table is None:
        return None
    builder = Builder(language).code("variant", variant_names(table))
    for column in ("parameters", "nonzero_parameters", "macs"):
        builder.numbers(column, table[column], count)
    for column in ("weight_bytes", "file_bytes", "file_gz_bytes", "activation_bytes", "activation_peak_bytes"):
        builder.numbers(column, table[column], lambda value: significant(value / 1024))
    return builder.sheet()


def pruning(evidence: Evidence, language: Language, chosen: Sequence[str]) -> Sheet | None:
    """Weights, zeros and bytes of some variants, parents and children; the gzip file as a share of the parent's."""
    found, names = Findings(evidence), Names(evidence.subject)
    rows = [(name, counted, found.slimming(name)) for name in chosen if (counted := found.counted(name))]
    if not rows:
        return None
    costs = pd.DataFrame([counted for _, counted, _ in rows])
    builder = Builder(language).code("variant", [names.resolved(name) for name, _, _ in rows])
    builder.numbers("parameters", costs["parameters"], count)
    builder.numbers("sparsity_percent", 100 - 100 * costs["nonzero_parameters"] / costs["parameters"], decimals(1))
    builder.numbers("macs", costs["macs"], count)
    for column in ("file_bytes", "file_gz_bytes"):
        builder.numbers(column, costs[column], lambda value: significant(value / 1024))
    shares = [MISSING if slimmed is None else decimals(1)(slimmed.gzip_percent) for _, _, slimmed in rows]
    builder.numbers("gzip_share_percent", shares, str)
    return builder.numbers("sparse_bytes", costs["sparse_bytes"], lambda value: significant(value / 1024)).sheet()


def sparse_products(evidence: Evidence, language: Language) -> Sheet | None:
    """For every layer and batch: time of the sparse product at half the weights, and from which sparsity it pays."""
    table = evidence.table("sparse_products")
    if table is None:
        return None
    table = table[table["host"] == evidence.subject.host]
    found = Findings(evidence)
    evens = [even for batch in sorted(table["batch"].unique()) for even in found.break_evens(int(batch))]
    if not evens:
        return None
    half = table[table["sparsity_percent"] == _SHOWN_SPARSITY].set_index(["layer", "batch"])["sparse_to_dense_ratio"]
    builder = Builder(language, sparsity=_SHOWN_SPARSITY).code("layer", [even.layer for even in evens])
    builder.numbers("batch", [even.batch for even in evens], count)
    builder.numbers("sparse_to_dense_ratio", [half.get((even.layer, even.batch)) for even in evens])
    never = language("table.never")
    builder.numbers("faster_from_percent", [_from(even.faster_percent, never) for even in evens], str)
    return builder.numbers("smaller_from_percent", [_from(even.smaller_percent, never) for even in evens], str).sheet()


def _from(percent: float | None, never: str) -> str:
    return never if percent is None else UNITS["count"].digits(percent)
