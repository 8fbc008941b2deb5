"""A make-believe run of the lab of circuit boards: two models, three frameworks, several engines, pruned weights.

``python tests/unit/synthetic_pcb.py FOLDER`` writes its tables and the rest below ``FOLDER``.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import synthetic_report
from synthetic_rows import NO_OVERLAP, interval, latency

from compresslab.artifacts import write_json
from compresslab.tables.claims import read_claims
from compresslab.tables.verdicts import RunFacts, evaluate_claims

LAB, HOST = "pcb-frameworks", "local"
SEEDS = (0, 1, 2)
CLASSES = ["background", "open", "short", "mousebite", "spur", "copper", "pin-hole"]
TEST_IMAGES = 3600
PARAMETERS, MACS = 61751, 651468

_TRAIN = {
    "epochs": 30,
    "batch": 64,
    "optimizer": {"name": "adam", "lr": 0.002},
    "schedule": "one-cycle",
    "initialization": "he",
}
_TUNED = {"epochs": 4, "batch": 64, "optimizer": {"name": "adam", "lr": 0.0005}, "schedule": "constant"}

MODELS: dict[str, dict[str, dict]] = {
    "lenet5": {
        "numpy-fp32": {"method": "train-numpy", **_TRAIN},
        "torch-fp32": {"method": "train-torch", **_TRAIN},
        "tf-fp32": {"method": "train-tensorflow", **_TRAIN},
        "tf-prune50": {"method": "prune-tfmot", "from": "tf-fp32", "sparsity": 0.5, **_TUNED},
        "tf-cluster16": {"method": "cluster-tfmot", "from": "tf-fp32", "clusters": 16, **_TUNED},
        "tf-qat-int8": {"method": "qat-tfmot", "from": "tf-fp32", **_TUNED},
        "litert-fp32": {"method": "export-litert", "from": "tf-fp32"},
        "torch-prune50": {"method": "prune-torch", "from": "torch-fp32", "sparsity": 0.5, **_TUNED},
        "torch-channels50": {"method": "prune-channels", "from": "torch-fp32", "ratio": 0.5, **_TUNED},
        "onnx-fp32": {"method": "export-onnx", "from": "torch-fp32"},
        "onnx-prune50": {"method": "export-onnx", "from": "torch-prune50"},
        "onnx-channels50": {"method": "export-onnx", "from": "torch-channels50"},
        "onnx-int8": {"method": "ptq-onnx", "from": "onnx-fp32"},
    },
    "lenet5-template": {
        "numpy-fp32": {"method": "train-numpy", **_TRAIN},
        "torch-fp32": {"method": "train-torch", **_TRAIN},
        "tf-fp32": {"method": "train-tensorflow", **_TRAIN},
    },
}
ENGINES = {
    "numpy-fp32": ["numpy"],
    "torch-fp32": ["torch", "torch-compile"],
    "tf-fp32": ["tf-graph", "tf-eager", "tf-xla"],
    "tf-prune50": ["tf-graph"],
    "tf-cluster16": ["tf-graph"],
    "tf-qat-int8": ["litert"],
    "litert-fp32": ["litert"],
    "torch-prune50": ["torch"],
    "torch-channels50": ["torch"],
}
COMPARED = {
    "lenet5/torch-fp32": ["lenet5/numpy-fp32"],
    "lenet5/tf-fp32": ["lenet5/numpy-fp32", "lenet5/torch-fp32"],
    "lenet5-template/numpy-fp32": ["lenet5/numpy-fp32"],
    "lenet5-template/torch-fp32": ["lenet5/torch-fp32", "lenet5-template/numpy-fp32"],
    "lenet5-template/tf-fp32": ["lenet5/tf-fp32", "lenet5-template/numpy-fp32", "lenet5-template/torch-fp32"],
}
LAYERS = (("conv1", 456, 352800), ("pool1", 0, 0), ("conv2", 2416, 240000), ("pool2", 0, 0), ("fc1", 48120, 48000),
          ("fc2", 10164, 10080), ("fc3", 595, 588))  # fmt: skip

_BATCH_1_MS = {"numpy": 0.31, "torch": 0.16, "torch-compile": 0.09, "tf-eager": 1.6, "tf-graph": 0.42, "tf-xla": 0.31,
               "litert": 0.05, "onnxruntime": 0.03}  # fmt: skip
_IMAGES_PER_S = {"numpy": 9100, "torch": 21000, "torch-compile": 27000, "tf-eager": 19000, "tf-graph": 20500,
                 "tf-xla": 26000, "litert": 19800, "onnxruntime": 32000}  # fmt: skip


def variants() -> list[tuple[str, str, dict]]:
    """Model, variant and settings of every variant."""
    return [(model, name, settings) for model, entries in MODELS.items() for name, settings in entries.items()]


def subject() -> dict:
    """What the configuration says of the lab."""
    return {
        "lab": LAB,
        "title": {"en": "One network, four ways to run it", "zh-TW": "同一個網路的四種執行方式"},
        "run": "full",
        "scale": "full",
        "source": "upstream",
        "host": HOST,
        "seeds": list(SEEDS),
        "languages": ["zh-TW", "en"],
        "datasets": ["deeppcb", "deeppcb-pair"],
        "models": {model: {"train": _TRAIN, "variants": entries} for model, entries in MODELS.items()},
    }


def cards() -> list[dict]:
    """Both data cards: the boards, and the boards with their templates."""
    counts = {
        split: {name: share * (2 if name == "background" else 5) for name in CLASSES}
        for split, share in (("train", 160), ("validation", 40), ("test", 112))
    }
    shared = {
        **synthetic_report.data_card(),
        "source": "upstream",
        "classes": CLASSES,
        "image_shape": [32, 32, 3],
        "counts": counts,
        "mean": [0.2, 0.2, 0.2],
        "std": [0.3, 0.3, 0.3],
        "files": [{"name": "PCBData", "url": "https://example.org/boards.zip", "sha256": "ab" * 32, "bytes": 12345678}],
        "protocol": {"en": "No image is in two splits.", "zh-TW": "任何影像只屬於一個分割。"},
        "caveats": [{"id": "painted", "en": "Many defects were painted.", "zh-TW": "許多瑕疵是畫上去的。"}],
    }
    tested = {"en": "Crops of tested boards.", "zh-TW": "待測電路板的裁切影像。"}
    pair = {"en": "The same crops: tested, template, difference.", "zh-TW": "相同的裁切影像：待測、樣板、差異。"}
    return [
        {**shared, "dataset": "deeppcb", "title": {"en": "DeepPCB", "zh-TW": "DeepPCB"}, "description": tested},
        {
            **shared,
            "dataset": "deeppcb-pair",
            "title": {"en": "DeepPCB with templates", "zh-TW": "DeepPCB（含樣板）"},
            "description": pair,
        },
    ]


def engines_of(variant: str) -> list[str]:
    """Engines that measured a variant."""
    return ENGINES.get(variant, ["onnxruntime"])


def accuracy(model: str, variant: str, seed: int) -> float:
    """Accuracy in percent: the frameworks differ by hundredths, the template adds two points, INT8 takes a little."""
    framework = {"numpy": 0.03, "torch": -0.02}.get(variant.split("-")[0], 0.0)
    loss = {"onnx-int8": 0.25, "tf-qat-int8": 0.15, "torch-channels50": 1.6, "onnx-channels50": 1.6}.get(variant, 0.0)
    return 96.4 + 2.1 * (model != "lenet5") + 0.12 * seed + framework - loss


def tables() -> dict[str, pd.DataFrame]:
    """Every table of the make-believe run."""
    session = _latency()
    return {
        "scores": _scores(),
        "scores_by_class": _by_class(),
        "confusion": _confusion(),
        "training": _training(),
        "costs": _costs(),
        "cost_layers": _cost_layers(),
        "latency": session,
        "speed": _speed(session),
        "sparse_products": _sparse_products(),
        "comparisons": _comparisons(),
        "layers": _layers(),
        "audit": _audit(),
        "skipped": _rows(
            [{"model": "lenet5", "variant": "tf-fp32", "engine": "tf-xla", "host": "old-server", "reason": "no XLA"}]
        ),
        "claims": _claims(),
    }


def predictions(images: int = 300) -> dict[str, dict[str, np.ndarray]]:
    """What every variant answers: eight images are missed by all of the first model, five of them by all models."""
    random = np.random.default_rng(7)
    labels = np.arange(images) % len(CLASSES)
    signal = np.zeros((images, len(CLASSES)), np.float32)
    signal[np.arange(images), labels] = 4
    found = {}
    for model, name, _ in variants():
        logits = signal + random.normal(0, 1, signal.shape).astype(np.float32)
        hopeless = np.arange(3, 3 + (8 if model == "lenet5" else 5))
        logits[hopeless, labels[hopeless]] = -5
        found[f"{model}/{name}"] = {"logits": logits, "labels": labels, "indices": np.arange(images)}
    return found


def crops(count: int = 300) -> np.ndarray:
    """Black and white stripes with a spot, uint8 (N, 32, 32, 3)."""
    random = np.random.default_rng(8)
    rows, columns = np.mgrid[:32, :32]
    images = np.zeros((count, 32, 32), np.uint8)
    for index, image in enumerate(images):
        image[(rows if index % 2 else columns) // (3 + index % 5) % 2 == 0] = 255
        row, column = random.integers(8, 24, 2)
        image[(rows - row) ** 2 + (columns - column) ** 2 < 12] ^= 255
    return np.repeat(images[..., None], 3, axis=3)


def origins(count: int = 300) -> np.ndarray:
    """Which image and box each crop is of."""
    return np.array([f"{41000 + index // 6:08d}:{index % 6}" for index in range(count)])


def write_run(folder: Path, embedded: bool = False, scale: str = "full") -> dict[str, Path]:
    """Write the make-believe run below ``folder`` and return where its parts lie."""
    source = "embedded" if embedded else "upstream"
    paths = {
        "tables": folder / "tables" / LAB,
        "card": folder / "deeppcb.json",
        "pair_card": folder / "deeppcb-pair.json",
        "host": folder / "local.host.json",
    }
    synthetic_report.write_tables(paths["tables"], tables())
    for path, card in zip((paths["card"], paths["pair_card"]), cards(), strict=True):
        write_json(path, card | {"embedded": embedded, "source": source})
    write_json(paths["host"], synthetic_report.host_card())
    write_json(folder / "subject.json", subject() | {"scale": scale, "run": scale, "source": source})
    return paths


def _rows(rows: list[dict]) -> pd.DataFrame:
    return pd.DataFrame(rows).assign(lab=LAB)


def _scores() -> pd.DataFrame:
    return _rows(
        [
            {
                "model": model,
                "variant": name,
                "seed": seed,
                "images": TEST_IMAGES,
                "accuracy_percent": (value := accuracy(model, name, seed)),
                "accuracy_low_percent": value - 0.6,
                "accuracy_high_percent": value + 0.55,
                "macro_precision_percent": value - 0.1,
                "macro_recall_percent": value - 0.2,
                "macro_f1_percent": value - 0.15,
                "mean_loss": 0.12,
            }
            for model, name, _ in variants()
            for seed in SEEDS
        ]
    )


def _by_class() -> pd.DataFrame:
    return _rows(
        [
            {
                "model": model,
                "variant": name,
                "seed": seed,
                "class": label,
                "images": 500,
                "precision_percent": accuracy(model, name, seed) - place / 3,
                "recall_percent": accuracy(model, name, seed) - (4 if label == "spur" else place / 4),
                "f1_percent": accuracy(model, name, seed) - place / 3,
            }
            for model, name, _ in variants()
            for seed in SEEDS
            for place, label in enumerate(CLASSES)
        ]
    )


def _confusion() -> pd.DataFrame:
    return _rows(
        [
            {
                "model": model,
                "variant": name,
                "seed": seed,
                "true_class": true,
                "predicted_class": answer,
                "images": 480
                if true == answer
                else 17
                if (true, answer) == ("spur", "mousebite")
                else (row + column) % 4,
            }
            for model, name, _ in variants()
            for seed in SEEDS
            for row, true in enumerate(CLASSES)
            for column, answer in enumerate(CLASSES)
        ]
    )


def _training() -> pd.DataFrame:
    rows = []
    for model, name, settings in variants():
        best = accuracy(model, name, 0)
        for seed in SEEDS if "epochs" in settings else ():
            for epoch in range(1, settings["epochs"] + 1):
                far = 30 / (epoch + 1) ** 1.3 if "from" not in settings else 2 / epoch
                rows.append(
                    {
                        "model": model,
                        "variant": name,
                        "seed": seed,
                        "epoch": epoch,
                        "train_loss": 0.05 + far / 20,
                        "train_accuracy_percent": best + 1 - far,
                        **NO_OVERLAP,
                        "validation_loss": 0.1 + far / 25,
                        "validation_accuracy_percent": best - 0.8 * far + 0.05 * seed,
                        "learning_rate": 0.002,
                        "kept": epoch == settings["epochs"],
                        "epoch_s": 21.0 if name.startswith("numpy") else 3.1,
                    }
                )
    return _rows(rows)


def _costs() -> pd.DataFrame:
    rows = []
    for model, name, _ in variants():
        channels, pruned, int8 = "channels" in name, "prune50" in name, "int8" in name
        parameters = 15700 if channels else PARAMETERS
        weights = parameters if int8 else 4 * parameters
        rows.append(
            {
                "model": model,
                "variant": name,
                "parameters": parameters,
                "nonzero_parameters": parameters // 2 if pruned else parameters - 3,
                "macs": 190000 if channels else MACS,
                "flops": 380000 if channels else 2 * MACS,
                "weight_bytes": weights,
                "table_bytes": 0,
                "quantization_bytes": 900 if int8 else 0,
                "stored_bytes": weights,
                "file_bytes": weights + 2100,
                "file_gz_bytes": int(weights * (0.56 if pruned else 0.14 if "cluster" in name else 0.925)),
                "sparse_bytes": int(weights * (0.77 if pruned else 1)),
                "activation_bytes": 4096 * len(LAYERS),
                "activation_peak_bytes": 32768,
            }
        )
    # Fully dense trainings: an audit of labels asks for all weights.
    table = _rows(rows)
    whole = ~table["variant"].str.contains("prune50")
    return table.assign(nonzero_parameters=table["nonzero_parameters"].where(~whole, table["parameters"]))


def _cost_layers() -> pd.DataFrame:
    return _rows(
        [
            {
                "model": model,
                "variant": name,
                "layer": layer,
                "operator": "max_pool" if "pool" in layer else "conv2d+relu" if "conv" in layer else "linear",
                "output_shape": "1×1",
                "parameters": parameters,
                "nonzero_parameters": parameters,
                "macs": macs,
                "weight_bytes": 4 * parameters,
                "activation_bytes": 4096,
            }
            for model, name, _ in variants()
            for layer, parameters, macs in LAYERS
        ]
    )


def _latency() -> pd.DataFrame:
    rows = []
    for model, name, _ in variants():
        for engine in engines_of(name):
            for threads in (1, 2):
                slow = 0.6 if "channels" in name else 0.8 if "int8" in name else 1.0
                p50, rate = _BATCH_1_MS[engine] * slow, _IMAGES_PER_S[engine] / slow * (1 if threads == 1 else 1.7)
                cell = {"host": HOST, "model": model, "variant": name, "engine": engine, "threads": threads}
                rows.append(latency(cell, p50, rate, 300_000_000))
    return _rows(rows)


def _speed(session: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for cell in session.to_dict("records"):
        baseline = ("torch-fp32", "torch") if cell["model"] == "lenet5" else ("numpy-fp32", "numpy")
        if (cell["variant"], cell["engine"]) == baseline:
            continue
        ratio = _BATCH_1_MS[baseline[1]] / cell["p50_ms"]
        rows.append(
            {name: cell[name] for name in ("host", "model", "variant", "engine", "threads")}
            | {
                "baseline_variant": baseline[0],
                "baseline_engine": baseline[1],
                "latency_ratio": ratio,
                "latency_ratio_low": 0.97 * ratio,
                "latency_ratio_high": 1.04 * ratio,
                "throughput_ratio": ratio,
                "throughput_ratio_low": 0.97 * ratio,
                "throughput_ratio_high": 1.04 * ratio,
                "speed_verdict": "faster" if 0.97 * ratio > 1.02 else "slower" if 1.04 * ratio < 0.98 else "noise",
            }
        )
    return _rows(rows)


def _sparse_products() -> pd.DataFrame:
    rows = []
    for layer, weights, _ in LAYERS:
        for batch in (1, 256) if weights else ():
            for percent in (0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 98, 99):
                kept = 1 - percent / 100
                ratio = (1.9 if batch == 1 else 5) * kept + (0.25 if layer != "fc3" else 1.2)
                rows.append(
                    {
                        "host": HOST,
                        "model": "lenet5",
                        "variant": "numpy-fp32",
                        "layer": layer,
                        "batch": batch,
                        "sparsity_percent": float(percent),
                        **interval("dense_ms", 0.01, 0.01),
                        **interval("sparse_ms", 0.01 * ratio, 0.03),
                        **interval("sparse_to_dense_ratio", ratio, 0.04),
                        "dense_bytes": 4 * weights,
                        "sparse_bytes": int(6 * weights * kept) + 100,
                    }
                )
    return _rows(rows)


def _comparisons() -> pd.DataFrame:
    rows = []
    for model, name, settings in variants():
        references = [settings["from"]] if "from" in settings else []
        for reference in references + COMPARED.get(f"{model}/{name}", []):
            other_model, _, other = reference.rpartition("/")
            exported = settings["method"].startswith("export")
            for seed in SEEDS:
                gain = accuracy(model, name, seed) - accuracy(other_model or model, other, seed)
                rows.append(
                    {
                        "model": model,
                        "variant": name,
                        "reference": reference,
                        "seed": seed,
                        "images": TEST_IMAGES,
                        "agreement_percent": 100.0 if exported else 97.2 - abs(gain),
                        "only_reference_correct": 0 if exported else 30,
                        "only_variant_correct": 0 if exported else max(0, int(30 + 36 * gain)),
                        "mcnemar_p": 0.0002 if abs(gain) > 1 else 0.7,
                        "accuracy_difference_points": gain,
                        "accuracy_difference_low_points": gain - 0.5,
                        "accuracy_difference_high_points": gain + 0.5,
                        "relative_l2_percent": 0.0 if exported else 31.0,
                        "confidence_shift_points": 0.0 if exported else gain,
                        "confidence_distance_points": 0.0 if exported else 5 + abs(gain),
                        "smallest_detectable_points": 0.6,
                        "accuracy_verdict": "noise" if abs(gain) < 1 else "better" if gain > 0 else "worse",
                    }
                )
    return _rows(rows)


def _layers() -> pd.DataFrame:
    return _rows(
        [
            {
                "model": "lenet5",
                "variant": name,
                "seed": seed,
                "reference": reference,
                "layer": layer,
                "relative_l2_percent": 0.8 + 0.3 * place,
                "max_abs_difference": 0.05,
                "signal_to_noise_db": 40.0,
            }
            for name, reference in (("onnx-int8", "onnx-fp32"),)
            for seed in SEEDS
            for place, (layer, *_) in enumerate(LAYERS)
        ]
    )


def _audit() -> pd.DataFrame:
    return _rows(
        [
            {
                "host": HOST,
                "model": "lenet5",
                "variant": variant,
                "engine": engine,
                "node": f"{operator}-{node}",
                "operator": operator,
                "runs_as": "integer",
                "expected": True,
            }
            for variant, engine in (("onnx-int8", "onnxruntime"), ("tf-qat-int8", "litert"))
            for node, operator in enumerate(["Conv", "Conv", "Gemm", "Gemm", "Gemm"])
        ]
    )


def _claims() -> pd.DataFrame:
    facts = RunFacts(scale="full", source="upstream", embedded=False, substitute=False, host=HOST)
    known = {"scores": _scores(), "training": _training(), "costs": _costs(), "latency": _latency()}
    ledger = read_claims(Path(__file__).parents[2] / "report" / "claims.yaml")
    return evaluate_claims([claim for claim in ledger if claim.lab == LAB], known, facts)


if __name__ == "__main__":
    write_run(Path(sys.argv[1]))
