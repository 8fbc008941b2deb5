"""What an audit says of one operator, the same for every runtime."""

from dataclasses import dataclass


class AuditError(ValueError):
    """An integer variant computes in float where nobody allowed it; names the nodes."""


@dataclass(frozen=True)
class Row:
    """One operator that a runtime executes.

    ``runs_as`` is ``integer``, ``float``, or ``unfused``: a convolution or matrix product in float whose input was
    dequantized for it. ``expected`` is false for a convolution or matrix product of an integer variant that is not
    integer although ``allow_float`` does not name it.
    """

    node: str
    operator: str
    runs_as: str
    expected: bool
