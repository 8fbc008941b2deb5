"""A variant's file is the one that its card describes: neither safetensors nor ONNX would notice a flipped bit."""

from pathlib import Path

from compresslab.artifacts import file_sha256, read_json

CARD = "card.json"


class DamagedError(ValueError):
    """A file has not the bytes that were written."""


def require_intact(model: Path) -> None:
    """Raise DamagedError unless ``model`` has the SHA-256 that the card beside it records.

    Of a file without a card nothing is known.
    """
    card = model.parent / CARD
    if card.exists() and file_sha256(model) != read_json(card).get("model_sha256"):
        raise DamagedError(
            f"{model} is not the file that {card} describes: it was damaged or replaced after it was made; "
            "delete it and run again"
        )
