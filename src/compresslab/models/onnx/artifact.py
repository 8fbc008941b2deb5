"""A network as one ``.onnx`` file."""

from pathlib import Path

import onnx


def read_model(path: Path) -> onnx.ModelProto:
    """Read an ONNX model; a damaged file is a ValueError that names it, no file a FileNotFoundError."""
    try:
        return onnx.load(path)
    except FileNotFoundError:
        raise
    except Exception as error:  # Protobuf's errors differ between its implementations.
        raise ValueError(f"{path}: truncated, damaged or not an ONNX model; delete it and run again") from error
