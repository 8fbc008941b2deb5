"""What quantization did, as facts: which layers are sensitive, what stayed float, what another encoding costs."""

import re
from collections.abc import Iterable

from compresslab.report.facts import Sensitive, Shift
from compresslab.report.lookup import Lookup, records
from compresslab.tables.statistics import SIGNIFICANCE

_COMPUTES = re.compile("conv|gemm|matmul", re.IGNORECASE)


class QuantizationFindings(Lookup):
    """Facts of one lab's quantized variants."""

    @property
    def probed(self) -> list[str]:
        """The variants for which the sensitivity of layers was measured."""
        table = self._evidence.table("sensitivity")
        return [] if table is None else list(dict.fromkeys(self._names.of(table)))

    def sensitivity(self, variant: str) -> list[Sensitive]:
        """Every layer of a variant in the order of execution, each quantized alone."""
        rows = self._rows("sensitivity", variant)
        if rows is None:
            return []
        return [
            Sensitive(
                layer=str(layer),
                operator=str(runs["operator"].iloc[0]),
                macs=int(runs["macs"].iloc[0]),
                images=int(runs["probe_images"].iloc[0]),
                seeds=len(runs),
                relative_l2_percent=runs["relative_l2_percent"].mean(),
                agreement_percent=runs["agreement_percent"].mean(),
                loss_increase=runs["loss_increase"].mean(),
                accuracy_difference_points=runs["accuracy_difference_points"].mean(),
                kept_float=int(runs["kept_float"].sum()),
            )
            for layer, runs in rows.groupby("layer", sort=False)
        ]

    def most_sensitive(self, variant: str, count: int) -> list[Sensitive]:
        """The layers of a variant whose quantization moves the logits most, the worst first."""
        return sorted(self.sensitivity(variant), key=lambda layer: -layer.relative_l2_percent)[:count]

    def kept_float(self, variant: str) -> list[Sensitive]:
        """The layers that a mixed variant keeps in float, in any seed."""
        return [layer for layer in self.sensitivity(variant) if layer.kept_float]

    def float_compute(self, variant: str) -> list[str] | None:
        """Nodes of a variant's executed graph that convolve or multiply matrices in float; None without an audit."""
        rows = self._rows("audit", variant)
        if rows is None:
            return None
        rows = rows[rows["host"] == rows["host"].iloc[0]]
        computes = rows["operator"].map(lambda operator: bool(_COMPUTES.search(operator)))
        return list(rows[computes & (rows["runs_as"] != "integer")]["node"])

    @property
    def shifts(self) -> list[Shift]:
        """Every variant and encoding of the study of codecs on the run's own host, in its order."""
        return [
            Shift(
                variant=self._names.name(row["model"], row["variant"]),
                reference=self._names.resolved(row["reference"]),
                codec=row["codec"],
                bytes_per_image=row["bytes_per_image"],
                pixel_error_percent=row["pixel_error_percent"],
                accuracy_percent=row["accuracy_percent"],
                agreement_percent=row["agreement_percent"],
                drop_points=row["drop_points"],
                drop_verdict=row["drop_verdict"],
                excess_points=row["excess_drop_points"],
                excess_low=row["excess_drop_low_points"],
                excess_high=row["excess_drop_high_points"],
                excess_verdict=row["excess_verdict"],
            )
            for row in records(self._of_host("codec_shift"))
        ]

    @property
    def encoded(self) -> list[Shift]:
        """The shifts without the originals."""
        return [shift for shift in self.shifts if shift.codec != "original"]

    @staticmethod
    def hardest_codec(shifts: Iterable[Shift]) -> str | None:
        """The encoding that changes pixels most; None where there is none."""
        hardest = max(shifts, key=lambda shift: shift.pixel_error_percent, default=None)
        return None if hardest is None else hardest.codec

    @staticmethod
    def left_open_percent(images: int) -> float:
        """Share of disagreeing images that so many images, all in agreement, leave possible at 95 %.

        The exact form of the rule of three: with a greater share, so much luck has a probability below 5 %.
        """
        return 100 * (1 - SIGNIFICANCE ** (1 / images))
