"""ONNX Runtime on the CPU, for float32 networks and for quantized ones in QDQ form.

Without a provider the CPU runs the model. Idle threads spin, as ONNX Runtime does by default.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from compresslab.data.preprocessing import Preprocessing
from compresslab.engines.contract import predict_in_chunks
from compresslab.engines.layout import layer_output, normalized_channels_first

Provider = str | tuple[str, Mapping[str, object]]
"""What ONNX Runtime runs nodes with: a name, or a name and its settings."""

CPU: tuple[Provider, ...] = ("CPUExecutionProvider",)
_ERRORS_ONLY = 3


class OnnxRuntimeEngine:
    """A session over a model whose metadata holds its preprocessing and its layers."""

    def __init__(self, path: Path, threads: int, providers: tuple[Provider, ...] = CPU) -> None:
        self._path = Path(path)
        self._threads = threads
        self._providers = providers
        self._session = self._open(str(path))
        self._metadata = _metadata(self._path, self._session)
        self._preprocessing = Preprocessing.from_json(json.loads(self._metadata["preprocessing"]))

    def prepare(self, images: np.ndarray) -> np.ndarray:
        """Turn uint8 images (N, H, W, C) into normalized float32 (N, C, H, W)."""
        return normalized_channels_first(self._preprocessing, images)

    def run(self, native: np.ndarray) -> np.ndarray:
        """Return float32 logits (N, classes)."""
        logits: np.ndarray = self._session.run(["logits"], {"images": native})[0]
        return logits

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Return float32 logits (N, classes) of uint8 images (N, H, W, C), computed in chunks."""
        return predict_in_chunks(self, images)

    def trace(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Return the float32 output of every layer after its activation; feature maps are (N, H, W, C).

        A copy of the model with these tensors as further outputs is run. Where a layer's output is quantized, its
        dequantized value is returned; an activation whose output stays float is returned as it is.
        """
        model = onnx.load(self._path)
        tensors = {layer: _dequantized(model, name) for layer, name in json.loads(self._metadata["layers"]).items()}
        outputs = {output.name for output in model.graph.output}
        for name in dict.fromkeys(tensors.values()):
            if name not in outputs:
                model.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
        session = self._open(model.SerializeToString())
        values = session.run(list(tensors.values()), {"images": self.prepare(images)})
        return {layer: layer_output(value) for layer, value in zip(tensors, values, strict=True)}

    def _options(self) -> onnxruntime.SessionOptions:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.log_severity_level = _ERRORS_ONLY
        return options

    def _open(self, model: str | bytes) -> onnxruntime.InferenceSession:
        providers, options = list(self._providers), self._options()
        try:
            # Where a provider fails, the CPU would else take its place, after a line that nobody reads.
            return onnxruntime.InferenceSession(model, options, providers=providers, enable_fallback=0)
        except Exception as error:  # ONNX Runtime's own errors share no base class that it exports.
            if not self._path.exists():
                raise FileNotFoundError(f"{self._path}: there is no such model") from error
            reason = str(error).splitlines()[0]
            raise ValueError(
                f"{self._path}: ONNX Runtime cannot open it ({reason}); if it is damaged, delete it and run again"
            ) from error


def open_model(path: Path, threads: int, providers: tuple[Provider, ...] = CPU) -> OnnxRuntimeEngine:
    """Open an ``.onnx`` model for ``threads`` threads; ValueError for a damaged model or one of another program."""
    return OnnxRuntimeEngine(path, threads, providers)


def unavailable() -> str | None:
    """ONNX Runtime runs wherever it can be imported."""
    return None


def _metadata(path: Path, session: onnxruntime.InferenceSession) -> dict[str, str]:
    """Return the metadata of a compresslab model; ValueError for any other model."""
    metadata: dict[str, str] = session.get_modelmeta().custom_metadata_map
    missing = [key for key in ("preprocessing", "classes", "layers") if key not in metadata]
    inputs, outputs = ([tensor.name for tensor in side] for side in (session.get_inputs(), session.get_outputs()))
    if missing or inputs != ["images"] or outputs != ["logits"]:
        raise ValueError(
            f"{path}: not a compresslab model (inputs {inputs}, outputs {outputs}, "
            f"missing metadata: {', '.join(missing) or 'none'}); make it with export-onnx"
        )
    return metadata


def _dequantized(model: onnx.ModelProto, tensor: str) -> str:
    """Return the tensor's dequantized copy in a QDQ model, or the tensor itself where it is not quantized."""
    produced = {output for node in model.graph.node for output in node.output}
    dequantized = f"{tensor}_DequantizeLinear_Output"
    return dequantized if dequantized in produced else tensor
