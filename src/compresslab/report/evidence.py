"""What a report rests on: the lab's slice of the configuration, tables, the data card, hosts, and networks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from compresslab.artifacts import read_json
from compresslab.data.card import DataCard, read_card
from compresslab.models.numpy.network import Network, load
from compresslab.report.order import in_order
from compresslab.tables.collect import read_table
from compresslab.tables.schemas import TABLES


@dataclass(frozen=True)
class Subject:
    """What the configuration says of a lab and its run.

    ``title`` by language; ``models`` as in ``config.yaml``: ``{model: {"train": {...}, "variants": {name: {...}}}}``;
    ``instead``: the datasets that were read in place of others, by the others' names. ``figures``: those that were
    drawn; None where nobody says, and what lies in the folder counts. ``arithmetic``: in what a ``model/variant``
    computes, ``float`` where nothing is said, ``simulated`` integers or ``integer``.
    """

    lab: str
    title: Mapping[str, str]
    run: str
    scale: str
    source: str
    host: str
    seeds: tuple[int, ...]
    languages: tuple[str, ...]
    datasets: tuple[str, ...]
    models: Mapping[str, Mapping[str, Any]]
    instead: Mapping[str, str] = field(default_factory=dict)
    figures: tuple[str, ...] | None = None
    arithmetic: Mapping[str, str] = field(default_factory=dict)

    @property
    def variants(self) -> tuple[str, ...]:
        """Every ``model/variant``, as the configuration lists them."""
        return tuple(f"{model}/{name}" for model, entry in self.models.items() for name in entry["variants"])

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Subject":
        """Read what ``json.dumps`` of a dictionary with these keys gave."""
        lists = {name: tuple(values[name]) for name in ("seeds", "languages", "datasets", "figures") if name in values}
        return cls(**{**values, **lists})


@dataclass(frozen=True)
class Evidence:
    """Everything that a report may state: nothing else is looked at while it is written."""

    subject: Subject
    tables: Mapping[str, pd.DataFrame]
    cards: tuple[DataCard, ...]
    hosts: tuple[Mapping[str, Any], ...] = ()
    networks: Mapping[str, Network] = field(default_factory=dict)
    _ordered: dict[str, pd.DataFrame] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def card(self) -> DataCard:
        """Card of the lab's first dataset; a model may have another one of the same classes."""
        return self.cards[0]

    def table(self, name: str) -> pd.DataFrame | None:
        """Return a table that has rows, its variants in the configuration's order, or None."""
        table = self.tables[name]
        if table.empty:
            return None
        # A report asks for the same table hundreds of times.
        if name not in self._ordered:
            self._ordered[name] = in_order(table, self.subject.variants)
        return self._ordered[name]

    @property
    def is_meaningless(self) -> bool:
        """Whether the numbers are no results at all: generated data, or a run at smoke scale."""
        return any(card.embedded for card in self.cards) or self.subject.scale == "smoke"


def read_evidence(
    subject: Subject,
    tables: Path,
    cards: Sequence[Path],
    hosts: Mapping[str, Path] | None = None,
    networks: Mapping[str, Path] | None = None,
) -> Evidence:
    """Read everything from its files: the folder of a lab's tables, the data cards, ``*.host.json``, ``model.npz``.

    ``hosts`` by host, ``networks`` by ``model/variant``. A file that is missing or damaged is an error that names it.
    """
    return Evidence(
        subject=subject,
        tables={name: read_table(tables / f"{name}.csv") for name in TABLES},
        cards=tuple(read_card(card) for card in cards),
        hosts=tuple(read_json(path) for path in (hosts or {}).values()),
        networks={name: load(path) for name, path in (networks or {}).items()},
    )
