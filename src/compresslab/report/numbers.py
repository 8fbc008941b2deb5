"""Numbers for people: the same digits in every language, a unit at each, a fixed number of figures.

The unit is the end of a column's name (``p50_ms``, ``accuracy_percent``); what each unit looks like is one table.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from compresslab.report.typography import UNIT_SPACE

MINUS = "\u2212"
MISSING = "\u2014"
NO_BREAK_SPACE = "\u00a0"
KIBIBYTE = 1024
MEBIBYTE = KIBIBYTE**2


@dataclass(frozen=True)
class Unit:
    """How the numbers of one unit are written: digits, scaling, and the symbol after them."""

    write: Callable[[float], str]
    symbol: str = ""
    factor: float = 1.0

    def digits(self, value: float) -> str:
        """Return the number without its unit."""
        return self.write(value * self.factor)

    def full(self, value: float) -> str:
        """Return the number with its unit."""
        return self.digits(value) + (UNIT_SPACE + self.symbol if self.symbol else "")


def significant(value: float, figures: int = 3) -> str:
    """Write ``value`` with ``figures`` significant figures and thousands separators, never in powers of ten.

    >>> significant(2.0934), significant(14321.7), significant(0.00012349)
    ('2.09', '14,322', '0.000123')
    """
    if value == 0:
        return "0"
    decimals = max(0, figures - 1 - _magnitude(value, figures))
    return signed_minus(f"{value:,.{decimals}f}")


def decimals(count: int, sign: bool = False) -> Callable[[float], str]:
    """Return a writer with a fixed number of decimals, and with a plus sign when ``sign``."""

    def write(value: float) -> str:
        rounded = round(value, count) + 0.0  # Adding zero turns a rounded −0.0 into 0.0.
        return signed_minus(f"{rounded:{'+' if sign and rounded else ''},.{count}f}")

    return write


def signed_minus(text: str) -> str:
    """Replace the hyphen of a negative number by the minus sign."""
    return text.replace("-", MINUS)


def p_value(value: float) -> str:
    """Write a probability with two significant figures; below one in a thousand only that it is."""
    return "<" + UNIT_SPACE + "0.001" if value < 0.001 else significant(value, 2)


def count(value: float) -> str:
    """Write a whole number with thousands separators."""
    return signed_minus(f"{round(value):,}")


UNITS: dict[str, Unit] = {
    "percent": Unit(decimals(2), "%"),
    "points": Unit(decimals(2, sign=True)),
    "ms": Unit(significant, "ms"),
    "s": Unit(significant, "s"),
    "bytes": Unit(decimals(2), "KiB", 1 / KIBIBYTE),
    "large_bytes": Unit(significant, "MiB", 1 / MEBIBYTE),
    "per_s": Unit(significant, "/s"),
    "ratio": Unit(significant, "×"),
    "db": Unit(decimals(1), "dB"),
    "p": Unit(p_value),
    "count": Unit(count),
    "number": Unit(significant),
}

_ENDINGS = ("percent", "points", "ms", "per_s", "s", "bytes", "ratio", "db", "p")


def unit_of(column: str) -> Unit:
    """Return the unit that a column's name ends with; numbers without one have three significant figures.

    >>> unit_of("p50_low_ms").symbol, unit_of("latency_ratio_low").symbol
    ('ms', '×')
    """
    name = column.removesuffix("_low").removesuffix("_high")
    return next((UNITS[ending] for ending in _ENDINGS if name.endswith("_" + ending)), UNITS["number"])


def written(value: Any, unit: Unit, with_unit: bool = False) -> str:
    """Write one cell; a missing value is a dash, never ``nan``."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return MISSING
    if isinstance(value, float) and math.isinf(value):
        return MINUS * (value < 0) + "∞"
    return unit.full(value) if with_unit else unit.digits(value)


def interval(low: float, high: float, unit: Unit) -> str:
    """Write an interval in brackets, without the unit."""
    return f"[{written(low, unit)},{NO_BREAK_SPACE}{written(high, unit)}]"


def _magnitude(value: float, figures: int) -> int:
    """Power of ten of the leading figure after rounding (9.996 with three figures is 10.0)."""
    rounded = float(f"{value:.{figures - 1}e}")
    return math.floor(math.log10(abs(rounded)))
