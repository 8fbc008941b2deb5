"""A make-believe run of the lab of a checkpoint and a page: one ResNet-18, its INT8 versions, layers and codecs.

``python tests/unit/synthetic_cifar.py FOLDER`` writes its tables and the rest below ``FOLDER``.
"""

import sys
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import synthetic_report
from synthetic_rows import NO_OVERLAP, convolution, cost, interval, latency, layer, score

from compresslab.arrays import write_arrays
from compresslab.artifacts import write_json
from compresslab.measure.predictions import Predictions
from compresslab.tables.claims import read_claims
from compresslab.tables.comparisons import compare
from compresslab.tables.verdicts import RunFacts, evaluate_claims

LAB, MODEL, HOST = "cifar-onnx", "resnet18", "local"
SEEDS = (0, 1, 2)
CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
TEST_IMAGES, EPOCHS, PROBE_IMAGES = 2000, 30, 256
QUALITIES = (95, 90, 75, 50)
BASELINE = f"{MODEL}/onnx-fp32"

_TRAIN = {
    "epochs": EPOCHS,
    "batch": 128,
    "optimizer": {"name": "sgd", "lr": 0.2, "momentum": 0.9, "weight_decay": 0.0005},
    "schedule": "one-cycle",
    "augmentation": "crops",
    "label_smoothing": 0.1,
    "initialization": "he",
}
_STATIC = {"method": "ptq-onnx", "from": "onnx-fp32", "activations": "uint8", "granularity": "channel"}
VARIANTS: dict[str, dict] = {
    "torch-fp32": {"method": "train-torch", **_TRAIN},
    "onnx-fp32": {"method": "export-onnx", "from": "torch-fp32"},
    "onnx-int8": _STATIC,
    "onnx-int8-tensor": _STATIC | {"granularity": "tensor"},
    "onnx-int8-s8s8": _STATIC | {"activations": "int8", "allow_float": ["*"]},
    "onnx-int8-percentile": _STATIC | {"calibration": {"ranges": "percentile", "percentile": 99.99}},
    "onnx-int8-entropy": _STATIC | {"calibration": {"ranges": "entropy"}},
    "onnx-int8-dynamic": {"method": "ptq-onnx-dynamic", "from": "onnx-fp32"},
    "onnx-int8-mixed": {"method": "ptq-onnx-mixed", "from": "onnx-fp32", "float_layers": 2},
}
COMPARED = {
    "onnx-int8": ["torch-fp32"],
    "onnx-int8-tensor": ["onnx-int8"],
    "onnx-int8-s8s8": ["onnx-int8"],
    "onnx-int8-percentile": ["onnx-int8"],
    "onnx-int8-entropy": ["onnx-int8"],
    "onnx-int8-mixed": ["onnx-int8"],
}
SHIFTED = ("onnx-fp32", "onnx-int8", "onnx-int8-tensor", "onnx-int8-mixed")

_NOISE = {"onnx-int8": 0.12, "onnx-int8-tensor": 0.8, "onnx-int8-s8s8": 0.13, "onnx-int8-percentile": 0.2,
          "onnx-int8-dynamic": 0.25, "onnx-int8-mixed": 0.05}  # fmt: skip
"""What quantization adds to the logits, as a standard deviation; calibration by entropy answers as by minmax."""

_P50_MS = {"torch-fp32": 9.1, "onnx-fp32": 6.97, "onnx-int8-s8s8": 6.4, "onnx-int8-dynamic": 14.0,
           "onnx-int8-mixed": 2.6}  # fmt: skip
_INT8_MS = 2.09
_FLOAT_BYTES = 4


def layers() -> list[dict]:
    """The layers of ResNet-18 with a 3 x 3 stem, in the order of execution."""
    rows, size, channels = [convolution("conv1", 3, 64, 3, 32)], 32, 64
    for number, width in enumerate((64, 128, 256, 512), 1):
        for block in (0, 1):
            name, entering = f"layer{number}.{block}", channels
            if number > 1 and block == 0:
                size //= 2
            rows.append(convolution(f"{name}.conv1", entering, width, 3, size))
            rows.append(convolution(f"{name}.conv2", width, width, 3, size))
            if entering != width:
                rows.append(convolution(f"{name}.downsample.0", entering, width, 1, size))
            channels = width
    return [*rows, layer("fc", "linear", "10", 5130, 5120, 10)]


