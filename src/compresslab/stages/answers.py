"""What the variants of a lab answer on the test split, read once per variant and seed and scored by the lab's task.

The tables of the other task stay empty.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compresslab.stages.command import Job

if TYPE_CHECKING:
    from compresslab.measure.segmentation import Confusions

Pieces = dict[str, list[Any]]
"""Frames by the name of their table."""


def identities(job: Job) -> Iterator[tuple[dict[str, Any], str, int]]:
    """Every variant with its id, for every seed."""
    for row in job.spec["variants"]:
        for seed in job.spec["seeds"]:
            yield row, f"{job.spec['lab']}/{row['model']}/{row['variant']}", seed


def _classifications(job: Job, classes: tuple[str, ...]) -> Pieces:
    """Scores of every variant and seed, and every variant against its parent and whatever else the lab names."""
    import pandas as pd

    from compresslab.measure.predictions import Predictions, read_predictions
    from compresslab.measure.scores import confusion, score, score_by_class
    from compresslab.tables.collect import identified
    from compresslab.tables.comparisons import compare

    @cache
    def predictions(variant_id: str, seed: int) -> Predictions:
        return read_predictions(_answered(job, variant_id, seed))

    pieces: Pieces = {name: [] for name in ("scores", "scores_by_class", "confusion", "comparisons")}
    for row, variant_id, seed in identities(job):
        own = predictions(variant_id, seed)
        found = {
            "scores": score(own),
            "scores_by_class": score_by_class(own, classes),
            "confusion": confusion(own, classes),
            "comparisons": pd.DataFrame(
                {**compare(own, predictions(reference_id, seed)), "reference": name}
                for name, reference_id in row["compared_with"].items()
            ),
        }
        for name, frame in found.items():
            pieces[name].append(identified(frame, variant_id, seed))
    return pieces


def _segmentations(job: Job, classes: tuple[str, ...]) -> Pieces:
    """The same of variants that answer pixel by pixel, and what they cost for what they find."""
    import pandas as pd

    from compresslab.measure.label_maps import LabelMaps, read_label_maps
    from compresslab.measure.segmentation import Confusions, confusion, confusions, score, score_by_class
    from compresslab.tables.collect import identified
    from compresslab.tables.segmentation import compare_maps

    @lru_cache(maxsize=3)  # Maps take 60 MB; what is counted of them takes little, and is kept.
    def maps(variant_id: str, seed: int) -> LabelMaps:
        return read_label_maps(_answered(job, variant_id, seed))

    @cache
    def counted(variant_id: str, seed: int) -> Confusions:
        return confusions(maps(variant_id, seed), len(classes))

    def compared(variant_id: str, reference_id: str, seed: int) -> dict[str, Any]:
        counts = counted(variant_id, seed), counted(reference_id, seed)
        return compare_maps(maps(variant_id, seed), maps(reference_id, seed), *counts)

    names = ("segmentation", "segmentation_by_class", "segmentation_confusion", "segmentation_comparisons")
    pieces: Pieces = {name: [] for name in names}
    # Seed by seed, so that the maps of a reference are still at hand.
    for row, variant_id, seed in sorted(identities(job), key=lambda identity: identity[2]):
        counts = counted(variant_id, seed)
        found = (
            score(counts),
            score_by_class(counts, classes),
            confusion(counts, classes),
            pd.DataFrame(
                {**compared(variant_id, reference_id, seed), "reference": name}
                for name, reference_id in row["compared_with"].items()
            ),
        )
        for name, frame in zip(names, found, strict=True):
            pieces[name].append(identified(frame, variant_id, seed))
    return {**pieces, "figure_of_merit": [_merits(job, seed, counted) for seed in job.spec["seeds"]]}


def _merits(job: Job, seed: int, counted: "Callable[[str, int], Confusions]") -> Any:
    """The figure of merit of every variant that is weighed, of one seed."""
    from compresslab.artifacts import read_json
    from compresslab.tables.collect import read_piece
    from compresslab.tables.figure_of_merit import Candidate, figures_of_merit

    def candidate(row: dict[str, Any], variant_id: str) -> Candidate:
        costs = read_json(job.options.run / f"costs/{variant_id}.json")["totals"]
        name = f"{row['model']}/{row['variant']}"
        measured = Candidate(name, costs["flops"], costs["stored_bytes"], counted(variant_id, seed))
        if not row["training"]:
            return measured
        epochs = read_piece(job.options.run / f"models/{variant_id}/seed-{seed}/training.csv", "training")
        return replace(measured, validation_miou_percent=epochs.loc[epochs["kept"], "validation_miou_percent"].item())

    weighed = ((row, variant_id) for row, variant_id, other in identities(job) if other == seed and row["weighed"])
    candidates = [candidate(row, variant_id) for row, variant_id in weighed]
    return figures_of_merit(candidates, job.spec["baseline"]).assign(lab=job.spec["lab"], seed=seed)


def _answered(job: Job, variant_id: str, seed: int) -> Path:
    """File of what a variant answers on the test split."""
    return Path(job.options.run / f"predictions/{variant_id}/seed-{seed}.npz")


SCORED: dict[str, Callable[[Job, tuple[str, ...]], Pieces]] = {
    "classification": _classifications,
    "segmentation": _segmentations,
}
"""The tables of a task: a function of the job and the names of the classes."""
