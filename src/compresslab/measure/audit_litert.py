"""What LiteRT really runs in integers: the types of an operation's tensors decide its kernel."""

from pathlib import Path

from compresslab.measure.audit_row import AuditError, Row
from compresslab.models.litert.artifact import load
from compresslab.models.litert.operators import COMPUTE, CONVERSIONS, named_operators


def audit(model: Path, allow_float: list[str]) -> list[Row]:
    """Return a row for every operation of ``model``; ``allow_float`` holds names of rows.

    Conversions between integer and float, and changes of layout alone, are left out. Activations and poolings may run
    in either. Raises AuditError when a convolution or matrix product of a quantized model runs in float unexpectedly,
    and when ``allow_float`` names a row that the model does not have; never for a float model.
    """
    opened = load(model)
    operators = list(named_operators(opened))
    if unknown := sorted(set(allow_float) - {named.name for named in operators}):
        raise AuditError(f"{model}: allow_float names {', '.join(unknown)}, which the model does not have")
    quantized = any(named.runs_as != "float" for named in operators) or any(
        operator.name in CONVERSIONS for operator in opened.graph.operators
    )
    rows = [
        Row(
            named.name,
            named.operator.name,
            named.runs_as,
            named.operator.name not in COMPUTE
            or named.runs_as == "integer"
            or not quantized
            or named.name in allow_float,
        )
        for named in operators
    ]
    if surprises := [f"{row.node} ({row.operator}, {row.runs_as})" for row in rows if not row.expected]:
        raise AuditError(
            f"{model}: LiteRT computes in float: {', '.join(surprises)}; quantize these layers too, or name them in "
            "allow_float"
        )
    return rows
