"""A small run made up in seconds: real networks of two formats with weights that answer, cards, tables and datasets.

``python tests/made_up_run.py FOLDER`` writes ``FOLDER/results/smoke`` and ``FOLDER/data/prepared``.

The networks are matched filters: one linear layer whose weights are the classes' own mean images. They are right about
the made-up digits without any training.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

from compresslab.artifacts import canonical_json, file_sha256, write_json
from compresslab.compress.quantize_numpy import quantize
from compresslab.config.methods.quantize_numpy import Parameters
from compresslab.data.card import DataCard
from compresslab.data.prepared import Samples, content_sha256, write_prepared
from compresslab.data.preprocessing import Preprocessing
from compresslab.models.numpy.network import Layer, Network, save
from compresslab.tables.collect import write_table
from compresslab.tables.schemas import TABLES

GREY, COLOUR = "made-up-digits", "made-up-colours"
SIZES = {GREY: (28, 28, 1), COLOUR: (16, 16, 3)}
CLASSES = {GREY: ("bar", "ring", "<cross>"), COLOUR: ("red", "green", "blue")}
NUMPY_LAB, ONNX_LAB = "digits-numpy", "colours-onnx"
ENGINES = {"numpy-fp32": "numpy", "numpy-int8-lut": "numpy-integer", "numpy-int8-dequant": "numpy-dequantized"}


def shapes(dataset: str, count: int, seed: int) -> Samples:
    """``count`` noisy images of each class, in the order of the classes, class after class."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(3), count)
    images = [_colour(label, random) if dataset == COLOUR else _digit(label, random) for label in labels]
    return Samples(np.stack(images), labels.astype(np.int64))


def _digit(label: int, random: np.random.Generator) -> np.ndarray:
    rows, columns = np.mgrid[:28, :28] - 13.5
    radius = np.hypot(rows, columns)
    ink = (np.abs(columns) < 2.5) & (np.abs(rows) < 9) if label == 0 else (np.abs(radius - 7) < 1.6)
    if label == 2:
        ink = (np.minimum(np.abs(rows - columns), np.abs(rows + columns)) < 2) & (radius < 10)
    noisy = ink * random.uniform(200, 255) + random.uniform(0, 12, (28, 28))
    return noisy.clip(0, 255).astype(np.uint8)[:, :, np.newaxis]


def _colour(label: int, random: np.random.Generator) -> np.ndarray:
    image = random.uniform(20, 90, (16, 16, 3))
    image[:, :, label] += 140
    return image.clip(0, 255).astype(np.uint8)


def make(folder: Path) -> Path:
    """Write data and results below ``folder``; the run's folder."""
    run = folder / "results" / "smoke"
    for dataset in SIZES:
        _write_dataset(folder / "data" / "prepared", dataset)
    _write_lab(run, NUMPY_LAB, GREY)
    _write_lab(run, ONNX_LAB, COLOUR)
    return run


def _splits(dataset: str) -> dict[str, Samples]:
    return {split: shapes(dataset, 8, seed) for seed, split in enumerate(("train", "validation", "test"))}


def _preprocessing(dataset: str) -> Preprocessing:
    pixels = shapes(dataset, 8, 0).images / 255
    return Preprocessing(tuple(pixels.mean(axis=(0, 1, 2))), tuple(pixels.std(axis=(0, 1, 2))))


def _write_dataset(prepared: Path, dataset: str) -> None:
    splits, pixels = _splits(dataset), _preprocessing(dataset)
    text = {"en": f"The dataset {dataset}", "zh-TW": f"資料集 {dataset}"}
    card = DataCard(
        dataset=dataset, source="embedded", title=text, description=text, embedded=True, substitute=True,
        classes=list(CLASSES[dataset]), image_shape=SIZES[dataset],
        counts={split: dict.fromkeys(CLASSES[dataset], 8) for split in splits}, **pixels.to_json(),
        content_sha256=content_sha256(splits), files=[], protocol=text, caveats=[], licence="none", citation="none",
    )  # fmt: skip
    write_prepared(prepared / "embedded" / f"{dataset}.npz", splits, card)


def filters(dataset: str) -> tuple[np.ndarray, np.ndarray]:
    """Weights (pixels, 3) and biases (3,) that answer with the class whose mean image is nearest."""
    train = shapes(dataset, 8, 0)
    flat = _preprocessing(dataset).normalize(train.images).reshape(len(train.images), -1)
    means = np.stack([flat[train.labels == label].mean(axis=0) for label in range(3)])
    scale = 12 / means.shape[1]
    return (means.T * scale).astype(np.float32), (-(means**2).sum(axis=1) / 2 * scale).astype(np.float32)


