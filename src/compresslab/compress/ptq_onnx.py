"""Static post-training quantization by ONNX Runtime: QDQ form, int8 weights.

The result depends on the CPU where ``reduce_range`` is ``auto`` (``compress.reduced_range``).
"""

import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.calibrate import save_tensors_data

from compresslab.compress.calibration_onnx import METHODS, observe_ranges
from compresslab.compress.onnx_file import prepare, preprocessing_of, quiet, read_metadata, write_model
from compresslab.compress.reduced_range import Quantization, decide
from compresslab.config.quantization import StaticQuantization

_TYPES = {"uint8": QuantType.QUInt8, "int8": QuantType.QInt8}


@dataclass(frozen=True)
class Calibrated:
    """A float model that is ready to be quantized, whole or in parts: its ranges are known."""

    model: Path
    """The model with constants folded and shapes inferred."""
    ranges: Path
    """The range of every activation, in ONNX Runtime's form."""
    metadata: dict[str, str]
    settings: StaticQuantization
    decision: Quantization

    def quantized(self, nodes: Collection[str] = ()) -> onnx.ModelProto:
        """Return the model with these nodes quantized, by name, and the others in float; with all where none is named.

        Equal models, ranges and settings give equal models on hosts that decide alike.
        """
        out = self.model.with_name("quantized.onnx")
        with quiet():
            quantize_static(
                self.model,
                out,
                quant_format=QuantFormat.QDQ,
                activation_type=_TYPES[self.settings.activations],
                weight_type=QuantType.QInt8,
                per_channel=self.settings.granularity == "channel",
                reduce_range=self.decision.reduce_range,
                nodes_to_quantize=sorted(nodes),
                calibrate_method=METHODS[self.settings.calibration.ranges],
                calibration_cache_path=self.ranges,
            )
        return onnx.load(out)


def quantize(
    float_model: Path, out: Path, calibration_images: np.ndarray, settings: StaticQuantization, threads: int = 1
) -> Quantization:
    """Quantize an ONNX model of ``export-onnx`` to ``out``, with ranges seen on uint8 images (N, H, W, C).

    Equal models, images and settings give equal bytes on hosts that decide alike. Raises ValueError for a model
    without compresslab's metadata.
    """
    with calibrated(float_model, calibration_images, settings, threads) as ready:
        write_model(ready.quantized(), out, ready.metadata)
        return ready.decision


@contextmanager
def calibrated(
    float_model: Path, images: np.ndarray, settings: StaticQuantization, threads: int
) -> Iterator[Calibrated]:
    """Prepare a model of ``export-onnx`` and find its ranges on uint8 images (N, H, W, C), in a folder that goes away.

    Raises ValueError for a model without compresslab's metadata.
    """
    metadata = read_metadata(float_model)
    with tempfile.TemporaryDirectory() as folder:
        model, ranges = Path(folder) / "prepared.onnx", Path(folder) / "ranges.json"
        prepare(float_model, model)
        found = observe_ranges(model, images, preprocessing_of(metadata), settings.calibration, threads)
        save_tensors_data(found, ranges)
        yield Calibrated(model, ranges, metadata, settings, decide(settings.reduce_range))
