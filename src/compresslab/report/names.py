"""What a report calls a machine, and a variant: by its name, below its model where the lab has several models."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pandas as pd

from compresslab.report.evidence import Subject


def hardware(fingerprint: Mapping[str, Any]) -> str:
    """Name the processor of a machine, and its GPUs where it has some: ``Example CPU + 2 × Example GPU``."""
    gpus = fingerprint["gpu"] if isinstance(fingerprint["gpu"], list) else []
    counted = Counter(gpu["name"] for gpu in gpus)
    named = [name if count == 1 else f"{count} × {name}" for name, count in counted.items()]
    return " + ".join([fingerprint["cpu"]["model"], *named])


class Names:
    """The names of one lab's variants."""

    def __init__(self, subject: Subject) -> None:
        self._models = subject.models

    def name(self, model: str, variant: str) -> str:
        """``variant``, or ``model/variant`` where the lab has several models."""
        return f"{model}/{variant}" if len(self._models) > 1 else variant

    def of(self, table: pd.DataFrame) -> pd.Series:
        """Name each row's variant."""
        return table["model"] + "/" + table["variant"] if len(self._models) > 1 else table["variant"]

    def place(self, name: str, model: str | None = None) -> tuple[str, str] | None:
        """Model and variant of a name; a bare one is of ``model``, else of the first model that has it."""
        before, slash, after = name.partition("/")
        if slash:
            return (before, after) if after in self._variants(before) else None
        models = [model] if model is not None else list(self._models)
        return next(((found, name) for found in models if name in self._variants(found)), None)

    def resolved(self, name: str, model: str | None = None) -> str:
        """Give any name its one form; a name that nobody has stays as it is."""
        place = self.place(name, model)
        return name if place is None else self.name(*place)

    def beside(self, name: str, model: str) -> str:
        """Name a variant where its reader knows ``model``: bare when it is of that model."""
        place = self.place(name, model)
        return place[1] if place and place[0] == model else self.resolved(name, model)

    def _variants(self, model: str) -> set[str]:
        return set(self._models.get(model, {}).get("variants", {}))
