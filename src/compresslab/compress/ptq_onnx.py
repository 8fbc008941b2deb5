"""Static post-training quantization by ONNX Runtime: QDQ form, int8 weights.

The result depends on the CPU where ``reduce_range`` is ``auto``: x86 CPUs without VNNI add products of 8-bit numbers
in 16 bits, which saturate (VPMADDUBSW), so their weights are given 7 bits
(https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html).
"""

import io
import json
import logging
import platform
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import cpuinfo
import numpy as np
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from compresslab.artifacts import written_whole
from compresslab.config.methods.ptq_onnx import Parameters
from compresslab.data.preprocessing import Preprocessing

_TYPES = {"uint8": QuantType.QUInt8, "int8": QuantType.QInt8}
_METHODS = {
    "minmax": CalibrationMethod.MinMax,
    "percentile": CalibrationMethod.Percentile,
    "entropy": CalibrationMethod.Entropy,
}
_VNNI = {"avx512_vnni", "avx512vnni", "avx_vnni", "avxvnni", "amx_int8"}


@dataclass(frozen=True)
class Quantization:
    """What was decided on this host: weights of 7 bits or 8, and whether its CPU has VNNI."""

    reduce_range: bool
    vnni: bool


def quantize(float_model: Path, out: Path, calibration_images: np.ndarray, parameters: Parameters) -> Quantization:
    """Quantize an ONNX model of ``export-onnx`` to ``out``, with ranges seen on uint8 images (N, H, W, C).

    Equal models, images and parameters give equal bytes on hosts that decide alike. Raises ValueError for a model
    without compresslab's metadata.
    """
    metadata = {entry.key: entry.value for entry in _read(float_model).metadata_props}
    if "preprocessing" not in metadata:
        raise ValueError(f"{float_model}: not a compresslab model (it has no preprocessing); make it with export-onnx")
    preprocessing = Preprocessing.from_json(json.loads(metadata["preprocessing"]))
    decision = decide(parameters)
    calibration = parameters.calibration
    with tempfile.TemporaryDirectory() as folder, _quiet():
        prepared, quantized = Path(folder) / "prepared.onnx", Path(folder) / "quantized.onnx"
        # Symbolic shape inference is for transformers; it needs SymPy and finds nothing more here.
        quant_pre_process(float_model, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            quantized,
            _Reader(calibration_images, preprocessing),
            quant_format=QuantFormat.QDQ,
            activation_type=_TYPES[parameters.activations],
            weight_type=QuantType.QInt8,
            per_channel=parameters.granularity == "channel",
            reduce_range=decision.reduce_range,
            calibrate_method=_METHODS[calibration.ranges],
            extra_options={"CalibPercentile": calibration.percentile} if calibration.ranges == "percentile" else {},
        )
        model = onnx.load(quantized)
    onnx.helper.set_model_props(model, metadata)
    onnx.checker.check_model(model, full_check=True)
    with written_whole(out) as temporary:
        temporary.write_bytes(model.SerializeToString(deterministic=True))
    return decision


def decide(parameters: Parameters) -> Quantization:
    """Settle ``reduce_range: auto``: true on an x86 CPU without VNNI, false elsewhere."""
    vnni = has_vnni()
    if parameters.reduce_range == "auto":
        return Quantization(reduce_range=_is_x86() and not vnni, vnni=vnni)
    return Quantization(reduce_range=parameters.reduce_range, vnni=vnni)


def has_vnni() -> bool:
    """Whether this CPU multiplies 8-bit numbers and adds in 32 bits (AVX-512 VNNI, AVX-VNNI or AMX)."""
    return not _VNNI.isdisjoint(cpuinfo.get_cpu_info().get("flags", []))


def _is_x86() -> bool:
    return platform.machine().lower() in {"x86_64", "amd64", "i386", "i686", "x86"}


def _read(path: Path) -> onnx.ModelProto:
    try:
        return onnx.load(path)
    except FileNotFoundError:
        raise
    except Exception as error:  # Protobuf's errors differ between its implementations.
        raise ValueError(f"{path}: truncated, damaged or not an ONNX model; delete it and run again") from error


class _Reader(CalibrationDataReader):
    """Feeds normalized images one by one: the histogram calibrators refuse a last batch that is smaller."""

    def __init__(self, images: np.ndarray, preprocessing: Preprocessing) -> None:
        self._images = iter(preprocessing.normalize(images).transpose(0, 3, 1, 2))

    def get_next(self) -> dict[str, np.ndarray] | None:
        image = next(self._images, None)
        return None if image is None else {"images": image[None]}


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep advice to pre-process, which is done here, and what the calibrators print out of the log."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)
