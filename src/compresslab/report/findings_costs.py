"""What counting and the studies of cost say, as facts: whole architectures, convolutions, training steps."""

from statistics import median

import numpy as np

from compresslab.report.facts import Counted, Gain, GainGroup, Step
from compresslab.report.lookup import Lookup, records

COUNTS = ("formula", "counter", "library")
"""The three ways in which an architecture is counted."""


class CostFindings(Lookup):
    """Facts of one lab's cost studies, on the run's own host."""

    @property
    def architectures(self) -> list[str]:
        """Names of the architectures of the study, in its order."""
        return list(dict.fromkeys(self._of_host("architecture_costs")["architecture"]))

    def architecture(self, name: str) -> Counted | None:
        """What an architecture of the study costs, by formula, and whether all counts agree in every layer."""
        rows = self._of_host("architecture_costs")
        rows = rows[rows["architecture"] == name]
        if rows.empty:
            return None
        agree = all(
            np.array_equal(rows[f"{quantity}_by_{COUNTS[0]}"], rows[f"{quantity}_by_{count}"])
            for quantity in ("parameters", "macs")
            for count in COUNTS[1:]
        )
        parameters, macs = (int(rows[f"{quantity}_by_formula"].sum()) for quantity in ("parameters", "macs"))
        return Counted(parameters, macs, len(rows), agree)

    @property
    def gains(self) -> list[Gain]:
        """Every cell of the grid of convolutions."""
        return [
            Gain(
                kernel=row["kernel"],
                input_channels=row["input_channels"],
                output_channels=row["output_channels"],
                map_size=row["map_size"],
                promised=1 / row["separable_to_regular_macs_ratio"],
                measured=1 / row["separable_to_regular_time_ratio"],
                low=1 / row["separable_to_regular_time_ratio_high"],
                high=1 / row["separable_to_regular_time_ratio_low"],
                verdict=row["speed_verdict"],
            )
            for row in records(self._of_host("convolutions"))
        ]

    def gains_by(self, column: str) -> list[GainGroup]:
        """The grid of convolutions by ``kernel``, ``map_size`` or a number of channels; the emptiest promise first."""
        gains = self.gains
        groups = []
        for value in sorted({getattr(gain, column) for gain in gains}):
            cells = [gain for gain in gains if getattr(gain, column) == value]
            slower = sum(gain.verdict == "slower" for gain in cells)
            groups.append(GainGroup(value, len(cells), slower, median(gain.kept_percent for gain in cells)))
        return sorted(groups, key=lambda group: group.kept_percent)

    @property
    def steps(self) -> list[Step]:
        """Every network of the study of training steps."""
        return [
            Step(
                variant=self._names.name(row["model"], row["variant"]),
                baseline=row["baseline_model"],
                ms=row["step_ms"],
                ratio=row["step_to_baseline_ratio"],
                low=row["step_to_baseline_ratio_low"],
                high=row["step_to_baseline_ratio_high"],
            )
            for row in records(self._of_host("training_steps"))
        ]

    def step(self, variant: str) -> Step | None:
        """One network of the study of training steps."""
        return next((step for step in self.steps if step.variant == self._names.resolved(variant)), None)
