"""What the tables say, as facts that a sentence can be built on: which is faster, what was lost, what was reproduced.

A finding holds a verdict that a table gave, never one of its own, and the numbers beside it. What was not measured is
None, and the narrative then says nothing about it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from compresslab.report.evidence import Evidence

VERDICTS = ("reproduced", "exceeded", "not_reproduced", "not_comparable")


@dataclass(frozen=True)
class Score:
    """Accuracy of a variant over its seeds, in percent, and the half-width of one training's 95 % interval."""

    mean: float
    low: float
    high: float
    seeds: int
    images: int
    half_width_points: float


@dataclass(frozen=True)
class Size:
    """Bytes of a variant, and how many times smaller it is than its model's first variant."""

    stored_bytes: float
    weight_bytes: float
    table_bytes: float
    file_bytes: float
    activation_peak_bytes: float
    ratio: float


@dataclass(frozen=True)
class Change:
    """A variant against its parent over seeds: ``verdicts`` counts better, worse and noise."""

    parent: str
    agreement_percent: float
    difference_points: float
    seeds: int
    verdicts: Mapping[str, int]
    relative_l2_percent: float
    detectable_points: float

    @property
    def verdict(self) -> str:
        """``better``, ``worse`` or ``noise`` when all seeds say so, else ``mixed``."""
        return next((verdict for verdict, seeds in self.verdicts.items() if seeds == self.seeds), "mixed")


@dataclass(frozen=True)
class Speed:
    """A cell against its baseline on one host: ratios above 1 are faster; throughput may not have been measured."""

    variant: str
    engine: str
    baseline_variant: str
    baseline_engine: str
    threads: int
    verdict: str
    ratio: float
    low: float
    high: float
    throughput_ratio: float | None


@dataclass(frozen=True)
class LayerError:
    """The layer after which a variant is farthest from its reference, and the error of the last layer, in percent."""

    reference: str
    layer: str
    percent: float
    last_layer: str
    last_percent: float


