"""What segmentation was worth, as facts: overlap of answers and truth, class by class, and the figure of merit."""

import math
import re
from collections.abc import Iterable

import pandas as pd

from compresslab.report.facts import ClassOverlap, Merit, Overlap, OverlapChange, Separable
from compresslab.report.lookup import Lookup, records

CONDITIONS = ("defined", "ill_conditioned", "undefined")
"""What a figure of merit can be, the worst last."""

THRESHOLD_PERCENT = 65.0
"""Mean IoU at and below which no figure of merit is defined."""

_DEPTHWISE, _POINTWISE = "depthwise", "pointwise"
_MERITS = ("merit_gflops2_mb2", "merit_low_gflops2_mb2", "merit_high_gflops2_mb2")
_RATIOS = ("merit_to_baseline_ratio", "merit_to_baseline_low_ratio", "merit_to_baseline_high_ratio")


class SegmentationFindings(Lookup):
    """Facts of one lab's answers per pixel."""

    @property
    def segmented(self) -> list[str]:
        """Every variant whose answers per pixel were scored, in the configuration's order."""
        table = self._evidence.table("segmentation")
        return [] if table is None else list(dict.fromkeys(self._names.of(table)))

    def overlap(self, variant: str) -> Overlap | None:
        """Mean IoU of a variant."""
        rows = self._rows("segmentation", variant)
        if rows is None:
            return None
        miou = rows["miou_percent"]
        return Overlap(
            variant=self._names.resolved(variant),
            miou_percent=miou.mean(),
            low=rows["miou_low_percent"].mean(),
            high=rows["miou_high_percent"].mean(),
            lowest=miou.min(),
            highest=miou.max(),
            pixel_accuracy_percent=rows["pixel_accuracy_percent"].mean(),
            seeds=len(rows),
            images=int(rows["images"].iloc[0]),
            pixels=int(rows["pixels"].iloc[0]),
        )

    def best_overlap(self, chosen: Iterable[str] | None = None) -> Overlap | None:
        """The highest mean IoU of some variants, or of all; the first of several."""
        wanted = self.segmented if chosen is None else chosen
        found = [overlap for name in wanted if (overlap := self.overlap(name))]
        return max(found, key=lambda overlap: overlap.miou_percent, default=None)

    def overlap_change(self, variant: str, reference: str | None = None) -> OverlapChange | None:
        """A variant against a reference by mean IoU: against its parent, when none is named."""
        rows = self._against("segmentation_comparisons", variant, reference)
        if rows is None:
            return None
        difference, low, high = (float(rows[f"miou_difference{end}_points"].mean()) for end in ("", "_low", "_high"))
        return OverlapChange(
            variant=self._names.resolved(variant),
            reference=self._names.resolved(str(rows["reference"].iloc[0]), str(rows["model"].iloc[0])),
            difference_points=difference,
            low=low,
            high=high,
            agreement_percent=rows["pixel_agreement_percent"].mean(),
            seeds=len(rows),
            verdicts=_counted(rows["miou_verdict"]),
        )

    def overlap_changes(self, variants: Iterable[str]) -> list[OverlapChange]:
        """The comparisons of these variants with their parents, where they were made."""
        return [change for name in variants if (change := self.overlap_change(name)) is not None]

    def class_overlaps(self, variant: str) -> list[ClassOverlap]:
        """Every class that a variant was asked about or answered, in the order of the labels; means over the seeds."""
        rows = self._rows("segmentation_by_class", variant)
        if rows is None:
            return []
        columns = ["pixels", "iou_percent", "iou_low_percent", "iou_high_percent"]
        means = rows.groupby("class", sort=False)[columns].mean()
        return [
            ClassOverlap(
                name=str(name),
                share_percent=100 * float(row["pixels"]) / float(means["pixels"].sum()),
                iou_percent=float(row["iou_percent"]),
                low=float(row["iou_low_percent"]),
                high=float(row["iou_high_percent"]),
            )
            for name, row in means.iterrows()
            if not math.isnan(row["iou_percent"])
        ]

    @property
    def merits(self) -> list[Merit]:
        """What every variant costs, and its figure of merit, in the configuration's order."""
        table = self._evidence.table("figure_of_merit")
        if table is None:
            return []
        return [self._merit(str(name), rows) for name, rows in table.groupby(self._names.of(table), sort=False)]

    def merit(self, variant: str) -> Merit | None:
        """What one variant costs, and its figure of merit."""
        return next((merit for merit in self.merits if merit.variant == self._names.resolved(variant)), None)

    @property
    def searched(self) -> list[Merit]:
        """The float networks that the baseline is held against: those with a training of their own."""
        return [merit for merit in self.merits if merit.is_root and merit.variant != merit.baseline]

    @property
    def cheapest(self) -> Merit | None:
        """The float network of the lowest cost whose mean IoU is in no seed worse than the baseline's."""
        found = [merit for merit in self.searched if not merit.is_worse]
        return min(found, key=lambda merit: merit.cost, default=None)

    @property
    def chosen_by_validation(self) -> Merit | None:
        """The float network, the baseline among them, of the lowest figure of merit by its mean IoU in validation."""

        def validated(merit: Merit) -> float:
            above = (merit.validation_miou_percent or 0.0) - THRESHOLD_PERCENT
            return merit.cost / above if above > 0 else math.inf

        best = min((merit for merit in self.merits if merit.is_root), key=validated, default=None)
        return best if best is not None and validated(best) < math.inf else None

    @property
    def lowest_merit(self) -> Merit | None:
        """The variant of the lowest figure of merit, whatever its arithmetic, among those that have one."""
        found = [merit for merit in self.merits if merit.merit is not None]
        return min(found, key=lambda merit: merit.merit or math.inf, default=None)

    def separable(self, variant: str) -> Separable | None:
        """The pairs of a depthwise and a pointwise convolution in a network; None where it has none."""
        rows = self._rows("cost_layers", variant)
        if rows is None:
            return None
        layers = {row["layer"]: row for row in records(rows)}
        pairs = [
            (layer, layers[partner])
            for name, layer in layers.items()
            if _is_depthwise(name) and (partner := name.replace(_DEPTHWISE, _POINTWISE)) in layers
        ]
        if not pairs:
            return None
        macs = [depthwise["macs"] + pointwise["macs"] for depthwise, pointwise in pairs]
        # A depthwise convolution takes the kernel's area of products for every value that it puts out.
        regular = [pointwise["macs"] * depthwise["macs"] // _values(depthwise) for depthwise, pointwise in pairs]
        ratios = [taken / own for taken, own in zip(regular, macs, strict=True)]
        return Separable(len(pairs), sum(macs), sum(regular), int(rows["macs"].sum()), min(ratios), max(ratios))

    def _merit(self, variant: str, rows: pd.DataFrame) -> Merit:
        condition = max(rows["condition"], key=CONDITIONS.index)
        points, points_low, points_high = (
            float(rows[f"miou_to_baseline{end}_points"].mean()) for end in ("", "_low", "_high")
        )
        merit, merit_low, merit_high = _means(rows, _MERITS)
        ratio, ratio_low, ratio_high = _means(rows, _RATIOS)
        validated = rows["validation_miou_percent"]
        return Merit(
            variant=variant,
            baseline=self._names.resolved(str(rows["baseline"].iloc[0])),
            is_root=self._parent(variant) is None,
            gflops=rows["gflops"].mean(),
            model_mb=rows["model_mb"].mean(),
            cost=rows["cost_gflops2_mb2"].mean(),
            miou_percent=rows["miou_percent"].mean(),
            miou_low=rows["miou_low_percent"].mean(),
            miou_high=rows["miou_high_percent"].mean(),
            validation_miou_percent=None if validated.isna().any() else validated.mean(),
            merit=merit,
            merit_low=merit_low,
            merit_high=merit_high,
            condition=condition,
            cost_ratio=rows["cost_to_baseline_ratio"].mean(),
            miou_points=points,
            miou_points_low=points_low,
            miou_points_high=points_high,
            verdicts=_counted(rows["miou_to_baseline_verdict"]),
            merit_ratio=ratio,
            merit_ratio_low=ratio_low,
            merit_ratio_high=ratio_high,
            seeds=len(rows),
            fronts=int(rows["on_front"].sum()),
        )


def _counted(verdicts: pd.Series) -> dict[str, int]:
    return {str(verdict): int(seeds) for verdict, seeds in verdicts.value_counts().items()}


def _means(rows: pd.DataFrame, columns: Iterable[str]) -> tuple[float | None, ...]:
    """Means over the seeds; None for a column that lacks a seed: a mean of the others would flatter it."""
    return tuple(None if rows[name].isna().any() else float(rows[name].mean()) for name in columns)


def _is_depthwise(name: str) -> bool:
    return name.rpartition(".")[2] == _DEPTHWISE


def _values(layer: dict[str, object]) -> int:
    """Number of values that a layer puts out: the product of its shape, as the tables write it."""
    return math.prod(int(side) for side in re.split("[x×]", str(layer["output_shape"])))
