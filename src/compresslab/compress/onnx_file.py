"""ONNX files on their way through ONNX Runtime's quantizers: read with their metadata, prepared, written whole."""

import io
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import onnx
from onnxruntime.quantization.shape_inference import quant_pre_process

from compresslab.artifacts import written_whole
from compresslab.data.preprocessing import Preprocessing
from compresslab.models.onnx.artifact import read_model

COMPUTE = ("Conv", "ConvTranspose", "Gemm", "MatMul")
"""Operators that hold a network's products: what it is quantized for."""


def read_metadata(path: Path) -> dict[str, str]:
    """Return the metadata of a model of ``export-onnx``; ValueError for a model of another program."""
    metadata = {entry.key: entry.value for entry in read_model(path).metadata_props}
    if "preprocessing" not in metadata:
        raise ValueError(f"{path}: not a compresslab model (it has no preprocessing); make it with export-onnx")
    return metadata


def preprocessing_of(metadata: Mapping[str, str]) -> Preprocessing:
    """Return the preprocessing that a model's metadata holds."""
    return Preprocessing.from_json(json.loads(metadata["preprocessing"]))


def prepare(float_model: Path, out: Path) -> None:
    """Write a model with constants folded and shapes inferred, as ONNX Runtime's quantizers want it."""
    with quiet():
        # Symbolic shape inference is for transformers; it needs SymPy and finds nothing more here.
        quant_pre_process(float_model, out, skip_symbolic_shape=True)


def write_model(model: onnx.ModelProto, out: Path, metadata: Mapping[str, str]) -> None:
    """Check a quantized model and write it with ``metadata``: equal models give equal bytes."""
    onnx.helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model, full_check=True)
    with written_whole(out) as temporary:
        temporary.write_bytes(model.SerializeToString(deterministic=True))


@contextmanager
def quiet() -> Iterator[None]:
    """Keep advice to pre-process, which is done here, and what the calibrators print out of the log."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)
