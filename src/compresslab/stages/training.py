"""What all stages share that train: their options, the wait for an orphan, and the three files that they leave."""

import argparse
import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from compresslab.artifacts import canonical_json, file_sha256, read_json, text_sha256, write_text
from compresslab.stages.card import variant_card, write_card
from compresslab.stages.command import Job, log, variant_parser

if TYPE_CHECKING:
    from compresslab.train.loop import Row, TrainingData, TrainingResult


@dataclass(frozen=True)
class Trained:
    """What came of a training whose model is written: its history, and what was found in the model, for its card."""

    history: "list[Row]"
    found: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, result: "TrainingResult", found: Mapping[str, Any] | None = None) -> Self:
        """Take a training's history, and what its host decided beside what was ``found``."""
        return cls(result.history, {**result.conditions, **(found or {})})


def training_parser(description: str | None, *, model: str, parent: str | None = None) -> argparse.ArgumentParser:
    """A parser with the options of a method that trains; ``model`` and ``parent`` say what these files are.

    A training lives on when its Snakemake is killed: it has hours to lose, and its lock keeps the next one waiting.
    """
    stage = variant_parser(description, model=model, parent=parent)
    stage.set_defaults(outlives_snakemake=True)
    stage.add_argument("--state", type=Path, required=True, help="folder for the state of an unfinished training")
    stage.add_argument("--training", type=Path, required=True, help="training curve (.csv)")
    return stage


def train_and_write(job: Job, libraries: Sequence[str], make: Callable[[str], Trained]) -> None:
    """Call ``make`` with the fingerprint, unless its very result is there; write curve and card beside the model.

    A killed Snakemake leaves its training running: this waits for that one, and takes its result when it has finished.
    ``libraries`` are the distributions whose versions the weights depend on, beside NumPy.
    """
    from compresslab.train import checkpoint

    _require_gpu(job)
    options = job.options
    fingerprint = _fingerprint(job, libraries)
    with checkpoint.locked(options.state, log.info):
        if _finished_meanwhile(job, fingerprint):
            log.info("an earlier process finished this training while it was waited for")
        else:
            trained = make(fingerprint)
            write_text(options.training, _as_csv(trained.history))
            card = variant_card(job, options.data, options.model, getattr(options, "parent", None))
            write_card(options.card, {**card, **trained.found, "fingerprint": fingerprint})
    checkpoint.discard(options.state)


def training_data(job: Job) -> "TrainingData":
    """Read the training and the validation split, cut as the scale says."""
    from compresslab.data.card import read_card
    from compresslab.data.prepared import read_split
    from compresslab.data.preprocessing import Preprocessing
    from compresslab.train.loop import TrainingData

    data, spec = job.options.data, job.spec
    card = read_card(data)
    return TrainingData(
        read_split(data, "train", spec["train_images"]),
        read_split(data, "validation", spec["validation_images"]),
        Preprocessing(tuple(card.mean), tuple(card.std)),
    )


def _require_gpu(job: Job) -> None:
    """Stop before anything is read where the recipe asks for a GPU that this host does not have."""
    from compresslab.train import gpus
    from compresslab.train.loop import TrainingError

    if job.spec["parameters"].get("device") == "cuda" and (reason := gpus.absence()):
        raise TrainingError(
            f"{job.spec['variant']} has device: cuda, but {reason}; "
            "set device: cpu or auto, or run it on a host with a GPU"
        )


def _fingerprint(job: Job, libraries: Sequence[str]) -> str:
    """Hash of all that the weights depend on: settings, code, data, parent, libraries."""
    parent = getattr(job.options, "parent", None)
    facts = {
        **job.provenance,
        "data_sha256": file_sha256(job.options.data),
        "parent_sha256": file_sha256(parent) if parent else None,
        "libraries": {name: version(name) for name in ("numpy", *libraries)},
    }
    return text_sha256(canonical_json(facts))


def _finished_meanwhile(job: Job, fingerprint: str) -> bool:
    """Whether a process that a killed Snakemake left behind has written this very result in the meantime."""
    options = job.options
    outputs = (options.model, options.card, options.training)
    return all(path.exists() for path in outputs) and read_json(options.card).get("fingerprint") == fingerprint


def _as_csv(history: "list[Row]") -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(history[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue()
