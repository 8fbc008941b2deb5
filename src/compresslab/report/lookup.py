"""Rows of a lab's tables by the names that a narrative uses."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from compresslab.report.evidence import Evidence
from compresslab.report.names import Names


class Lookup:
    """One lab's tables; variants are named ``variant``, or ``model/variant`` where the lab has several models.

    A bare name in a lab with several models means the first model that has such a variant.
    """

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._names = Names(evidence.subject)

    def _parent(self, variant: str) -> str | None:
        """What a variant was made from, by the configuration, as ``model/variant``."""
        place = self._names.place(variant)
        if place is None:
            return None
        model, name = place
        parent = self._evidence.subject.models[model]["variants"][name].get("from")
        return None if parent is None else f"{model}/{parent}"

    def _against(self, name: str, variant: str, reference: str | None) -> pd.DataFrame | None:
        """Rows of a variant against one reference: against its parent, when none is named."""
        rows, wanted = self._rows(name, variant), reference or self._parent(variant)
        if rows is None or wanted is None:
            return None
        model = str(rows["model"].iloc[0])
        chosen = rows["reference"].map(lambda other: self._names.place(other, model)) == self._names.place(
            wanted, model
        )
        return rows[chosen] if chosen.any() else None

    def _cell(self, variant: str, engine: str, threads: int) -> Mapping[str, Any] | None:
        """One cell of the run's own host."""
        rows = self._rows("latency", variant)
        if rows is None:
            return None
        chosen = (rows["engine"] == engine) & (rows["threads"] == threads)
        cell = rows[chosen & (rows["host"] == self._evidence.subject.host)]
        return None if cell.empty else {**records(cell)[0], "variant": self._names.resolved(variant)}

    def _of_host(self, name: str) -> pd.DataFrame:
        """Rows of the run's own host; none where the table is empty."""
        table = self._evidence.tables[name]
        return table[table["host"] == self._evidence.subject.host]

    def _rows(self, name: str, variant: str) -> pd.DataFrame | None:
        table, place = self._evidence.table(name), self._names.place(variant)
        if table is None or place is None:
            return None
        chosen = (table["model"] == place[0]) & (table["variant"] == place[1])
        return table[chosen] if chosen.any() else None


def records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows as dictionaries."""
    return [{str(name): value for name, value in row.items()} for row in rows.to_dict("records")]
