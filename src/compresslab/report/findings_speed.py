"""What a latency session says, as facts: which cell is faster than which, what ran, what was disturbed."""

from collections.abc import Iterable, Mapping

import pandas as pd

from compresslab.report.facts import Speed
from compresslab.report.lookup import Lookup, records
from compresslab.report.ratios import QUANTITIES, Ratio, cell_ratio


class SpeedFindings(Lookup):
    """Facts of one lab's latency sessions."""

    def speeds(self, threads: int = 1, host: str | None = None) -> list[Speed]:
        """Every cell of a host (the run's own when unset) that has a baseline at that thread count."""
        table = self._evidence.table("speed")
        if table is None:
            return []
        rows = table[(table["host"] == (host or self._evidence.subject.host)) & (table["threads"] == threads)]
        return [
            Speed(
                variant=self._names.name(row["model"], row["variant"]),
                engine=row["engine"],
                baseline_variant=self._names.name(row["model"], row["baseline_variant"]),
                baseline_engine=row["baseline_engine"],
                threads=row["threads"],
                verdict=row["speed_verdict"],
                ratio=row["latency_ratio"],
                low=row["latency_ratio_low"],
                high=row["latency_ratio_high"],
                throughput_ratio=None if pd.isna(row["throughput_ratio"]) else row["throughput_ratio"],
            )
            for row in records(rows)
        ]

    def speed(self, variant: str, engine: str, threads: int = 1) -> Speed | None:
        """One cell of the run's own host."""
        wanted = (self._names.resolved(variant), engine)
        return next((cell for cell in self.speeds(threads) if (cell.variant, cell.engine) == wanted), None)

    def against(
        self, cell: tuple[str, str], baseline: tuple[str, str], quantity: str = "latency", threads: int = 1
    ) -> Ratio | None:
        """How many times faster a cell (variant, engine) of the run's own host is, by latency or throughput."""
        own, base = self._cell(*cell, threads), self._cell(*baseline, threads)
        return None if own is None or base is None else cell_ratio(own, base, quantity)

    def on_same_engine(self, chosen: Iterable[tuple[str, str, str]]) -> list[Ratio]:
        """Latency and throughput of variants against another one: (variant, baseline, engine), with one thread."""
        ratios = [
            self.against((variant, engine), (baseline, engine), quantity)
            for variant, baseline, engine in chosen
            for quantity in QUANTITIES
        ]
        return [ratio for ratio in ratios if ratio is not None]

    def fastest(self, chosen: Iterable[str], quantity: str, threads: int = 1) -> Ratio | None:
        """The fastest of the cells of some variants by ``latency`` or ``throughput``, against the next one."""
        table = self._evidence.table("latency")
        if table is None:
            return None
        wanted = set(map(self._names.resolved, chosen))
        column = QUANTITIES[quantity]
        rows = table[(table["host"] == self._evidence.subject.host) & (table["threads"] == threads)]
        rows = rows.assign(variant=self._names.of(rows)).dropna(subset=[column])
        rows = rows[rows["variant"].isin(wanted)].sort_values(column, ascending=quantity == "latency", kind="stable")
        if len(rows) < 2:
            return None
        first, second = records(rows)[:2]
        return cell_ratio(first, second, quantity)

    def latency_ms(self, variant: str, engine: str, threads: int = 1) -> float | None:
        """The p50 of one cell of the run's own host."""
        cell = self._cell(variant, engine, threads)
        return None if cell is None else float(cell["p50_ms"])

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