def subject() -> dict:
    """What the configuration says of the lab."""
    return {
        "lab": LAB,
        "title": {"en": "From a checkpoint to a page on a phone", "zh-TW": "從權重檔到手機上的網頁"},
        "run": "full",
        "scale": "full",
        "source": "upstream",
        "host": HOST,
        "seeds": list(SEEDS),
        "languages": ["zh-TW", "en"],
        "datasets": ["cifar10"],
        "models": {MODEL: {"train": _TRAIN, "variants": VARIANTS}},
    }


def card(substitute: bool = False) -> dict:
    """The card of CIFAR-10, or of the copy that has been through JPEG."""
    jpeg = {
        "id": "jpeg",
        "en": "Every image has been through JPEG at quality 75.",
        "zh-TW": "每張影像都經過品質 75 的 JPEG 壓縮。",
    }
    return synthetic_report.data_card() | {
        "dataset": "cifar10-jpeg75" if substitute else "cifar10",
        "source": "mirror" if substitute else "upstream",
        "substitute": substitute,
        "title": {"en": "CIFAR-10", "zh-TW": "CIFAR-10"},
        "description": {"en": "Small photographs of ten kinds of objects.", "zh-TW": "十類物件的小張照片。"},
        "classes": CLASSES,
        "image_shape": [32, 32, 3],
        "counts": {
            split: dict.fromkeys(CLASSES, size // 10)
            for split, size in (("train", 45000), ("validation", 5000), ("test", TEST_IMAGES))
        },
        "mean": [0.49, 0.48, 0.45],
        "std": [0.25, 0.24, 0.26],
        "caveats": [jpeg] if substitute else [],
    }  # fmt: skip


@cache
def predictions(seed: int = 0, images: int = TEST_IMAGES) -> dict[str, dict[str, np.ndarray]]:
    """What every variant answers: the float network's logits, and what quantization adds to them."""
    random = np.random.default_rng([11, seed])
    labels = np.arange(images) % len(CLASSES)
    logits = random.normal(0, 1, (images, len(CLASSES)))
    logits[np.arange(images), labels] += random.normal(5.5, 2, images)
    quantized = {name: logits + spread * random.normal(0, 1, logits.shape) for name, spread in _NOISE.items()}
    quantized["onnx-int8-entropy"] = quantized["onnx-int8"]
    # Full-precision logits differ by the rounding of another order of sums.
    exported = logits + 1e-6 * random.normal(0, 1, logits.shape)
    answers = {"torch-fp32": logits, "onnx-fp32": exported, **quantized}
    return {
        f"{MODEL}/{name}": {"logits": answers[name].astype(np.float32), "labels": labels, "indices": np.arange(images)}
        for name in VARIANTS
    }


def tables() -> dict[str, pd.DataFrame]:
    """Every table of the make-believe run."""
    session = _latency()
    found = {
        "scores": _scores(),
        "scores_by_class": _by_class(),
        "training": _training(),
        "costs": _costs(),
        "cost_layers": pd.DataFrame([identity | row for identity in _identities() for row in layers()]),
        "latency": session,
        "speed": _speed(session),
        "comparisons": _comparisons(),
        "layers": _layer_errors(),
        "sensitivity": _sensitivity(),
        "codec_shift": _codec_shift(),
        "audit": _audit(),
    }
    return found | {"claims": claims(found)}


def claims(known: dict[str, pd.DataFrame], **facts: object) -> pd.DataFrame:
    """The verdicts of the ledger on these tables, for a full run on real data unless ``facts`` say otherwise."""
    run = {"scale": "full", "source": "upstream", "embedded": False, "substitute": False, "host": HOST} | facts
    ledger = read_claims(Path(__file__).parents[2] / "report" / "claims.yaml")
    return evaluate_claims([claim for claim in ledger if claim.lab == LAB], known, RunFacts(**run))


def write_run(folder: Path, substitute: bool = False) -> dict[str, Path]:
    """Write the make-believe run below ``folder`` and return where its parts lie."""
    paths = {
        "tables": folder / "tables" / LAB,
        "predictions": folder / "predictions",
        "card": folder / "cifar10.json",
        "host": folder / "local.host.json",
        "subject": folder / "subject.json",
    }
    synthetic_report.write_tables(paths["tables"], tables())
    for name, arrays in predictions().items():
        write_arrays(paths["predictions"] / name / "seed-0.npz", arrays)
    write_json(paths["card"], card(substitute))
    write_json(paths["host"], synthetic_report.host_card())
    write_json(paths["subject"], subject())
    return paths


def _identities() -> list[dict]:
    return [{"lab": LAB, "model": MODEL, "variant": name} for name in VARIANTS]


def _trainings() -> list[dict]:
    return [identity | {"seed": seed} for identity in _identities() for seed in SEEDS]


def _accuracy(identity: dict) -> float:
    answers = predictions(identity["seed"])[f"{MODEL}/{identity['variant']}"]
    return 100 * float(np.mean(answers["logits"].argmax(axis=1) == answers["labels"]))


def _scores() -> pd.DataFrame:
    return pd.DataFrame([score(identity, _accuracy(identity), TEST_IMAGES, 0.9, 0.8) for identity in _trainings()])


def _by_class() -> pd.DataFrame:
    columns = ("precision_percent", "recall_percent", "f1_percent")
    return pd.DataFrame(
        [
            identity | {"class": label, "images": TEST_IMAGES // 10} | dict.fromkeys(columns, 97.0 - place / 3)
            for identity in _trainings()
            for place, label in enumerate(CLASSES)
        ]
    )


def _training() -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                **{"lab": LAB, "model": MODEL, "variant": "torch-fp32", "seed": seed, "epoch": epoch},
                "train_loss": 0.52 + 1.4 / epoch,
                "train_accuracy_percent": 99.9 - 55 / epoch,
                **NO_OVERLAP,
                "validation_loss": 0.61 + 1.2 / epoch,
                "validation_accuracy_percent": 95.1 - 45 / epoch + 0.05 * seed,
                "learning_rate": 0.2 / epoch,
                "kept": epoch == EPOCHS,
                "epoch_s": 9.0,
            }
            for seed in SEEDS
            for epoch in range(1, EPOCHS + 1)
        ]
    )


