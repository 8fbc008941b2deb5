"""A table as people read it, and how one is put together: columns headed by the catalogue, numbers by their unit."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from compresslab.report.languages import Language
from compresslab.report.numbers import MISSING, NO_BREAK_SPACE, Unit, interval, unit_of, written
from compresslab.report.ratios import Ratio


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


def with_interval(value: float, low: float, high: float, unit: Unit) -> str:
    """Write a value with its 95 % interval in brackets behind it; where there is none, the value alone."""
    if pd.isna(value) or pd.isna(low):
        return written(value, unit)
    return f"{written(value, unit)}{NO_BREAK_SPACE}{interval(low, high, unit)}"


class Builder:
    """Collects the columns of a sheet from left to right."""

    def __init__(self, language: Language, **values: Any) -> None:
        self._language = language
        self._columns: list[tuple[str, list[str], bool]] = []
        self._values = values

    def text(self, name: str, cells: Iterable[Any]) -> "Builder":
        """Add a column of words."""
        return self._add(name, [self._language.spaced(str(cell)) for cell in cells], numeric=False)

    def code(self, name: str, cells: Iterable[Any]) -> "Builder":
        """Add a column of names as they stand in files."""
        return self._add(name, [f"`{cell}`" if cell else MISSING for cell in cells], numeric=False)

    def numbers(self, name: str, values: Iterable[Any], write: Callable[[Any], str] | None = None) -> "Builder":
        """Add a column of numbers, in the unit that the name ends with unless ``write`` is given."""
        unit = unit_of(name)
        return self._add(name, [write(value) if write else written(value, unit) for value in values], numeric=True)

    def intervals(self, name: str, rows: pd.DataFrame, low: str, high: str) -> "Builder":
        """Add a column of values with their 95 % intervals in brackets."""
        unit = unit_of(name)
        cells = [with_interval(*three, unit) for three in zip(rows[name], rows[low], rows[high], strict=True)]
        self._columns.append((self._language("table.interval", header=self._language(f"column.{name}")), cells, True))
        return self

    def ratios(self, name: str, ratios: Iterable[Ratio | None]) -> "Builder":
        """Add a column of ratios with their 95 % intervals in brackets."""
        rows = [(None,) * 3 if ratio is None else (ratio.value, ratio.low, ratio.high) for ratio in ratios]
        columns = [name, f"{name}_low", f"{name}_high"]
        return self.intervals(name, pd.DataFrame(rows, columns=columns, dtype="float64"), *columns[1:])

    def headed(self, header: str, cells: Iterable[str], numeric: bool = True) -> "Builder":
        """Add a column whose header comes from the data (a class, a layer)."""
        self._columns.append((header, list(cells), numeric))
        return self

    def sheet(self) -> Sheet:
        """Return what was collected."""
        headers, cells, numeric = zip(*self._columns, strict=True)
        return Sheet(headers, tuple(zip(*cells, strict=True)), numeric, self._values)

    def _add(self, name: str, cells: list[str], numeric: bool) -> "Builder":
        self._columns.append((self._language(f"column.{name}"), cells, numeric))
        return self