def _write_lab(run: Path, lab: str, dataset: str) -> None:
    variants = _numpy_variants(dataset) if lab == NUMPY_LAB else _onnx_variants(dataset)
    scores, costs, speed = [], [], []
    for name, (method, parent, parameters, write) in variants.items():
        identity = {"lab": lab, "model": "filter", "variant": name}
        directory = run / "models" / lab / "filter" / name / "seed-0"
        directory.mkdir(parents=True)
        path = directory / ("model.npz" if lab == NUMPY_LAB else "model.onnx")
        write(path)
        write_json(directory / "card.json", _card(identity, method, parent, parameters, dataset, path))
        scores.append(_filled("scores", **identity, seed=0, images=24, accuracy_percent=87.5,
                              accuracy_low_percent=69.0, accuracy_high_percent=95.7))  # fmt: skip
        costs.append(_filled("costs", **identity, file_bytes=path.stat().st_size))
        speed.append(_filled("speed", **identity, host="local", baseline_variant=next(iter(variants)),
                             speed_verdict="noise"))  # fmt: skip
    for table, rows in {"scores": scores, "costs": costs, "speed": speed, "claims": []}.items():
        frame = pd.concat(rows) if rows else TABLES[table].empty()
        write_table(run / "tables" / lab / f"{table}.csv", frame)


def _card(
    identity: dict[str, str], method: str, parent: str | None, parameters: dict[str, Any], dataset: str, path: Path
) -> dict[str, Any]:
    splits = _splits(dataset)
    return {
        "variant": "/".join(identity.values()), "method": method, "parent": parent, "parameters": parameters, "seed": 0,
        "model_sha256": file_sha256(path),
        "data": {"dataset": dataset, "source": "embedded", "embedded": True, "substitute": True,
                 "content_sha256": content_sha256(splits)},
    }  # fmt: skip


def _filled(table: str, **values: Any) -> pd.DataFrame:
    """One row: what is not given is text, one or true, whatever its column takes."""
    kinds = TABLES[table].empty().dtypes
    usual = {name: 1 if kind.kind in "if" else True if kind.kind == "b" else "text" for name, kind in kinds.items()}
    return pd.DataFrame([usual | values])


def _numpy_variants(dataset: str) -> dict[str, tuple[str, str | None, dict[str, Any], Any]]:
    weight, bias = filters(dataset)
    layer = Layer("linear", "linear", activation="none", arrays={"weight": weight, "bias": bias})
    network = Network("float", SIZES[dataset], _preprocessing(dataset), CLASSES[dataset], (layer,))
    images = shapes(dataset, 8, 0).images

    def quantized(**settings: Any) -> tuple[str, str, dict[str, Any], Any]:
        parameters = Parameters(**{"method": "quantize-numpy", "from": "numpy-fp32", **settings})
        made = quantize(network, images, parameters)
        return "quantize-numpy", "numpy-fp32", parameters.parameters(), lambda path: save(made, path)

    return {
        "numpy-fp32": ("export-numpy", "torch-fp32", {}, lambda path: save(network, path)),
        "numpy-int8-lut": quantized(),
        "numpy-int8-dequant": quantized(arithmetic="dequantized", granularity="tensor"),
    }


def _onnx_variants(dataset: str) -> dict[str, tuple[str, str | None, dict[str, Any], Any]]:
    return {
        "onnx-fp32": ("export-onnx", "torch-fp32", {}, lambda path: _write_onnx(path, dataset)),
        "onnx-int8": ("ptq-onnx", "onnx-fp32", {}, lambda path: _write_quantized(path, dataset)),
    }


def _write_onnx(path: Path, dataset: str) -> None:
    height, width, channels = SIZES[dataset]
    weight, bias = filters(dataset)
    by_channel = weight.reshape(height, width, channels, 3).transpose(2, 0, 1, 3).reshape(-1, 3)
    nodes = [
        helper.make_node("Flatten", ["images"], ["flat"], "flatten"),
        helper.make_node("Gemm", ["flat", "weight", "bias"], ["logits"], "linear"),
    ]
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", channels, height, width])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])
    arrays = [
        numpy_helper.from_array(np.ascontiguousarray(by_channel), "weight"),
        numpy_helper.from_array(bias, "bias"),
    ]
    graph = helper.make_graph(nodes, "filter", [images], [logits], arrays)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    facts = {"preprocessing": _preprocessing(dataset).to_json(), "classes": list(CLASSES[dataset]), "layers": {}}
    helper.set_model_props(model, {name: canonical_json(value) for name, value in facts.items()})
    onnx.save(model, path)


class _Images(CalibrationDataReader):
    def __init__(self, dataset: str) -> None:
        images = _preprocessing(dataset).normalize(shapes(dataset, 8, 0).images).transpose(0, 3, 1, 2)
        self._batches = iter([{"images": np.ascontiguousarray(images)}])

    def get_next(self) -> dict[str, np.ndarray] | None:  # type: ignore[override]
        return next(self._batches, None)


def _write_quantized(path: Path, dataset: str) -> None:
    parent = path.with_name("float.onnx")
    _write_onnx(parent, dataset)
    quantize_static(str(parent), str(path), _Images(dataset), quant_format=QuantFormat.QDQ, per_channel=True)
    parent.unlink()


if __name__ == "__main__":
    print(make(Path(sys.argv[1])))
