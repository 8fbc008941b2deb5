"""A make-believe run of the lab of small CNNs: eight networks, three seeds, costs by formula, convolutions by clock.

``python tests/unit/synthetic_ablation.py FOLDER`` writes its tables and the rest below ``FOLDER``.
"""

import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import synthetic_report
from scipy.ndimage import map_coordinates
from synthetic_rows import NO_OVERLAP, convolution, cost, interval, latency, layer, score

from compresslab.arrays import write_arrays
from compresslab.artifacts import write_json
from compresslab.measure.predictions import Predictions
from compresslab.tables.claims import read_claims
from compresslab.tables.comparisons import compare
from compresslab.tables.schemas import AUDIT, LAYERS, SPARSE_PRODUCTS, TABLES
from compresslab.tables.verdicts import RunFacts, evaluate_claims

LAB, HOST, ENGINE = "mnist-ablation", "local", "torch"
SEEDS = (0, 1, 2)
CLASSES = synthetic_report.CLASSES
TEST_IMAGES, EPOCHS = 10000, 12
BASELINE, STEPS_BASELINE = "ciresan/torch-fp32", "ciresan-residual"

_TRAIN = {
    "epochs": EPOCHS,
    "batch": 128,
    "optimizer": {"name": "adamw", "lr": 0.001, "weight_decay": 0.05},
    "schedule": "one-cycle",
    "initialization": "he",
    "keep": "best",
}


class Form(NamedTuple):
    """A network of Cireşan's family: convolutions, linear layers, shortcuts, and after which convolutions it pools."""

    convolutions: int = 7
    fully_connected: int = 3
    residual: bool = False
    pooled: tuple[int, ...] = (1, 2, 7)


FORMS = {
    "ciresan": Form(),
    "ciresan-conv4": Form(convolutions=4, pooled=(1, 2, 4)),
    "ciresan-residual": Form(residual=True, pooled=(1, 7)),
    "ciresan-residual-fc2": Form(fully_connected=2, residual=True, pooled=(1, 7)),
    "ciresan-residual-fc4": Form(fully_connected=4, residual=True, pooled=(1, 7)),
    "ciresan-residual-fc5": Form(fully_connected=5, residual=True, pooled=(1, 7)),
    "ciresan-residual-late": Form(residual=True, pooled=(7,)),
}
MODELS: dict[str, dict[str, dict]] = {
    model: {"torch-fp32": {"method": "train-torch", **_TRAIN, "augmentation": "none"}} for model in ("resnet18", *FORMS)
}
MODELS["ciresan"]["torch-elastic"] = {"method": "train-torch", **_TRAIN, "augmentation": "elastic"}
for _model in ("ciresan-residual-fc4", "ciresan-residual-fc5"):
    MODELS[_model]["torch-default"] = {
        **{"method": "train-torch", **_TRAIN, "augmentation": "none", "initialization": "framework"},
    }

MISTAKES = {
    "resnet18/torch-fp32": (106, 95, 110),
    "ciresan/torch-fp32": (68, 62, 73),
    "ciresan/torch-elastic": (33, 37, 30),
    "ciresan-conv4/torch-fp32": (71, 75, 67),
    "ciresan-residual/torch-fp32": (76, 69, 80),
    "ciresan-residual-fc2/torch-fp32": (81, 70, 78),
    "ciresan-residual-fc4/torch-fp32": (67, 74, 71),
    "ciresan-residual-fc4/torch-default": (77, 84, 81),
    "ciresan-residual-fc5/torch-fp32": (115, 94, 111),
    "ciresan-residual-fc5/torch-default": (172, 149, 184),
    "ciresan-residual-late/torch-fp32": (82, 76, 90),
}
"""Wrongly answered test images of every variant, by seed."""