def _costs() -> pd.DataFrame:
    rows = []
    for identity in _identities():
        parameters = sum(row["parameters"] for row in layers())
        small = "int8" in identity["variant"]
        weights = parameters if small else _FLOAT_BYTES * parameters
        rows.append(cost(identity, layers(), weights, weights + (105_000 if small else 12_000)))
    return pd.DataFrame(rows)


def _engine(variant: str) -> str:
    return "torch" if variant == "torch-fp32" else "onnxruntime"


def _latency() -> pd.DataFrame:
    rows = []
    for identity in _identities():
        for threads in (1, 2):
            p50 = _P50_MS.get(identity["variant"], _INT8_MS) / (1 if threads == 1 else 1.7)
            cell = identity | {"host": HOST, "engine": _engine(identity["variant"]), "threads": threads}
            rows.append(latency(cell, p50, 1100 / p50, 300_000_000))
    return pd.DataFrame(rows)


def _speed(session: pd.DataFrame) -> pd.DataFrame:
    rows = []
    base = session[session["variant"] == "onnx-fp32"].set_index("threads")["p50_ms"]
    for cell in session[session["variant"] != "onnx-fp32"].to_dict("records"):
        ratio = base[cell["threads"]] / cell["p50_ms"]
        rows.append(
            {name: cell[name] for name in ("lab", "host", "model", "variant", "engine", "threads")}
            | {"baseline_variant": "onnx-fp32", "baseline_engine": "onnxruntime"}
            | interval("latency_ratio", ratio, 0.02)
            | interval("throughput_ratio", ratio, 0.02)
            | {"speed_verdict": "faster" if 0.98 * ratio > 1.02 else "slower" if 1.02 * ratio < 0.98 else "noise"}
        )
    return pd.DataFrame(rows)


def _comparisons() -> pd.DataFrame:
    rows = []
    for seed in SEEDS:
        answers = {name: Predictions(**arrays) for name, arrays in predictions(seed).items()}
        for name, settings in VARIANTS.items():
            parents = [settings["from"]] if "from" in settings else []
            for reference in parents + COMPARED.get(name, []):
                identity = {"lab": LAB, "model": MODEL, "variant": name, "reference": reference, "seed": seed}
                rows.append(identity | compare(answers[f"{MODEL}/{name}"], answers[f"{MODEL}/{reference}"]))
    return pd.DataFrame(rows)


def _layer_errors() -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                **{"lab": LAB, "model": MODEL, "variant": name, "seed": seed, "reference": "onnx-fp32"},
                "layer": place,
                "relative_l2_percent": spread * (2 + 3 * step),
                "max_abs_difference": 0.1,
                "signal_to_noise_db": 30.0,
            }
            for name, spread in _NOISE.items()
            if name != "onnx-int8-dynamic"
            for seed in SEEDS
            for step, place in enumerate(("conv1", "layer1", "layer2", "layer3", "layer4", "fc"))
        ]
    )


