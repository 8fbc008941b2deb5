"""What the tables say, as facts that a sentence can be built on: what was lost, what was saved, what was reproduced.

A finding holds a verdict that a table gave, never one of its own, and the numbers beside it. What was not measured is
None, and the narrative then says nothing about it.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from compresslab.report import break_even
from compresslab.report.facts import BreakEven, Change, HardestClass, LayerError, Score, Size, Slimming
from compresslab.report.findings_costs import CostFindings
from compresslab.report.findings_published import PublishedFindings
from compresslab.report.findings_quantized import QuantizationFindings
from compresslab.report.findings_segmentation import SegmentationFindings
from compresslab.report.findings_speed import SpeedFindings
from compresslab.report.lookup import records
from compresslab.report.paired import mean_difference


class Findings(SpeedFindings, CostFindings, PublishedFindings, QuantizationFindings, SegmentationFindings):
    """Facts of one lab, by the names that ``Lookup`` knows."""

    @property
    def variants(self) -> list[str]:
        """Every variant that was scored, in the configuration's order."""
        scores = self._evidence.table("scores")
        return self.segmented if scores is None else list(dict.fromkeys(self._names.of(scores)))

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
        return str(scores.groupby(self._names.of(scores), sort=False)["accuracy_percent"].mean().idxmax())

    def size(self, variant: str) -> Size | None:
        """Bytes of a variant."""
        rows = self._rows("costs", variant)
        if rows is None:
            return None
        row = records(rows)[0]
        costs = self._evidence.tables["costs"]
        first = next(name for name in self._evidence.subject.variants if name.startswith(f"{row['model']}/"))
        base = costs[(costs["model"] + "/" + costs["variant"]) == first]["stored_bytes"]
        names = ("stored_bytes", "weight_bytes", "table_bytes", "file_bytes", "activation_peak_bytes")
        ratio = float(base.iloc[0] / row["stored_bytes"]) if len(base) else float("nan")
        return Size(**{name: float(row[name]) for name in names}, ratio=ratio)

    def smallest(self) -> str | None:
        """The variant with the fewest stored bytes; the first of several."""
        costs = self._evidence.table("costs")
        return None if costs is None else str(self._names.of(costs).iloc[int(costs["stored_bytes"].argmin())])

    def counted(self, variant: str) -> Mapping[str, Any] | None:
        """Parameters and multiply-accumulates of a variant."""
        rows = self._rows("costs", variant)
        return None if rows is None else records(rows)[0]

    def change(self, variant: str, reference: str | None = None) -> Change | None:
        """A variant against a reference: against its parent, when none is named."""
        rows = self._against("comparisons", variant, reference)
        if rows is None:
            return None
        difference = mean_difference(rows)
        return Change(
            variant=self._names.resolved(variant),
            reference=self._names.resolved(str(rows["reference"].iloc[0]), str(rows["model"].iloc[0])),
            agreement_percent=rows["agreement_percent"].mean(),
            difference_points=difference.value,
            difference_low=difference.low,
            difference_high=difference.high,
            smallest_p=rows["mcnemar_p"].min(),
            seeds=len(rows),
            verdicts={str(verdict): int(seeds) for verdict, seeds in rows["accuracy_verdict"].value_counts().items()},
            relative_l2_percent=rows["relative_l2_percent"].mean(),
            confidence_shift_points=rows["confidence_shift_points"].mean(),
            confidence_distance_points=rows["confidence_distance_points"].mean(),
            detectable_points=rows["smallest_detectable_points"].mean(),
        )

    def compared(self, pairs: Iterable[tuple[str, str]]) -> list[Change]:
        """The comparisons of these pairs (variant, reference) that were made."""
        return [change for pair in pairs if (change := self.change(*pair)) is not None]

    def changes(self, verdict: str) -> list[str]:
        """Variants whose comparison with the parent has this verdict."""
        found = {name: self.change(name) for name in self.variants}
        return [name for name, change in found.items() if change is not None and change.verdict == verdict]

    @property
    def unchanged(self) -> list[str]:
        """Variants that give the same answer as their parent to every image, in every seed."""
        found = {name: self.change(name) for name in self.variants}
        return [name for name, change in found.items() if change is not None and change.agreement_percent == 100]

    def layer_error(self, variant: str, reference: str | None = None) -> LayerError | None:
        """Where a quantized variant departs most from a reference: from its parent, when none is named."""
        rows = self._against("layers", variant, reference)
        if rows is None:
            return None
        means = rows.groupby("layer", sort=False)["relative_l2_percent"].mean()
        last = str(means.index[-1])
        named = self._names.resolved(str(rows["reference"].iloc[0]), str(rows["model"].iloc[0]))
        return LayerError(named, str(means.idxmax()), float(means.max()), last, float(means[last]))

    def trained(self, variant: str) -> Mapping[str, float] | None:
        """Means over seeds of a training's kept epoch, and its whole time in seconds."""
        rows = self._rows("training", variant)
        if rows is None:
            return None
        kept = rows[rows["kept"]].mean(numeric_only=True)
        means = {str(name): float(value) for name, value in kept.items()}
        return {**means, "total_s": rows.groupby("seed")["epoch_s"].sum().mean()}

    def slimming(self, variant: str) -> Slimming | None:
        """What pruning or clustering took away from a variant's parent."""
        parent = self._parent(variant)
        own, base = self.counted(variant), self.counted(parent) if parent else None
        if own is None or base is None or parent is None:
            return None

        def share(column: str) -> float:
            return 100 * float(own[column]) / float(base[column])

        return Slimming(
            parent=self._names.resolved(parent),
            sparsity_percent=100 - 100 * float(own["nonzero_parameters"]) / float(own["parameters"]),
            macs_percent=share("macs"),
            file_percent=share("file_bytes"),
            gzip_percent=share("file_gz_bytes"),
            sparse_percent=share("sparse_bytes"),
        )

    def break_evens(self, batch: int) -> list[BreakEven]:
        """From which sparsity on sparse weights pay, for every layer of the study on the run's own host."""
        table = self._evidence.table("sparse_products")
        if table is None:
            return []
        rows = table[(table["batch"] == batch) & (table["host"] == self._evidence.subject.host)]
        return [
            BreakEven(
                layer=str(layer),
                batch=batch,
                faster_percent=break_even.faster(points),
                smaller_percent=break_even.smaller(points),
                most_percent=float(points["sparsity_percent"].max()),
            )
            for layer, points in rows.groupby("layer", sort=False)
        ]

    def hardest(self, variant: str) -> HardestClass | None:
        """The class that a variant recognizes least often, over all seeds."""
        scores, confusion = self._rows("scores_by_class", variant), self._rows("confusion", variant)
        if scores is None or confusion is None:
            return None
        recall = scores[scores["images"] > 0].groupby("class", sort=False)["recall_percent"].mean()
        name = str(recall.idxmin())
        wrong = confusion[(confusion["true_class"] == name) & (confusion["predicted_class"] != name)]
        counts = wrong.groupby("predicted_class", sort=False)["images"].sum()
        taken = counts.idxmax() if counts.sum() else ""
        return HardestClass(name, float(recall[name]), str(taken), int(counts.max() if len(counts) else 0))

    def first_epoch(self, variant: str, percent: float) -> int | None:
        """The first epoch whose mean validation accuracy over the seeds lies above ``percent``."""
        rows = self._rows("training", variant)
        if rows is None:
            return None
        means = rows.groupby("epoch")["validation_accuracy_percent"].mean()
        above = means[means > percent]
        return None if above.empty else int(above.index[0])