COMPARED = {
    "ciresan/torch-fp32": ["resnet18/torch-fp32", "ciresan-residual/torch-fp32"],
    "ciresan/torch-elastic": ["ciresan/torch-fp32"],
    "ciresan-conv4/torch-fp32": ["ciresan/torch-fp32", "ciresan-residual/torch-fp32"],
    "ciresan-residual/torch-fp32": [
        *("resnet18/torch-fp32", "ciresan-residual-fc2/torch-fp32", "ciresan-residual-fc5/torch-fp32"),
    ],
    "ciresan-residual-fc4/torch-fp32": ["ciresan-residual/torch-fp32", "ciresan-residual-fc5/torch-fp32"],
    "ciresan-residual-fc4/torch-default": ["ciresan-residual-fc4/torch-fp32"],
    "ciresan-residual-fc5/torch-default": ["ciresan-residual-fc5/torch-fp32", "ciresan-residual-fc4/torch-default"],
    "ciresan-residual-late/torch-fp32": ["ciresan-residual/torch-fp32"],
}

KERNELS, MAPS = (3, 5, 7), (7, 14, 28, 56)
CHANNELS = ((16, 16), (64, 64), (64, 128), (128, 64), (128, 128))
ALEXNET = (
    ("conv1", "conv2d", "64×55×55", 23296, 70276800),
    ("conv2", "conv2d", "196×27×27", 313796, 228614400),
    ("conv3", "conv2d", "384×13×13", 677760, 114476544),
    ("conv4", "conv2d", "256×13×13", 884992, 149520384),
    ("conv5", "conv2d", "256×13×13", 590080, 99680256),
    ("fc1", "linear", "4096", 37752832, 37748736),
    ("fc2", "linear", "1024", 4195328, 4194304),
    ("fc3", "linear", "1000", 1025000, 1024000),
)
"""Layers of AlexNet with their output shapes, parameters and multiply-accumulates."""

_SUMS_TO_IMAGES_PER_S = 3e10
"""Multiply-accumulates per second of the make-believe machine."""


def variants() -> list[tuple[str, str, dict]]:
    """Model, variant and settings of every variant."""
    return [(model, name, settings) for model, entries in MODELS.items() for name, settings in entries.items()]


def subject() -> dict:
    """What the configuration says of the lab."""
    return {
        "lab": LAB,
        "title": {"en": "What makes a small CNN good", "zh-TW": "小型卷積神經網路表現好壞的關鍵"},
        "run": "full",
        "scale": "full",
        "source": "upstream",
        "host": HOST,
        "seeds": list(SEEDS),
        "languages": ["zh-TW", "en"],
        "datasets": ["mnist"],
        "models": {model: {"train": _TRAIN, "variants": entries} for model, entries in MODELS.items()},
    }


def accuracy(name: str, seed: int) -> float:
    """Accuracy of ``model/variant`` on the test split, in percent."""
    return 100 - 100 * MISTAKES[name][seed] / TEST_IMAGES


def tables() -> dict[str, pd.DataFrame]:
    """Every table of the make-believe run."""
    session = _latency()
    found = {
        "scores": _scores(),
        "scores_by_class": _by_class(),
        "confusion": _confusion(),
        "training": _training(),
        "costs": _costs(),
        "cost_layers": _cost_layers(),
        "latency": session,
        "speed": _speed(session),
        "sparse_products": SPARSE_PRODUCTS.empty(),
        "comparisons": _comparisons(),
        "layers": LAYERS.empty(),
        "audit": AUDIT.empty(),
        "skipped": TABLES["skipped"].empty(),
        "architecture_costs": _architecture_costs(),
        "convolutions": _convolutions(),
        "training_steps": _training_steps(),
    }
    return found | {"claims": _claims(found)}


def predictions(images: int = TEST_IMAGES, seed: int = 0) -> dict[str, dict[str, np.ndarray]]:
    """What every variant answers: an image is hard or easy for all networks alike, apart from each one's own taste."""
    random = np.random.default_rng([9, seed])
    labels = np.arange(images) % len(CLASSES)
    hardness = random.normal(0, 1, images)
    found = {}
    for name, mistakes in MISTAKES.items():
        troubled = hardness + random.normal(0, 0.35, images)
        wrong = np.argsort(-troubled)[: round(mistakes[seed] * images / TEST_IMAGES)]
        logits = random.normal(0, 0.8, (images, len(CLASSES)))
        logits[np.arange(images), labels] += 9
        logits[wrong, (labels[wrong] + 1 + wrong % 7) % len(CLASSES)] += 9.4 + 3 * random.random(len(wrong))
        found[name] = {"logits": logits.astype(np.float32), "labels": labels, "indices": np.arange(images)}
        _leave_wrong(found[name]["logits"], labels, wrong)
    return found