def _sensitivity() -> pd.DataFrame:
    """The stem and a projection are the worst; seeds disagree on which of two layers is the second to stay float."""
    rows = []
    for seed in SEEDS:
        errors = {
            row["layer"]: 0.6 + 0.4 * (place % 5) / (1 + place / 8) + 0.02 * seed for place, row in enumerate(layers())
        }
        errors |= {"conv1": 5.2, "layer2.0.downsample.0": 3.1 - seed, "layer4.1.conv2": 2.0}
        kept = sorted(errors, key=lambda name: -errors[name])[:2]
        rows += [
            {
                **{"lab": LAB, "model": MODEL, "variant": "onnx-int8-mixed", "seed": seed},
                "layer": row["layer"],
                "operator": "Gemm" if row["operator"] == "linear" else "Conv",
                "macs": row["macs"],
                "probe_images": PROBE_IMAGES,
                "relative_l2_percent": errors[row["layer"]],
                "agreement_percent": 100 - errors[row["layer"]] / 4,
                "loss_increase": 0.0006 * errors[row["layer"]] - 0.0007,
                "accuracy_difference_points": -0.1 * errors[row["layer"]],
                "kept_float": row["layer"] in kept,
            }
            for row in layers()
        ]
    return pd.DataFrame(rows)


def _codec_shift() -> pd.DataFrame:
    """All variants lose with the quality; the one quantized per tensor loses more."""
    rows = []
    for name in SHIFTED:
        accuracy = _accuracy({"variant": name, "seed": 0})
        for codec in ("original", *(f"jpeg{quality}" for quality in QUALITIES)):
            quality = 100 if codec == "original" else int(codec[4:])
            lost = 0.0 if quality == 100 else 0.06 * (101 - quality) + 0.2
            more = 0.02 * (100 - quality) if name == "onnx-int8-tensor" else 0.0
            drop, half = -lost - more, 0.0 if codec == "original" else 0.6
            rows.append(
                {
                    **{"lab": LAB, "host": HOST, "model": MODEL, "variant": name, "engine": "onnxruntime"},
                    "codec": codec,
                    "images": TEST_IMAGES,
                    "bytes_per_image": 3072.0 if codec == "original" else 500.0 + 18 * quality,
                    "pixel_error_percent": 0.05 * (100 - quality),
                    "accuracy_percent": accuracy + drop,
                    "accuracy_low_percent": accuracy + drop - 0.9,
                    "accuracy_high_percent": accuracy + drop + 0.8,
                    "agreement_percent": 100 - 2 * abs(drop),
                    "drop_points": drop,
                    "drop_low_points": drop - half,
                    "drop_high_points": drop + half,
                    "drop_verdict": "worse" if drop + half < 0 else "noise",
                    "reference": BASELINE,
                    "excess_drop_points": -more,
                    "excess_drop_low_points": -more - (0 if name == "onnx-fp32" else half / 2),
                    "excess_drop_high_points": -more + (0 if name == "onnx-fp32" else half / 2),
                    "excess_verdict": "worse" if more > half / 2 else "noise",
                }
            )
    return pd.DataFrame(rows)


def _audit() -> pd.DataFrame:
    convolutions = [row["layer"] for row in layers() if row["operator"] == "conv2d"]
    rows = []
    for identity in _identities():
        name = identity["variant"]
        if "int8" not in name:
            continue
        in_float = {"onnx-int8-s8s8": convolutions[3:], "onnx-int8-mixed": ["conv1", "layer4.1.conv2"]}.get(name, [])
        for node in convolutions:
            runs_as = ("unfused" if "s8s8" in name else "float") if node in in_float else "integer"
            quantized = "ConvInteger" if "dynamic" in name else "QLinearConv"
            operator = quantized if runs_as == "integer" else "FusedConv"
            rows.append(identity | {"node": node, "operator": operator, "runs_as": runs_as})
        rows.append(identity | {"node": "fc", "operator": "QGemm", "runs_as": "integer"})
        rows.append(identity | {"node": "avgpool", "operator": "GlobalAveragePool", "runs_as": "float"})
    return pd.DataFrame(rows).assign(host=HOST, engine="onnxruntime", expected=True)


if __name__ == "__main__":
    write_run(Path(sys.argv[1]))
