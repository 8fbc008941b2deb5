"""Rows of make-believe tables that several make-believe runs share."""

from collections.abc import Mapping, Sequence
from typing import Any

NO_OVERLAP = {"train_miou_percent": float("nan"), "validation_miou_percent": float("nan")}
"""What an epoch of a classification says of the overlap of pixels."""


def interval(column: str, value: float, half: float) -> dict[str, float]:
    """A quantity with the bounds of its interval, ``half`` of it to both sides."""
    stem, unit = (column, "") if column.endswith("ratio") else (column.removesuffix("_ms"), "_ms")
    return {column: value, f"{stem}_low{unit}": (1 - half) * value, f"{stem}_high{unit}": (1 + half) * value}


def score(identity: Mapping[str, Any], value: float, images: int, below: float, above: float) -> dict[str, Any]:
    """Scores of one training whose accuracy is ``value`` percent, with its interval and scores close to it."""
    return {
        **identity,
        "images": images,
        "accuracy_percent": value,
        "accuracy_low_percent": value - below,
        "accuracy_high_percent": value + above,
        "macro_precision_percent": value - 0.01,
        "macro_recall_percent": value - 0.02,
        "macro_f1_percent": value - 0.015,
        "mean_loss": 0.0036 * (100 - value) / 0.1,
    }


def latency(identity: Mapping[str, Any], p50_ms: float, images_per_s: float, peak_rss_bytes: int) -> dict[str, Any]:
    """One undisturbed cell of a session."""
    return {
        **identity,
        "seed": 0,
        "load_ms": 30.0,
        "first_call_ms": 12.0,
        "calls": 3000,
        **interval("p50_ms", p50_ms, 0.01),
        "p90_ms": 1.1 * p50_ms,
        "p99_ms": 1.6 * p50_ms,
        "mean_ms": 1.03 * p50_ms,
        "batch": 256,
        "offline_images_per_s": images_per_s,
        "offline_low_images_per_s": 0.98 * images_per_s,
        "offline_high_images_per_s": 1.02 * images_per_s,
        "rounds": 5,
        "peak_rss_bytes": peak_rss_bytes,
        "noisy": False,
        "noise": "",
    }


def cost(identity: Mapping[str, Any], layers: Sequence[Mapping[str, Any]], weight_bytes: int, file_bytes: int,
         **others: int) -> dict[str, Any]:  # fmt: skip
    """Totals of a variant of these layers, dense and without tables; ``others`` replaces columns."""
    parameters, macs = (sum(layer[name] for layer in layers) for name in ("parameters", "macs"))
    activations = [layer["activation_bytes"] for layer in layers]
    return {
        **identity,
        "parameters": parameters,
        "nonzero_parameters": parameters,
        "macs": macs,
        "flops": 2 * macs,
        "weight_bytes": weight_bytes,
        "table_bytes": 0,
        "quantization_bytes": 0,
        "stored_bytes": weight_bytes,
        "file_bytes": file_bytes,
        "file_gz_bytes": int(0.925 * file_bytes),
        "sparse_bytes": weight_bytes,
        "activation_bytes": sum(activations),
        "activation_peak_bytes": max(activations),
    } | others


def layer(name: str, operator: str, shape: str, parameters: int, macs: int, activations: int) -> dict[str, Any]:
    """One layer of a network with dense float32 weights."""
    return {"layer": name, "operator": operator, "output_shape": shape, "parameters": parameters,
            "nonzero_parameters": parameters, "macs": macs, "weight_bytes": 4 * parameters,
            "activation_bytes": 4 * activations}  # fmt: skip


def convolution(name: str, inputs: int, outputs: int, kernel: int, size: int) -> dict[str, Any]:
    """A convolution with biases whose output map has sides of ``size``."""
    weights = inputs * outputs * kernel**2
    return layer(name, "conv2d", f"{outputs}×{size}×{size}", weights + outputs, weights * size**2, outputs * size**2)