def views(images: int = 8, views: int = 3, size: int = 28) -> dict[str, np.ndarray]:
    """Training images, and views of them under wavy displacements, as the stage of the same name makes them."""
    originals = synthetic_report.digits(images)
    places = np.mgrid[:size, :size]
    rows, columns = places * (2 * np.pi / size)
    wave = 1.8 * np.stack([np.sin(columns + 0.4) * np.cos(rows), np.cos(columns) * np.sin(rows + 0.3)])
    fields = [np.roll(wave, 5 * number, axis=2) for number in range(views)]
    shown = [[map_coordinates(image[..., 0], places + field, order=1) for image in originals] for field in fields]
    return {
        "images": originals,
        "labels": np.arange(images) % len(CLASSES),
        "views": np.array(shown)[..., None],
        "displacement_px": fields[0].astype(np.float32),
    }


def write_run(folder: Path, embedded: bool = False, scale: str = "full") -> dict[str, Path]:
    """Write the make-believe run below ``folder`` and return where its parts lie."""
    source = "embedded" if embedded else "upstream"
    paths = {
        "tables": folder / "tables" / LAB,
        "predictions": folder / "predictions",
        "views": folder / "views",
        "card": folder / "mnist.json",
        "host": folder / "local.host.json",
        "subject": folder / "subject.json",
    }
    synthetic_report.write_tables(paths["tables"], tables())
    for name, arrays in predictions().items():
        write_arrays(paths["predictions"] / name / "seed-0.npz", arrays)
    write_arrays(paths["views"] / "ciresan" / "torch-elastic.npz", views())
    write_json(paths["card"], synthetic_report.data_card() | {"embedded": embedded, "source": source})
    write_json(paths["host"], synthetic_report.host_card())
    write_json(paths["subject"], subject() | {"scale": scale, "run": scale, "source": source})
    return paths


def _leave_wrong(logits: np.ndarray, labels: np.ndarray, wrong: np.ndarray) -> None:
    """Keep ``wrong``, and no other image, from being answered by its label."""
    rows = np.arange(len(labels))
    others = logits.copy()
    others[rows, labels] = -np.inf
    highest = others.max(axis=1)
    right = np.setdiff1d(rows, wrong)
    logits[right, labels[right]] = np.maximum(logits[right, labels[right]], highest[right] + 0.5)
    logits[wrong, labels[wrong]] = np.minimum(logits[wrong, labels[wrong]], highest[wrong] - 0.5)


def _rows(rows: list[dict]) -> pd.DataFrame:
    return pd.DataFrame(rows).assign(lab=LAB)


def _identities() -> Iterator[dict]:
    """Model, variant and seed of every training."""
    for model, name, _ in variants():
        for seed in SEEDS:
            yield {"model": model, "variant": name, "seed": seed}


def _value(identity: dict) -> float:
    return accuracy(f"{identity['model']}/{identity['variant']}", identity["seed"])


def _scores() -> pd.DataFrame:
    return _rows([score(identity, _value(identity), TEST_IMAGES, 0.18, 0.15) for identity in _identities()])


def _by_class() -> pd.DataFrame:
    return _rows(
        [
            {
                **identity,
                "class": label,
                "images": TEST_IMAGES // len(CLASSES),
                "precision_percent": _value(identity) - place / 50,
                "recall_percent": _value(identity) - (0.5 if label == "9" else place / 60),
                "f1_percent": _value(identity) - place / 50,
            }
            for identity in _identities()
            for place, label in enumerate(CLASSES)
        ]
    )


def _confusion() -> pd.DataFrame:
    return _rows(
        [
            {
                **identity,
                "true_class": true,
                "predicted_class": answer,
                "images": 993 if true == answer else 9 if (true, answer) == ("9", "4") else (row + column) % 2,
            }
            for identity in _identities()
            for row, true in enumerate(CLASSES)
            for column, answer in enumerate(CLASSES)
        ]
    )