class Findings:
    """Facts of one lab; variants are named ``variant``, or ``model/variant`` where the lab has several models."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence

    @property
    def variants(self) -> list[str]:
        """Every variant that was scored, in the configuration's order."""
        scores = self._evidence.table("scores")
        return [] if scores is None else list(dict.fromkeys(scores["variant"]))

    def score(self, variant: str) -> Score | None:
        """Accuracy of a variant."""
        rows = self._rows("scores", variant)
        if rows is None:
            return None
        accuracy = rows["accuracy_percent"]
        half = (rows["accuracy_high_percent"] - rows["accuracy_low_percent"]).mean() / 2
        return Score(accuracy.mean(), accuracy.min(), accuracy.max(), len(rows), int(rows["images"].iloc[0]), half)

    def best(self) -> str | None:
        """The variant with the highest mean accuracy; the first of several."""
        scores = self._evidence.table("scores")
        if scores is None:
            return None
        return str(scores.groupby("variant", sort=False)["accuracy_percent"].mean().idxmax())

    def size(self, variant: str) -> Size | None:
        """Bytes of a variant."""
        rows = self._rows("costs", variant)
        if rows is None:
            return None
        row = _records(rows)[0]
        costs = self._evidence.tables["costs"]
        first = next(name for name in self._evidence.subject.variants if name.startswith(f"{row['model']}/"))
        base = costs[(costs["model"] + "/" + costs["variant"]) == first]["stored_bytes"]
        names = ("stored_bytes", "weight_bytes", "table_bytes", "file_bytes", "activation_peak_bytes")
        ratio = float(base.iloc[0] / row["stored_bytes"]) if len(base) else float("nan")
        return Size(**{name: float(row[name]) for name in names}, ratio=ratio)

    def smallest(self) -> str | None:
        """The variant with the fewest stored bytes; the first of several."""
        costs = self._evidence.table("costs")
        return None if costs is None else str(costs["variant"].iloc[int(costs["stored_bytes"].argmin())])

    def counted(self, variant: str) -> Mapping[str, Any] | None:
        """Parameters and multiply-accumulates of a variant."""
        rows = self._rows("costs", variant)
        return None if rows is None else _records(rows)[0]

    def change(self, variant: str) -> Change | None:
        """A variant against its parent."""
        rows = self._rows("comparisons", variant)
        if rows is None:
            return None
        return Change(
            parent=str(rows["parent"].iloc[0]),
            agreement_percent=rows["agreement_percent"].mean(),
            difference_points=rows["accuracy_difference_points"].mean(),
            seeds=len(rows),
            verdicts={str(verdict): int(seeds) for verdict, seeds in rows["accuracy_verdict"].value_counts().items()},
            relative_l2_percent=rows["relative_l2_percent"].mean(),
            detectable_points=rows["smallest_detectable_points"].mean(),
        )

    def changes(self, verdict: str) -> list[str]:
        """Variants whose comparison with the parent has this verdict."""
        found = {name: self.change(name) for name in self.variants}
        return [name for name, change in found.items() if change is not None and change.verdict == verdict]

    @property
    def unchanged(self) -> list[str]:
        """Variants that give the same answer as their parent to every image, in every seed."""
        found = {name: self.change(name) for name in self.variants}
        return [name for name, change in found.items() if change is not None and change.agreement_percent == 100]

    def speeds(self, threads: int = 1, host: str | None = None) -> list[Speed]:
        """Every cell of a host (the run's own when unset) that has a baseline at that thread count."""
        table = self._evidence.table("speed")
        if table is None:
            return []
        rows = table[(table["host"] == (host or self._evidence.subject.host)) & (table["threads"] == threads)]
        return [
            Speed(
                variant=row["variant"],
                engine=row["engine"],
                baseline_variant=row["baseline_variant"],
                baseline_engine=row["baseline_engine"],
                threads=row["threads"],
                verdict=row["speed_verdict"],
                ratio=row["latency_ratio"],
                low=row["latency_ratio_low"],
                high=row["latency_ratio_high"],
                throughput_ratio=None if pd.isna(row["throughput_ratio"]) else row["throughput_ratio"],
            )
            for row in _records(rows)
        ]

    def speed(self, variant: str, engine: str, threads: int = 1) -> Speed | None:
        """One cell of the run's own host."""
        cells = self.speeds(threads)
        return next((cell for cell in cells if (cell.variant, cell.engine) == (variant, engine)), None)

    def latency_ms(self, variant: str, engine: str, threads: int = 1) -> float | None:
        """The p50 of one cell of the run's own host."""
        rows = self._rows("latency", variant)
        if rows is None:
            return None
        chosen = (rows["engine"] == engine) & (rows["threads"] == threads)
        cell = rows[chosen & (rows["host"] == self._evidence.subject.host)]
        return None if cell.empty else float(cell["p50_ms"].iloc[0])

    def thread_counts(self, host: str) -> list[int]:
        """The thread counts that a host measured at."""
        table = self._evidence.table("latency")
        return [] if table is None else sorted({int(count) for count in table[table["host"] == host]["threads"]})

    @property
    def hosts(self) -> list[str]:
        """Hosts with measurements, the run's own first."""
        table = self._evidence.table("latency")
        own = self._evidence.subject.host
        found = [] if table is None else list(dict.fromkeys(table["host"]))
        return sorted(found, key=lambda host: host != own)

    @property
    def noisy_cells(self) -> int:
        """Cells whose measurement was disturbed, over all hosts."""
        table = self._evidence.table("latency")
        return 0 if table is None else int(table["noisy"].sum())

    @property
    def cells(self) -> int:
        """Cells that were measured, over all hosts."""
        table = self._evidence.table("latency")
        return 0 if table is None else len(table)

    def executed(self, variant: str) -> Mapping[str, int] | None:
        """Operators of a variant's executed graph by ``integer``, ``float`` and ``unfused``."""
        rows = self._rows("audit", variant)
        if rows is None:
            return None
        found = rows[rows["host"] == rows["host"].iloc[0]]["runs_as"].value_counts()
        return {kind: int(found.get(kind, 0)) for kind in ("integer", "float", "unfused")}

    def layer_error(self, variant: str, reference: str | None = None) -> LayerError | None:
        """Where a quantized variant departs most from a reference: from its parent, when none is named."""
        rows = self._rows("layers", variant)
        if rows is None:
            return None
        rows = rows[rows["reference"] == (reference or self._parent(variant))]
        if rows.empty:
            return None
        means = rows.groupby("layer", sort=False)["relative_l2_percent"].mean()
        last = str(means.index[-1])
        return LayerError(
            str(rows["reference"].iloc[0]), str(means.idxmax()), float(means.max()), last, float(means[last])
        )

    def trained(self, variant: str) -> Mapping[str, float] | None:
        """Means over seeds of a training's last epoch, and its whole time in seconds."""
        rows = self._rows("training", variant)
        if rows is None:
            return None
        last = rows.groupby("seed").last().mean(numeric_only=True)
        means = {str(name): float(value) for name, value in last.items()}
        return {**means, "total_s": rows.groupby("seed")["epoch_s"].sum().mean()}

    @property
    def verdicts(self) -> Mapping[str, int]:
        """Number of claims by verdict, every verdict named."""
        table = self._evidence.table("claims")
        found = {} if table is None else table["verdict"].value_counts().to_dict()
        return {verdict: int(found.get(verdict, 0)) for verdict in VERDICTS}

    def claims(self, verdict: str, language_tag: str) -> list[str]:
        """Statements of the claims with this verdict."""
        table = self._evidence.table("claims")
        if table is None:
            return []
        column = "statement_zh" if language_tag.startswith("zh") else "statement_en"
        return list(table[table["verdict"] == verdict][column])

    def _parent(self, variant: str) -> str | None:
        """What a variant was made from, by the configuration."""
        for model, described in self._evidence.subject.models.items():
            for name, settings in described["variants"].items():
                if variant in (name, f"{model}/{name}"):
                    parent: str | None = settings.get("from")
                    return parent
        return None

    def _rows(self, name: str, variant: str) -> pd.DataFrame | None:
        table = self._evidence.table(name)
        if table is None:
            return None
        chosen = (table["variant"] == variant) | ((table["model"] + "/" + table["variant"]) == variant)
        return None if not chosen.any() else table[chosen]


def _records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in rows.to_dict("records")]
