"""The card that lies beside every variant: what it was made of, by which settings and code, on which data."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from compresslab.artifacts import file_sha256, write_json
from compresslab.data.card import read_card
from compresslab.stages.command import Job

LIBRARIES = (
    *("numpy", "torch", "torchao", "kornia", "torch-pruning"),
    *("tensorflow", "tf-keras", "tensorflow-model-optimization", "ai-edge-litert", "onnx", "onnxruntime"),
)


def variant_card(job: Job, data: Path, model: Path, parent: Path | None = None) -> dict[str, Any]:
    """Describe a variant that has just been written. It holds no time and no path of the machine."""
    dataset = read_card(data)
    return {
        **job.spec,
        "code": job.options.code,
        "model_sha256": file_sha256(model),
        "parent_sha256": file_sha256(parent) if parent else None,
        "data": {
            "dataset": dataset.dataset,
            "source": dataset.source,
            "embedded": dataset.embedded,
            "substitute": dataset.substitute,
            "content_sha256": dataset.content_sha256,
        },
        "libraries": {name: found for name in LIBRARIES if (found := _version(name))},
    }


def write_card(path: Path, card: dict[str, Any]) -> None:
    """Write the card; it is the last file of a variant, so that a variant with a card is complete."""
    write_json(path, card)


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None
