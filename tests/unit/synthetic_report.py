"""A small make-believe run in the contract's format: what the report is developed and tested on.

``python tests/unit/synthetic_report.py FOLDER`` writes its tables, networks and predictions below ``FOLDER``.
"""

import math
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from synthetic_rows import NO_OVERLAP

from compresslab.arrays import write_arrays
from compresslab.artifacts import write_json
from compresslab.compress.quantize_numpy import quantize
from compresslab.config.methods.quantize_numpy import Parameters
from compresslab.data.preprocessing import Preprocessing
from compresslab.models.numpy.network import Layer, Network, save
from compresslab.tables.collect import write_table
from compresslab.tables.schemas import TABLES

LAB, MODEL, HOST = "mnist-integer", "gapcnn", "local"
SEEDS = (0, 1, 2)
CLASSES = [str(digit) for digit in range(10)]
LAYERS = ("conv1", "conv2", "pool2", "conv3", "gap", "linear")

VARIANTS = {
    "torch-fp32": {"method": "train-torch", "from": None},
    "numpy-fp32": {"method": "export-numpy", "from": "torch-fp32"},
    "numpy-int8-dequant": {"method": "quantize-numpy", "from": "numpy-fp32", "arithmetic": "dequantized"},
    "numpy-int8-dequant-pwl": {"method": "quantize-numpy", "from": "numpy-fp32", "arithmetic": "dequantized"},
    "numpy-int8-lut": {
        "method": "quantize-numpy",
        "from": "numpy-fp32",
        "activations": "lut",
        "granularity": "channel",
    },
    "numpy-int8-pwl": {
        "method": "quantize-numpy",
        "from": "numpy-fp32",
        "activations": "pwl",
        "granularity": "channel",
    },
    "numpy-int8-lut-tensor": {"method": "quantize-numpy", "from": "numpy-fp32", "granularity": "tensor"},
    "numpy-int8-pwl-tensor": {"method": "quantize-numpy", "from": "numpy-fp32", "granularity": "tensor"},
    "onnx-fp32": {"method": "export-onnx", "from": "torch-fp32"},
    "onnx-int8": {"method": "ptq-onnx", "from": "onnx-fp32"},
}
LOSS_POINTS = {"numpy-int8-lut": 0.02, "numpy-int8-pwl": 0.31, "numpy-int8-lut-tensor": 0.12, "onnx-int8": 0.05}
ENGINES = {
    "torch-fp32": {"torch": 0.36, "torch-compile": 0.27},
    "numpy-fp32": {"numpy": 0.21},
    "numpy-int8-dequant": {"numpy-dequantized": 0.55},
    "numpy-int8-dequant-pwl": {"numpy-dequantized": 0.83},
    "numpy-int8-lut": {"numpy-integer": 0.24, "numpy-integer-strict": 4.1},
    "numpy-int8-pwl": {"numpy-integer": 0.41},
    "numpy-int8-lut-tensor": {"numpy-integer": 0.24},
    "numpy-int8-pwl-tensor": {"numpy-integer": 0.42},
    "onnx-fp32": {"onnxruntime": 0.14},
    "onnx-int8": {"onnxruntime": 0.07},
}


def tables() -> dict[str, pd.DataFrame]:
    """Every table of the make-believe run."""
    random = np.random.default_rng(0)
    return {
        "scores": _scores(random),
        "confusion": _confusion(random),
        "scores_by_class": _by_class(random),
        "training": _training(),
        "costs": _costs(),
        "cost_layers": _cost_layers(),
        "latency": (latency := _latency()),
        "speed": _speed(latency),
        "comparisons": _comparisons(random),
        "layers": _layers(),
        "audit": _audit(),
        "skipped": _frame(
            [{"lab": LAB, "model": MODEL, "variant": "torch-fp32", "engine": "torch-compile", "host": "gpu-server"}]
        ).assign(reason="no C++ compiler"),
        "claims": _claims(),
    }


