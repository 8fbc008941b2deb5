"""The ranges of a float ONNX model's activations, in the memory of one image.

ONNX Runtime's own calibrators keep every activation of every image before they look at the first one: gigabytes for a
ResNet. Here images are seen one by one. Histograms take two passes: the first finds how far their bins must reach, the
second counts. So they are the ones that ONNX Runtime fills at once, and it chooses the same ranges from them.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto
from onnxruntime.quantization import CalibrationMethod
from onnxruntime.quantization.calibrate import HistogramCollector, TensorData, TensorsData

from compresslab.compress.onnx_file import quiet
from compresslab.config.calibration import Calibration
from compresslab.data.preprocessing import Preprocessing
from compresslab.data.progress import progress_bar

METHODS = {
    "minmax": CalibrationMethod.MinMax,
    "percentile": CalibrationMethod.Percentile,
    "entropy": CalibrationMethod.Entropy,
}
BINS = {"percentile": 2048, "entropy": 128}
"""ONNX Runtime's own numbers of bins: over magnitudes for a percentile, over both signs for the entropy.

The entropy is compared over ranges of 128 bins and more, so with 128 bins there is one to choose from: all that was
seen, as with minmax. That is what ONNX Runtime does unless it is told otherwise.
"""

_ERRORS_ONLY = 3
_SECONDS_UNTIL_A_BAR = 2

Activations = dict[str, np.ndarray]
Range = tuple[np.float32, np.float32]
Histogram = tuple[np.ndarray, np.ndarray, np.float32, np.float32]


def observe_ranges(
    model: Path, images: np.ndarray, preprocessing: Preprocessing, calibration: Calibration, threads: int
) -> TensorsData:
    """Return a range for every float tensor of a model with inferred shapes, seen on uint8 images (N, H, W, C).

    Raises ValueError when there are no images.
    """
    if not len(images):
        raise ValueError("calibration needs at least one image; raise calibration.images")
    session = _session_over_all_tensors(model, threads)

    def passes(purpose: str) -> Iterator[Activations]:
        return _activations(session, images, preprocessing, purpose)

    extremes: dict[str, Range] = {}
    least: dict[str, np.float32] = {}
    for activations in passes("Ranges"):
        for name, values in activations.items():
            low, high = extremes.get(name, (np.float32(np.inf), np.float32(-np.inf)))
            extremes[name] = (min(low, values.min()), max(high, values.max()))
            least[name] = min(least.get(name, np.float32(np.inf)), np.abs(values).min())
    method = METHODS[calibration.ranges]
    if calibration.ranges == "minmax":
        return TensorsData(method, {name: _tensor_data(*found) for name, found in extremes.items()})
    bins = calibration.bins or BINS[calibration.ranges]
    histograms = _histograms(passes("Histograms"), calibration.ranges, bins, extremes, least)
    return TensorsData(method, _chosen(histograms, calibration, bins))


def _histograms(
    passes: Iterator[Activations], ranges: str, bins: int, extremes: dict[str, Range], least: dict[str, np.float32]
) -> dict[str, Histogram]:
    """Count values between the bounds that ONNX Runtime would take, had it all values at once."""
    counts: dict[str, np.ndarray] = {}
    edges: dict[str, np.ndarray] = {}
    prepared: Callable[[np.ndarray], np.ndarray] = np.abs if ranges == "percentile" else np.asarray
    for activations in passes:
        for name, values in activations.items():
            largest = max(abs(extremes[name][0]), abs(extremes[name][1]))
            # Bounds in float32 make edges in float32, as ONNX Runtime's are; NumPy's stubs know Python's floats only.
            bounds: Any = (least[name] if ranges == "percentile" else -largest, largest)
            counted, edges[name] = np.histogram(prepared(values), bins=bins, range=bounds)
            counts[name] = counts.get(name, 0) + counted
    return {name: (counts[name], edges[name].astype(np.float32), *extremes[name]) for name in counts}


def _chosen(histograms: dict[str, Histogram], calibration: Calibration, bins: int) -> dict[str, TensorData]:
    """Let ONNX Runtime choose a range from every histogram."""
    collector = HistogramCollector(
        method=calibration.ranges,
        symmetric=calibration.ranges == "percentile",
        num_bins=bins,
        num_quantized_bins=BINS["entropy"],
        percentile=calibration.percentile,
        scenario="same",
    )
    collector.get_histogram_dict().update(histograms)
    with quiet():
        found = collector.compute_collection_result()
    return {name: _tensor_data(low, high) for name, (low, high, *_) in found.items()}


def _tensor_data(low: np.ndarray | np.float32, high: np.ndarray | np.float32) -> TensorData:
    return TensorData(lowest=np.asarray(low, np.float32), highest=np.asarray(high, np.float32))


def _activations(
    session: onnxruntime.InferenceSession, images: np.ndarray, preprocessing: Preprocessing, purpose: str
) -> Iterator[Activations]:
    """Yield every float tensor of the model by name, for one image after another."""
    names = [output.name for output in session.get_outputs()]
    with progress_bar(purpose, len(images), " images", delay_s=_SECONDS_UNTIL_A_BAR) as bar:
        for image in images:
            inputs = preprocessing.normalize(image[None]).transpose(0, 3, 1, 2)
            yield {"images": inputs} | dict(zip(names, session.run(names, {"images": inputs}), strict=True))
            bar.update()


def _session_over_all_tensors(path: Path, threads: int) -> onnxruntime.InferenceSession:
    """Open a model as it is written, without any fusion, with every float tensor that a node makes as an output."""
    model = onnx.load(path)
    known = {value.name: value for value in (*model.graph.value_info, *model.graph.output)}
    outputs = {output.name for output in model.graph.output}
    for node in model.graph.node:
        for name in node.output:
            value = known.get(name)
            if value is not None and name not in outputs and value.type.tensor_type.elem_type == TensorProto.FLOAT:
                model.graph.output.append(value)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
