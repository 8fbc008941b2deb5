"""What a variant takes to store: bytes, what pruning leaves, where sparse weights pay."""

import pandas as pd
from compresslab.report.evidence import Evidence
from compresslab.report.exhibits.sheets import Builder, Sheet
from compresslab.report.figures.drawing import variant_names
from compresslab.report.languages import Language
from compresslab.report.numbers import *


def sizes(evidence: Evidence, language: Language) -> Sheet | None:
    """Bytes of every variant, and how many times smaller it is than the first one of its model."""
    costs = evidence.table("costs")
    if costs is None:
        return None
    first = costs.groupby("model", sort=False)["stored_bytes"].transform("first")
    builder = Builder(language, baseline=costs["variant"].iloc[0]).code("variant", variant_names(costs))
    for column in ("weight_bytes", "table_bytes", "stored_bytes"):
        builder.numbers(column, costs[column])
    builder.numbers("compression_ratio", first / costs["stored_bytes"])
    for column in ("quantization_bytes", "file_bytes", "file_gz_bytes", "activation_peak_bytes"):
        builder.numbers(column, costs[column], lambda value: significant(value / 1024))
    return builder.sheet()