def _training() -> pd.DataFrame:
    """Twelve epochs each; the kept one is the best on the validation split, which is not always the last."""
    rows = []
    for identity in _identities():
        best, kept = _value(identity), EPOCHS - (identity["seed"] + len(identity["model"])) % 3
        harder = 1.6 if identity["variant"] == "torch-elastic" else 1.0
        for epoch in range(1, EPOCHS + 1):
            far = 1.9 / epoch**1.25
            after = 0.04 * max(0, epoch - kept)
            rows.append(
                {
                    **identity,
                    "epoch": epoch,
                    "train_loss": harder * (0.004 + 0.11 * far),
                    "train_accuracy_percent": min(99.99, 100.08 - harder * 1.9 * far),
                    **NO_OVERLAP,
                    "validation_loss": 0.026 + 0.04 * far,
                    "validation_accuracy_percent": best - 0.7 * far - after,
                    "learning_rate": 0.001,
                    "epoch_s": _epoch_s(identity["model"]),
                    "kept": epoch == kept,
                }
            )
    return _rows(rows)


def _layers(model: str) -> list[dict]:
    """Layer by layer: operator, output shape, parameters, multiply-accumulates, bytes."""
    if model == "resnet18":
        return _resnet18()
    form, size, channels = FORMS[model], 28, 1
    rows = []
    for number, width in enumerate((48, 128, 192, 192, 192, 192, 192)[: form.convolutions], 1):
        rows.append(convolution(f"conv{number}", channels, width, 5, size))
        if form.residual and number == 3:
            rows.append(convolution("conv3_1x1", channels, width, 1, size))
        if form.residual and number in (3, 5, 7):
            rows.append(layer(f"add{number}", "add", f"{width}×{size}×{size}", 0, 0, width * size**2))
        if number in form.pooled:
            size //= 2
            rows.append(layer(f"pool{number}", "max_pool", f"{width}×{size}×{size}", 0, 0, width * size**2))
        channels = width
    features = channels * size**2
    for number in range(1, form.fully_connected + 1):
        outputs = len(CLASSES) if number == form.fully_connected else 512
        rows.append(layer(f"fc{number}", "linear", str(outputs), (features + 1) * outputs, features * outputs, outputs))
        features = outputs
    return rows