def networks() -> dict[str, Network]:
    """The float network and its integer versions, with random weights."""
    random = np.random.default_rng(1)

    def layer(name: str, shape: tuple[int, ...], activation: str) -> Layer:
        weight = random.normal(0, 1.2 / math.sqrt(math.prod(shape[:-1])), shape).astype(np.float32)
        bias = random.normal(0, 0.1, shape[-1]).astype(np.float32)
        padding = {"padding": 1} if len(shape) == 4 else {}
        kind = "conv2d" if padding else "linear"
        return Layer(name, kind, activation=activation, arrays={"weight": weight, "bias": bias}, **padding)

    float_network = Network(
        arithmetic="float",
        input_shape=(28, 28, 1),
        preprocessing=Preprocessing((0.1307,), (0.3081,)),
        classes=tuple(CLASSES),
        layers=(
            layer("conv1", (3, 3, 1, 8), "relu"),
            layer("conv2", (3, 3, 8, 16), "selu"),
            Layer("pool2", "max_pool", size=2, stride=2),
            layer("conv3", (3, 3, 16, 32), "gelu"),
            Layer("gap", "global_average_pool"),
            layer("linear", (32, 10), "none"),
        ),
    )
    images = digits(8)
    found = {"numpy-fp32": float_network}
    for name, settings in VARIANTS.items():
        if settings["method"] == "quantize-numpy":
            choice = {key: settings[key] for key in ("arithmetic", "granularity") if key in settings}
            activations = "pwl" if "pwl" in name else "lut"
            parameters = Parameters(
                **{"method": "quantize-numpy", "from": "numpy-fp32", "activations": activations} | choice
            )
            found[name] = quantize(float_network, images, parameters)
    return {f"{MODEL}/{name}": network for name, network in found.items()}


def digits(count: int) -> np.ndarray:
    """Blurred strokes that could be digits, uint8 (N, 28, 28, 1)."""
    random = np.random.default_rng(2)
    rows, columns = np.mgrid[:28, :28]
    images = np.zeros((count, 28, 28))
    for image in images:
        for row, column in random.uniform(6, 22, (5, 2)):
            image += np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 8)
    return (255 * np.clip(images, 0, 1)).astype(np.uint8)[..., None]


def predictions(images: int = 400) -> dict[str, dict[str, np.ndarray]]:
    """What the float network and the look-up table one answer, by variant."""
    random = np.random.default_rng(3)
    labels = random.integers(0, 10, images)
    logits = random.normal(0, 1, (images, 10)).astype(np.float32)
    logits[np.arange(images), labels] += 3.4
    changed = logits + random.normal(0, 0.12, logits.shape).astype(np.float32)
    indices = np.arange(images)
    return {
        f"{MODEL}/{name}": {"logits": answer, "labels": labels, "indices": indices}
        for name, answer in (("numpy-fp32", logits), ("numpy-int8-lut", changed))
    }


