"""Dynamic post-training quantization by ONNX Runtime: weights beforehand, activations while the model runs.

Convolutions become ``ConvInteger`` and matrix products ``MatMulInteger``; everything between them stays in float.
Weights of products have a scale per column. Those of convolutions have one scale per tensor: ``ConvInteger`` takes no
more.
"""

import tempfile
from pathlib import Path

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic

from compresslab.compress.onnx_file import prepare, quiet, read_metadata, write_model
from compresslab.compress.reduced_range import Quantization, decide
from compresslab.config.methods.ptq_onnx_dynamic import Parameters


def quantize(float_model: Path, out: Path, parameters: Parameters) -> Quantization:
    """Quantize an ONNX model of ``export-onnx`` to ``out``.

    Equal models and parameters give equal bytes on hosts that decide alike. Raises ValueError for a model without
    compresslab's metadata.
    """
    metadata = read_metadata(float_model)
    decision = decide(parameters.reduce_range)
    with tempfile.TemporaryDirectory() as folder:
        prepared, quantized = Path(folder) / "prepared.onnx", Path(folder) / "quantized.onnx"
        prepare(float_model, prepared)
        with quiet():
            quantize_dynamic(
                prepared,
                quantized,
                per_channel=True,
                reduce_range=decision.reduce_range,
                weight_type=QuantType.QInt8,
            )
        write_model(onnx.load(quantized), out, metadata)
    return decision