def _resnet18() -> list[dict]:
    """Its stages as one layer each."""
    rows, size, channels = [convolution("conv1", 1, 64, 7, 14)], 7, 64
    for number, width in enumerate((64, 128, 256, 512), 1):
        blocks = [convolution(f"layer{number}", inputs, width, 3, size) for inputs in (channels, width, width, width)]
        rows.append(blocks[0] | {name: sum(row[name] for row in blocks) for name in ("parameters", "macs")})
        size, channels = -(-size // 2), width
    return [*rows, layer("fc", "linear", "10", 5130, 5120, 10)]


def _total(model: str, column: str) -> int:
    return sum(row[column] for row in _layers(model))


def _epoch_s(model: str) -> float:
    return 4.0 + _total(model, "macs") / 2e7


def _costs() -> pd.DataFrame:
    rows = []
    for model, name, _ in variants():
        weights = 4 * _total(model, "parameters")
        identity = {"model": model, "variant": name}
        rows.append(cost(identity, _layers(model), weights, weights + 2100))
    return _rows(rows)


def _cost_layers() -> pd.DataFrame:
    return _rows([{"model": model, "variant": name, **row} for model, name, _ in variants() for row in _layers(model)])


def _latency() -> pd.DataFrame:
    rows = []
    for model, name, _ in variants():
        for threads in (1, 2):
            rate = _SUMS_TO_IMAGES_PER_S / _total(model, "macs") * (1 if threads == 1 else 1.8)
            cell = {"host": HOST, "model": model, "variant": name, "engine": ENGINE, "threads": threads}
            rows.append(latency(cell, 0.25 + 800 / rate, rate, 500_000_000))
    return _rows(rows)


def _speed(session: pd.DataFrame) -> pd.DataFrame:
    """Only ciresan has a second variant, which is as fast as its baseline."""
    cells = session[(session["model"] == "ciresan") & (session["variant"] == "torch-elastic")]
    return _rows(
        [
            {name: cell[name] for name in ("host", "model", "variant", "engine", "threads")}
            | {
                "baseline_variant": "torch-fp32",
                "baseline_engine": ENGINE,
                **interval("latency_ratio", 1.0, 0.02),
                **interval("throughput_ratio", 1.0, 0.02),
                "speed_verdict": "noise",
            }
            for cell in cells.to_dict("records")
        ]
    )


def _comparisons() -> pd.DataFrame:
    rows = []
    for seed in SEEDS:
        answers = {name: Predictions(**arrays) for name, arrays in predictions(seed=seed).items()}
        for name, references in COMPARED.items():
            model, variant = name.split("/")
            for reference in references:
                identity = {"model": model, "variant": variant, "reference": reference, "seed": seed}
                rows.append(identity | compare(answers[name], answers[reference]))
    return _rows(rows)


def _architecture_costs() -> pd.DataFrame:
    return _rows(
        [
            {
                "host": HOST,
                "architecture": "alexnet",
                "layer": layer,
                "operator": operator,
                "output_shape": shape,
                "weighted": parameters > 0,
                **{f"parameters_by_{way}": parameters for way in ("formula", "counter", "library")},
                **{f"macs_by_{way}": macs for way in ("formula", "counter", "library")},
                "weight_bytes": 4 * parameters,
                "activation_bytes": 4 * int(np.prod([int(extent) for extent in shape.split("×")])),
            }
            for layer, operator, shape, parameters, macs in ALEXNET
        ]
    )


def _convolutions() -> pd.DataFrame:
    """The separable form keeps its promise on large maps with many channels; on small ones its two calls cost more."""
    rows = []
    for kernel, (inputs, outputs), size in product(KERNELS, CHANNELS, MAPS):
        depthwise, pointwise = kernel**2 * inputs * size**2, inputs * outputs * size**2
        regular = kernel**2 * pointwise
        regular_ms = 0.012 + regular / 4e7
        separable_ms = 0.03 + depthwise / 0.6e7 + pointwise / 3e7
        ratio = separable_ms / regular_ms
        rows.append(
            {
                "host": HOST,
                "engine": ENGINE,
                "kernel": kernel,
                "input_channels": inputs,
                "output_channels": outputs,
                "map_size": size,
                "regular_parameters": kernel**2 * inputs * outputs,
                "separable_parameters": kernel**2 * inputs + inputs * outputs,
                "regular_macs": regular,
                "separable_macs": depthwise + pointwise,
                "separable_to_regular_macs_ratio": (depthwise + pointwise) / regular,
                **interval("regular_ms", regular_ms, 0.02),
                **interval("separable_ms", separable_ms, 0.02),
                **interval("separable_to_regular_time_ratio", ratio, 0.06),
                "speed_verdict": "slower" if 0.94 * ratio > 1.02 else "faster" if 1.06 * ratio < 0.98 else "noise",
            }
        )
    return _rows(rows)


def _training_steps() -> pd.DataFrame:
    rows = []
    baseline_ms = 1000 * _epoch_s(STEPS_BASELINE) / 430
    for model in MODELS:
        step_ms = 1000 * _epoch_s(model) / 430
        rows.append(
            {
                "host": HOST,
                "model": model,
                "variant": "torch-fp32",
                "architecture": "resnet18" if model == "resnet18" else "ciresan",
                "batch": 128,
                "device": "cpu",
                "precision": "float32",
                **interval("step_ms", step_ms, 0.02),
                "images_per_s": 128000 / step_ms,
                "baseline_model": STEPS_BASELINE,
                **interval("step_to_baseline_ratio", step_ms / baseline_ms, 0.03),
            }
        )
    return _rows(rows)


def _claims(known: dict[str, pd.DataFrame]) -> pd.DataFrame:
    facts = RunFacts(scale="full", source="upstream", embedded=False, substitute=False, host=HOST)
    ledger = read_claims(Path(__file__).parents[2] / "report" / "claims.yaml")
    return evaluate_claims([claim for claim in ledger if claim.lab == LAB], known, facts)


if __name__ == "__main__":
    write_run(Path(sys.argv[1]))