def data_card() -> dict:
    """The card of a dataset that is the real one."""
    return {
        "dataset": "mnist",
        "source": "mirror",
        "title": {"en": "MNIST", "zh-TW": "MNIST"},
        "description": {"en": "Handwritten digits, 28 × 28 grey pixels.", "zh-TW": "28 × 28 灰階手寫數字。"},
        "embedded": False,
        "substitute": False,
        "classes": CLASSES,
        "image_shape": [28, 28, 1],
        "counts": {
            split: {digit: size // 10 + 13 * int(digit) for digit in CLASSES}
            for split, size in (("train", 55000), ("validation", 5000), ("test", 10000))
        },
        "mean": [0.1307],
        "std": [0.3081],
        "content_sha256": "1f" * 32,
        "files": [
            {"name": f"{name}.gz", "url": f"https://example.org/{name}.gz", "sha256": "ab" * 32, "bytes": 9912422}
            for name in ("train-images-idx3-ubyte", "t10k-images-idx3-ubyte")
        ],
        "protocol": {
            "en": "The last 5,000 training images are the validation split.",
            "zh-TW": "以訓練影像的最後 5,000 張為驗證集。",
        },
        "caveats": [{"id": "labels", "en": "A few labels are known to be wrong.", "zh-TW": "已知有少數標籤錯誤。"}],
        "licence": "CC BY-SA 3.0",
        "citation": "LeCun, Cortes, Burges: The MNIST database of handwritten digits",
    }


def host_card() -> dict:
    """A fingerprint with some fields that the machine did not tell."""
    hidden = "not exposed by this machine"
    return {
        "host": HOST,
        "taken_at": "2026-11-22T12:00:00+00:00",
        "cpu": {
            "model": "Example CPU @ 2.40GHz",
            "vendor": "GenuineExample",
            "architecture": "x86_64",
            "flags": {"avx2": True, "avx512_vnni": True, "amx_int8": False},
            "physical_cores": 4,
            "logical_cores": 8,
            "usable_cores": 2,
            "caches": {"L1 Data": "32K", "L2 Unified": "2048K"},
            "governor": hidden,
            "frequency_mhz": hidden,
            "virtual_machine": True,
        },
        "memory": {"total_bytes": 16 * 2**30, "available_bytes": 9 * 2**30, "swap_bytes": 0},
        "container": {"cpu_quota_cores": 2.0, "memory_limit_bytes": "unlimited"},
        "gpu": "none found (no NVIDIA driver answers)",
        "operating_system": {"name": "Linux", "distribution": "Debian 12", "kernel": "6.1", "libc": "glibc 2.36"},
        "python": {"implementation": "CPython", "version": "3.11.7"},
        "libraries": {"compresslab": "0.1.0", "numpy": "2.4.1", "onnxruntime": "1.32.0", "tensorflow": "not installed"},
        "blas": {
            "numpy": {"name": "scipy-openblas", "version": "0.3.30", "configuration": "..."},
            "loaded": [{"internal_api": "openblas", "version": "0.3.30", "architecture": "SkylakeX", "num_threads": 1}],
        },
        "code": {"version": "0.1.0", "revision": "0123456789abcdef", "uncommitted_changes": False},
        "load_average": [0.4, 0.3, 0.2],
        "temperature_celsius": hidden,
    }


def subject() -> dict:
    """What the configuration says of the lab."""
    train = {"epochs": 5, "batch": 64, "optimizer": {"name": "adam", "lr": 0.01}, "schedule": "one-cycle"}
    variants = {name: {key: value for key, value in entry.items() if value} for name, entry in VARIANTS.items()}
    return {
        "lab": LAB,
        "title": {"en": "A CNN in nothing but integers and NumPy", "zh-TW": "只用整數與 NumPy 的卷積神經網路"},
        "run": "full",
        "scale": "full",
        "source": "mirror",
        "host": HOST,
        "seeds": list(SEEDS),
        "languages": ["zh-TW", "en"],
        "datasets": ["mnist"],
        "models": {MODEL: {"architecture": MODEL, "train": train, "variants": variants}},
    }


def write_tables(folder: Path, made: Mapping[str, pd.DataFrame]) -> None:
    """Write every table that a lab has; those that nothing was made for have no rows."""
    for name, known in TABLES.items():
        write_table(folder / f"{name}.csv", made.get(name, known.empty()))


def write_run(folder: Path, embedded: bool = False, scale: str = "full") -> dict[str, Path]:
    """Write the make-believe run below ``folder`` and return where its parts lie."""
    paths = {
        "tables": folder / "tables" / LAB,
        "networks": folder / "networks",
        "predictions": folder / "predictions",
        "card": folder / "mnist.json",
        "host": folder / "local.host.json",
        "subject": folder / "subject.json",
    }
    write_tables(paths["tables"], tables())
    for name, network in networks().items():
        save(network, paths["networks"] / name / "model.npz")
    for name, arrays in predictions().items():
        write_arrays(paths["predictions"] / name / "seed-0.npz", arrays)
    write_json(paths["card"], data_card() | {"embedded": embedded, "source": "embedded" if embedded else "mirror"})
    write_json(paths["host"], host_card())
    write_json(paths["subject"], subject() | {"scale": scale, "run": scale})
    return paths


def _frame(rows: list[dict]) -> pd.DataFrame:
    return pd.DataFrame(rows)


def _accuracy(variant: str, seed: int) -> float:
    return 97.31 + 0.11 * seed - LOSS_POINTS.get(variant, 0.0)


def _scores(random: np.random.Generator) -> pd.DataFrame:
    return _frame(
        [
            {
                "lab": LAB,
                "model": MODEL,
                "variant": variant,
                "seed": seed,
                "images": 10000,
                "accuracy_percent": (value := _accuracy(variant, seed)),
                "accuracy_low_percent": value - 0.33,
                "accuracy_high_percent": value + 0.31,
                "macro_precision_percent": value - 0.04,
                "macro_recall_percent": value - 0.05,
                "macro_f1_percent": value - 0.05,
                "mean_loss": 0.0891 + 0.001 * random.random(),
            }
            for variant in VARIANTS
            for seed in SEEDS
        ]
    )


def _confusion(random: np.random.Generator) -> pd.DataFrame:
    rows = []
    for variant in VARIANTS:
        for seed in SEEDS:
            counts = random.poisson(2.4, (10, 10))
            np.fill_diagonal(counts, 970)
            rows += [
                {
                    "lab": LAB,
                    "model": MODEL,
                    "variant": variant,
                    "seed": seed,
                    "true_class": str(true),
                    "predicted_class": str(answer),
                    "images": int(images),
                }
                for (true, answer), images in np.ndenumerate(counts)
            ]
    return _frame(rows)


def _by_class(random: np.random.Generator) -> pd.DataFrame:
    return _frame(
        [
            {
                "lab": LAB,
                "model": MODEL,
                "variant": variant,
                "seed": seed,
                "class": digit,
                "images": 1000,
                "precision_percent": 96 + 3 * random.random(),
                "recall_percent": 96 + 3 * random.random(),
                "f1_percent": 96 + 3 * random.random(),
            }
            for variant in VARIANTS
            for seed in SEEDS
            for digit in CLASSES
        ]
    )


def _training() -> pd.DataFrame:
    return _frame(
        [
            {
                "lab": LAB,
                "model": MODEL,
                "variant": "torch-fp32",
                "seed": seed,
                "epoch": epoch,
                "train_loss": 0.9 / epoch + 0.01 * seed,
                "train_accuracy_percent": 98 - 18 / epoch**1.4 - 0.2 * seed,
                **NO_OVERLAP,
                "validation_loss": 0.8 / epoch + 0.02 * seed,
                "validation_accuracy_percent": 97.6 - 12 / epoch**1.5 - 0.2 * seed,
                "learning_rate": 0.01 / epoch,
                "kept": epoch == 5,
                "epoch_s": 11.2,
            }
            for seed in SEEDS
            for epoch in range(1, 6)
        ]
    )


def _costs() -> pd.DataFrame:
    rows = []
    for variant in VARIANTS:
        whole = "int8" not in variant
        weights = 24872 if whole else (6218 if "dequant" in variant else 6416)
        table = 0 if whole or "onnx" in variant else (148 if "pwl" in variant else 512)
        rows.append(
            {
                "lab": LAB,
                "model": MODEL,
                "variant": variant,
                "parameters": 6218,
                "nonzero_parameters": 6218,
                "macs": 1864768,
                "flops": 2 * 1864768,
                "weight_bytes": weights,
                "table_bytes": table,
                "quantization_bytes": 0 if whole else 326,
                "stored_bytes": weights + table,
                "file_bytes": weights + 2400,
                "file_gz_bytes": weights + 900,
                "sparse_bytes": weights,
                "activation_bytes": 6 * 4 * 6272,
                "activation_peak_bytes": 75264 if whole else 18816,
            }
        )
    return _frame(rows)


def _cost_layers() -> pd.DataFrame:
    layers = [
        ("conv1", "conv2d+relu", "28×28×8", 80, 56448),
        ("conv2", "conv2d+selu", "28×28×16", 1168, 903168),
        ("pool2", "max_pool", "14×14×16", 0, 0),
        ("conv3", "conv2d+gelu", "14×14×32", 4640, 903168),
        ("gap", "global_average_pool", "32", 0, 0),
        ("linear", "linear", "10", 330, 320),
    ]
    return _frame(
        [
            {
                "lab": LAB,
                "model": MODEL,
                "variant": variant,
                "layer": name,
                "operator": operator,
                "output_shape": shape,
                "parameters": parameters,
                "nonzero_parameters": parameters,
                "macs": macs,
                "weight_bytes": 4 * parameters,
                "activation_bytes": 4 * 6272,
            }
            for variant in VARIANTS
            for name, operator, shape, parameters, macs in layers
        ]
    )


def _latency() -> pd.DataFrame:
    rows = []
    for variant, engines in ENGINES.items():
        for engine, p50 in engines.items():
            for threads in (1, 2):
                fast = p50 / (1.0 if threads == 1 else 1.4)
                rows.append(
                    {
                        "lab": LAB,
                        "host": HOST,
                        "model": MODEL,
                        "variant": variant,
                        "seed": 0,
                        "engine": engine,
                        "threads": threads,
                        "load_ms": 3.2,
                        "first_call_ms": 4 * fast,
                        "calls": 3300,
                        "p50_ms": fast,
                        "p50_low_ms": 0.98 * fast,
                        "p50_high_ms": 1.03 * fast,
                        "p90_ms": 1.2 * fast,
                        "p99_ms": 1.9 * fast,
                        "mean_ms": 1.05 * fast,
                        "batch": 256,
                        "offline_images_per_s": 2600 / fast,
                        "offline_low_images_per_s": 2540 / fast,
                        "offline_high_images_per_s": 2660 / fast,
                        "rounds": 5,
                        "peak_rss_bytes": 190_000_000,
                        "noisy": engine == "torch-compile",
                        "noise": "round-spread" if engine == "torch-compile" else "",
                    }
                )
    return _frame(rows)


def _speed(latency: pd.DataFrame) -> pd.DataFrame:
    rows = []
    base = latency[latency["variant"] == "numpy-fp32"].set_index("threads")["p50_ms"]
    for cell in latency.to_dict("records"):
        if cell["variant"] == "numpy-fp32":
            continue
        ratio = base[cell["threads"]] / cell["p50_ms"]
        identity = {name: cell[name] for name in ("lab", "host", "model", "variant", "engine", "threads")}
        rows.append(
            identity
            | {
                "baseline_variant": "numpy-fp32",
                "baseline_engine": "numpy",
                "latency_ratio": ratio,
                "latency_ratio_low": 0.93 * ratio,
                "latency_ratio_high": 1.08 * ratio,
                "throughput_ratio": 1.1 * ratio,
                "throughput_ratio_low": 1.02 * ratio,
                "throughput_ratio_high": 1.18 * ratio,
                "speed_verdict": "faster" if 0.93 * ratio > 1 else "slower" if 1.08 * ratio < 1 else "noise",
            }
        )
    return _frame(rows)


def _comparisons(random: np.random.Generator) -> pd.DataFrame:
    rows = []
    for variant, entry in VARIANTS.items():
        if entry["from"]:
            for seed in SEEDS:
                loss = LOSS_POINTS.get(variant, 0.0)
                verdict = "worse" if loss > 0.2 else "noise"
                rows.append(
                    {
                        "lab": LAB,
                        "model": MODEL,
                        "variant": variant,
                        "reference": entry["from"],
                        "seed": seed,
                        "images": 10000,
                        "agreement_percent": 100 - 2 * loss - (0.1 if loss else 0),
                        "only_reference_correct": int(120 * loss),
                        "only_variant_correct": int(60 * loss),
                        "mcnemar_p": 0.0004 if loss > 0.2 else 1 - loss,
                        "accuracy_difference_points": -loss,
                        "accuracy_difference_low_points": -loss - 0.11,
                        "accuracy_difference_high_points": -loss + 0.1,
                        "relative_l2_percent": 12 * loss + random.random() * 0.01,
                        "confidence_shift_points": -4 * loss,
                        "confidence_distance_points": 6 * loss,
                        "smallest_detectable_points": 0.07,
                        "accuracy_verdict": verdict,
                    }
                )
    return _frame(rows)


def _layers() -> pd.DataFrame:
    rows = []
    growth = np.array([0.7, 1.2, 1.1, 2.3, 1.0, 1.3])
    for index, variant in enumerate(VARIANTS):
        if "int8" not in variant:
            continue
        reference = "onnx-fp32" if variant.startswith("onnx") else "numpy-fp32"
        for seed in SEEDS:
            for layer, error in zip(LAYERS, growth * (0.6 + 0.3 * index), strict=True):
                rows.append(
                    {
                        "lab": LAB,
                        "model": MODEL,
                        "variant": variant,
                        "seed": seed,
                        "reference": reference,
                        "layer": layer,
                        "relative_l2_percent": error,
                        "max_abs_difference": error / 20,
                        "signal_to_noise_db": -20 * math.log10(error / 100),
                    }
                )
    return _frame(rows)


def _audit() -> pd.DataFrame:
    operators = [("conv1", "QLinearConv"), ("conv2", "QLinearConv"), ("conv3", "QLinearConv"), ("linear", "QGemm")]
    rows = [
        {
            "lab": LAB,
            "host": HOST,
            "model": MODEL,
            "variant": "onnx-int8",
            "engine": "onnxruntime",
            "node": node,
            "operator": operator,
            "runs_as": "integer",
            "expected": "integer",
        }
        for node, operator in operators
    ]
    rows += [
        {
            "lab": LAB,
            "host": HOST,
            "model": MODEL,
            "variant": "onnx-int8",
            "engine": "onnxruntime",
            "node": node,
            "operator": operator,
            "runs_as": "float",
            "expected": "float",
        }
        for node, operator in [("selu2", "Selu"), ("gelu3", "Gelu")]
    ]
    return _frame(rows)


def _claims() -> pd.DataFrame:
    nan = math.nan
    cases = [
        (
            "float-size",
            "The float32 weights take 24.29 KB.",
            "float32 權重佔 24.29 KB。",
            24.29,
            nan,
            nan,
            24.289,
            nan,
            "KB",
            "reproduced",
            "",
        ),
        (
            "test-accuracy",
            "The test accuracy is 93.62 %.",
            "測試集準確率為 93.62 %。",
            93.62,
            nan,
            nan,
            97.42,
            97.1,
            "%",
            "exceeded",
            "",
        ),
        (
            "faster",
            "The int8 model is 2 to 4 times faster.",
            "int8 模型快 2 至 4 倍。",
            nan,
            2.0,
            4.0,
            0.875,
            0.81,
            "×",
            "not_reproduced",
            "",
        ),
        (
            "power",
            "It needs 30 to 50 % less power.",
            "功耗降低 30–50 %。",
            nan,
            30.0,
            50.0,
            nan,
            nan,
            "%",
            "not_comparable",
            "missing_measurement",
        ),
    ]
    return _frame(
        [
            {
                "claim": f"{LAB}-{name}",
                "lab": LAB,
                "statement_en": english,
                "statement_zh": chinese,
                "source": "CNN MNIST 手寫數字識別, 性能比較",
                "published": published,
                "published_low": low,
                "published_high": high,
                "tolerance": nan,
                "unit": unit,
                "kind": "within",
                "measured": measured,
                "measured_low": least,
                "measured_high": measured + 0.07 if least == least else nan,
                "verdict": verdict,
                "reason": reason,
                "hardware_dependent": name == "faster",
            }
            for name, english, chinese, published, low, high, measured, least, unit, verdict, reason in cases
        ]
    )


if __name__ == "__main__":
    write_run(Path(sys.argv[1]))
