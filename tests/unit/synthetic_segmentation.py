"""A make-believe run of the lab of street scenes: four networks, two ways to INT8, and a search for smaller ones.

``python tests/unit/synthetic_segmentation.py FOLDER`` writes its tables and the rest below ``FOLDER``.
"""

import sys
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import synthetic_report
from synthetic_rows import cost, interval, latency, layer

from compresslab.arrays import write_arrays
from compresslab.artifacts import write_json
from compresslab.data.masks import VOID
from compresslab.data.street_classes import CLASSES
from compresslab.measure.label_maps import LabelMaps
from compresslab.measure.segmentation import Confusions, confusion, confusions, score, score_by_class
from compresslab.tables.figure_of_merit import Candidate, figures_of_merit
from compresslab.tables.segmentation import compare_maps

LAB, HOST = "urban-segmentation", "local"
SEEDS = (0, 1)
IMAGES, HEIGHT, WIDTH = 21, 48, 96
INPUT = (256, 512)
BASELINE = "efficient-unet/torch-fp32"

_LABELS = {"Road": "road", "Pavement": "sidewalk", "Building": "construction", "Fence": "construction",
           "Pole": "object", "SignSymbol": "object", "Unlabelled": "void"}  # fmt: skip
_CE = {"cross_entropy": 1.0, "dice": 0.0, "lovasz": 0.0}
_REGULAR = {
    "epochs": 40, "batch": 16, "optimizer": {"name": "adam", "lr": 0.002, "momentum": 0.9, "weight_decay": 0.0},
    "schedule": "step", "step_epochs": 20, "loss": _CE, "augmentation": "none", "keep": "best",
}  # fmt: skip
_SLIM = _REGULAR | {
    "epochs": 45, "schedule": "cosine", "step_epochs": None, "augmentation": "scenes",
    "optimizer": {"name": "adam", "lr": 0.00375, "momentum": 0.9, "weight_decay": 0.0},
    "loss": {"cross_entropy": 1.0, "dice": 1.0, "lovasz": 0.5},
}  # fmt: skip
_AWARE = _SLIM | {"epochs": 35, "schedule": "constant", "optimizer": _SLIM["optimizer"] | {"lr": 0.000375}}


def _model(architecture: str, recipe: dict, variants: dict | None = None, **arguments: object) -> dict:
    trained = {"torch-fp32": {"method": "train-torch", "from": None, **recipe}}
    return {
        "architecture": architecture,
        "arguments": arguments,
        "train": recipe,
        "variants": trained | (variants or {}),
    }


MODELS: dict[str, dict] = {
    "efficient-unet": _model("efficient-unet", _SLIM, {
        "torch-qat": {"method": "qat-eager", "from": "torch-fp32", **_AWARE},
        "torch-int8": {"method": "convert-eager", "from": "torch-qat"},
        "onnx-qat": {"method": "qat-pt2e", "from": "torch-fp32", **_AWARE},
        "onnx-qat-int8": {"method": "convert-pt2e", "from": "onnx-qat"},
        "onnx-fp32": {"method": "export-onnx", "from": "torch-fp32"},
        "onnx-int8": {"method": "ptq-onnx", "from": "onnx-fp32", "activations": "uint8"},
    }, base_channels=9, depth=4),
    "unet": _model("unet", _REGULAR),
    "fcn": _model("fcn", _REGULAR),
    "deeplabv3": _model("deeplabv3", _REGULAR),
    "slim-depth3": _model("efficient-unet", _SLIM, depth=3),
    "slim-base6": _model("efficient-unet", _SLIM, base_channels=6),
    "slim-base4": _model("efficient-unet", _SLIM, base_channels=4),
}  # fmt: skip
COMPARED = {
    "efficient-unet/torch-int8": ["efficient-unet/torch-fp32"],
    "efficient-unet/onnx-qat-int8": ["efficient-unet/torch-fp32"],
    "efficient-unet/onnx-int8": ["efficient-unet/torch-fp32"],
    "unet/torch-fp32": ["fcn/torch-fp32", "deeplabv3/torch-fp32", "efficient-unet/torch-fp32"],
}

_MISTAKES = {
    "unet": 6,
    "fcn": 9,
    "deeplabv3": 7,
    "efficient-unet": 7,
    "slim-depth3": 7,
    "slim-base6": 8,
    "slim-base4": 13,
}
"""Blots per image of a network, in which it answers everywhere what stands in a corner."""
_MORE = {"torch-qat": 1, "torch-int8": 3, "onnx-qat": 1, "onnx-qat-int8": 1, "onnx-fp32": 0, "onnx-int8": 25}
"""Smaller blots that come to those of the parent."""
_BLOT, _SMALL_BLOT = (12, 14), (4, 6)
_WIDTHS = {"efficient-unet": 9, "slim-depth3": 9, "slim-base6": 6, "slim-base4": 4}
_P50_MS = {"torch": 41.0, "torch-int8": 38.0, "onnxruntime": 29.0}


def names() -> list[str]:
    """Every ``model/variant``, as the configuration lists them."""
    return [f"{model}/{name}" for model, entry in MODELS.items() for name in entry["variants"]]


def simulates(name: str) -> bool:
    """Whether a variant only simulates integers, so that nothing is stored or timed of it."""
    return name.endswith("-qat")


@cache
def truth(seed: int = 7) -> np.ndarray:
    """Masks uint8 (N, H, W): sky, houses and trees above a road with its walk, things on it, and an edge of void."""
    random = np.random.default_rng(seed)
    number = {name: place for place, name in enumerate(CLASSES)}
    masks = np.full((IMAGES, HEIGHT, WIDTH), number["road"], np.uint8)
    for place, mask in enumerate(masks):
        mask[: HEIGHT // 2] = number["construction"]
        mask[: random.integers(6, 14)] = number["sky"]
        mask[HEIGHT // 2 : HEIGHT // 2 + 5, : WIDTH // 3] = number["sidewalk"]
        for name, (height, width), times in (
            ("nature", (16, 22), 1), ("vehicle", (9, 18), 2), ("human", (8, 4), 2), ("object", (22, 2), 3),
        ):  # fmt: skip
            # Not everybody walks in every scene.
            for _ in range(times if name != "human" or place % 3 else 0):
                row, column = random.integers(8, HEIGHT - height), random.integers(0, WIDTH - width)
                mask[row : row + height, column : column + width] = number[name]
        mask[-2:] = VOID
    return masks


def images() -> np.ndarray:
    """Pictures of the scenes, uint8 (N, H, W, 3): a shade per class under noise."""
    random = np.random.default_rng(8)
    shades = np.linspace(40, 220, len(CLASSES))[_without_void(truth())]
    return np.clip(shades[..., None] + random.normal(0, 12, (*shades.shape, 3)), 0, 255).astype(np.uint8)


@cache
def maps(seed: int = 0) -> dict[str, LabelMaps]:
    """What every variant answers: the truth with blots, those of the parent and some more for what comes from it."""
    found: dict[str, LabelMaps] = {}
    for name in names():
        model, _, variant = name.partition("/")
        parent = MODELS[model]["variants"][variant]["from"]
        answers = (found[f"{model}/{parent}"].answers if parent else _without_void(truth())).copy()
        blots, (height, width) = (_MORE[variant], _SMALL_BLOT) if parent else (_MISTAKES[model], _BLOT)
        for scene, mask in enumerate(answers):
            random = np.random.default_rng([13, seed, scene, len(name), blots, ord(name[0])])
            for _ in range(blots):
                row, column = random.integers(0, HEIGHT - height), random.integers(0, WIDTH - width)
                mask[row : row + height, column : column + width] = mask[row, column]
        found[name] = LabelMaps(answers, truth(), np.arange(IMAGES))
    return found


@cache
def counted(seed: int = 0) -> dict[str, Confusions]:
    """The confusions of every variant."""
    return {name: confusions(found, len(CLASSES)) for name, found in maps(seed).items()}


def layers(model: str) -> list[dict]:
    """The layers of a network: pairs of separable convolutions, or regular ones."""
    height, width = INPUT
    if model not in _WIDTHS:
        wide = {"unet": 64, "fcn": 48, "deeplabv3": 56}[model]
        return [_convolution("inc.0", 3, wide, 3, height, width), _convolution("inc.1", wide, wide, 3, height, width),
                _convolution("outc", wide, len(CLASSES), 1, height, width)]  # fmt: skip
    rows, inputs = [], 3
    for level in range(3 if model == "slim-depth3" else 4):
        outputs = _WIDTHS[model] * 2**level
        side = (height // 2**level, width // 2**level)
        rows.append(_convolution(f"downs.{level}.first.depthwise", inputs, inputs, 3, *side, groups=inputs))
        rows.append(_convolution(f"downs.{level}.first.pointwise", inputs, outputs, 1, *side))
        inputs = outputs
    return [*rows, _convolution("outc", inputs, len(CLASSES), 1, height, width)]


def subject(scale: str = "full", source: str = "upstream") -> dict:
    """What the configuration says of the lab."""
    return {
        "lab": LAB,
        "title": {"en": "A U-Net, and how small it can get", "zh-TW": "U-Net 能縮到多小"},
        "run": scale,
        "scale": scale,
        "source": source,
        "host": HOST,
        "seeds": list(SEEDS),
        "languages": ["zh-TW", "en"],
        "datasets": ["camvid"],
        "models": MODELS,
        "arithmetic": {
            **dict.fromkeys(("efficient-unet/torch-qat", "efficient-unet/onnx-qat"), "simulated"),
            **dict.fromkeys(
                ("efficient-unet/torch-int8", "efficient-unet/onnx-qat-int8", "efficient-unet/onnx-int8"), "integer"
            ),
        },
    }


def card(embedded: bool = False) -> dict:
    """The card of CamVid, or of drawn scenes, which have no published labels."""
    pixels = {name: 100_000 * (len(CLASSES) - place) for place, name in enumerate(CLASSES)}
    return synthetic_report.data_card() | {
        "dataset": "camvid",
        "task": "segmentation",
        "source": "embedded" if embedded else "upstream",
        "embedded": embedded,
        "title": {"en": "CamVid", "zh-TW": "CamVid"},
        "description": {"en": "Frames of drives through Cambridge.", "zh-TW": "劍橋街道的行車影格。"},
        "classes": list(CLASSES),
        "image_shape": [*INPUT, 3],
        "counts": dict.fromkeys(("train", "validation", "test"), pixels),
        "images": {"train": 367, "validation": 101, "test": IMAGES},
        "void_pixels": {"train": 120_000, "validation": 0, "test": 90_000},
        "label_map": {} if embedded else _LABELS,
        "mean": [0.41, 0.43, 0.43],
        "std": [0.3, 0.3, 0.3],
    }  # fmt: skip


@cache
def tables() -> dict[str, pd.DataFrame]:
    """Every table of the make-believe run."""
    session = _latency()
    return {
        "segmentation": _each(lambda found: score(found)),
        "segmentation_by_class": _each(lambda found: score_by_class(found, CLASSES)),
        "segmentation_confusion": _each(lambda found: confusion(found, CLASSES)),
        "segmentation_comparisons": _comparisons(),
        "figure_of_merit": _merits(),
        "training": _training(),
        "costs": _costs(),
        "cost_layers": _cost_layers(),
        "latency": session,
        "speed": _speed(session),
        "audit": _audit(),
    }


def write_run(folder: Path, embedded: bool = False) -> dict[str, Path]:
    """Write the make-believe run below ``folder`` and return where its parts lie."""
    paths = {
        "tables": folder / "tables" / LAB,
        "predictions": folder / "predictions",
        "card": folder / "camvid.json",
        "host": folder / "local.host.json",
        "subject": folder / "subject.json",
    }
    synthetic_report.write_tables(paths["tables"], tables())
    for name, found in maps().items():
        arrays = {"answers": found.answers, "labels": found.labels, "indices": found.indices}
        write_arrays(paths["predictions"] / name / "seed-0.npz", arrays)
    write_json(paths["card"], card(embedded))
    write_json(paths["host"], synthetic_report.host_card())
    write_json(paths["subject"], subject("smoke", "embedded") if embedded else subject())
    return paths


def _without_void(masks: np.ndarray) -> np.ndarray:
    return np.where(masks == VOID, 0, masks).astype(np.uint8)


def _convolution(name: str, inputs: int, outputs: int, kernel: int, height: int, width: int, groups: int = 1) -> dict:
    weights = inputs // groups * outputs * kernel**2
    shape = f"{outputs}x{height}x{width}"
    return layer(name, "Conv2d", shape, weights, weights * height * width, outputs * height * width)


def _identity(name: str) -> dict:
    model, _, variant = name.partition("/")
    return {"lab": LAB, "model": model, "variant": variant}


def _each(rows_of) -> pd.DataFrame:  # type: ignore[no-untyped-def]
    parts = []
    for seed in SEEDS:
        for name, found in counted(seed).items():
            identity = pd.DataFrame([_identity(name) | {"seed": seed}])
            parts.append(identity.merge(rows_of(found), how="cross"))
    return pd.concat(parts, ignore_index=True)


def _comparisons() -> pd.DataFrame:
    rows = []
    for seed in SEEDS:
        for name in names():
            model, _, variant = name.partition("/")
            parent = MODELS[model]["variants"][variant]["from"]
            for reference in ([parent] if parent else []) + COMPARED.get(name, []):
                other = reference if "/" in reference else f"{model}/{reference}"
                sides = (maps(seed)[name], maps(seed)[other], counted(seed)[name], counted(seed)[other])
                rows.append(_identity(name) | {"reference": reference, "seed": seed} | compare_maps(*sides))
    return pd.DataFrame(rows)


def _merits() -> pd.DataFrame:
    costs = _costs().set_index(["model", "variant"])
    parts = []
    for seed in SEEDS:
        candidates = [
            Candidate(
                name,
                int(costs.loc[tuple(name.split("/")), "flops"]),
                int(costs.loc[tuple(name.split("/")), "stored_bytes"]),
                counted(seed)[name],
                validation_miou_percent=80.0 - _MISTAKES[name.partition("/")[0]] if "torch-fp32" in name else np.nan,
            )
            for name in names()
            if not simulates(name)
        ]
        parts.append(figures_of_merit(candidates, BASELINE).assign(lab=LAB, seed=seed))
    return pd.concat(parts, ignore_index=True)


def _training() -> pd.DataFrame:
    rows = []
    for name in names():
        model, _, variant = name.partition("/")
        settings = MODELS[model]["variants"][variant]
        if "epochs" not in settings:
            continue
        for seed in SEEDS:
            for epoch in range(1, settings["epochs"] + 1):
                stepped = settings["schedule"] == "step"
                far = 1 / epoch + (0.08 if stepped and epoch <= 20 else 0.0)
                rate = settings["optimizer"]["lr"] * (0.5 ** ((epoch - 1) // 20) if stepped else 1 - epoch / 60)
                rows.append(
                    _identity(name)
                    | {
                        "seed": seed,
                        "epoch": epoch,
                        "train_loss": 0.2 + 0.6 * far,
                        "train_accuracy_percent": 96 - 30 * far,
                        "train_miou_percent": 78 - 45 * far,
                        "validation_loss": 0.3 + 0.5 * far + 0.0004 * epoch,
                        "validation_accuracy_percent": 93 - 28 * far,
                        "validation_miou_percent": 72 - 40 * far + 0.2 * seed,
                        "learning_rate": settings["optimizer"]["lr"] if variant.endswith("qat") else rate,
                        "kept": epoch == settings["epochs"] - 2,
                        "epoch_s": 4.0,
                    }
                )
    return pd.DataFrame(rows)


def _costs() -> pd.DataFrame:
    rows = []
    for name in names():
        if simulates(name):
            continue
        rows_of = layers(name.partition("/")[0])
        parameters = sum(row["parameters"] for row in rows_of)
        weights = parameters if name.endswith("int8") else 4 * parameters
        rows.append(cost(_identity(name), rows_of, weights, weights + 30_000))
    return pd.DataFrame(rows)


def _cost_layers() -> pd.DataFrame:
    return pd.DataFrame(
        [_identity(name) | row for name in names() if not simulates(name) for row in layers(name.partition("/")[0])]
    )


def _engine(name: str) -> str:
    variant = name.partition("/")[2]
    return "torch-int8" if variant == "torch-int8" else "torch" if variant == "torch-fp32" else "onnxruntime"


def _latency() -> pd.DataFrame:
    rows = []
    for name in names():
        if simulates(name):
            continue
        small = 0.6 if name.endswith("int8") else 1.0
        p50 = _P50_MS[_engine(name)] * small * (8 if name.startswith("unet") else 1)
        cell = _identity(name) | {"host": HOST, "engine": _engine(name), "threads": 1}
        rows.append(latency(cell, p50, 1000 / p50, 500_000_000))
    return pd.DataFrame(rows)


def _speed(session: pd.DataFrame) -> pd.DataFrame:
    rows = []
    (base,) = session[(session["model"] == "efficient-unet") & (session["variant"] == "torch-fp32")].to_dict("records")
    for cell in session[session["model"] == "efficient-unet"].to_dict("records"):
        ratio = base["p50_ms"] / cell["p50_ms"]
        if ratio != 1:
            rows.append(
                {name: cell[name] for name in ("lab", "host", "model", "variant", "engine", "threads")}
                | {"baseline_variant": "torch-fp32", "baseline_engine": "torch"}
                | interval("latency_ratio", ratio, 0.02)
                | interval("throughput_ratio", ratio, 0.02)
                | {"speed_verdict": "faster" if ratio > 1.05 else "noise"}
            )
    return pd.DataFrame(rows)


def _audit() -> pd.DataFrame:
    rows = []
    for name in names():
        if not name.endswith("int8"):
            continue
        for place, node in enumerate(row["layer"] for row in layers("efficient-unet")):
            runs_as = "float" if name.endswith("qat-int8") and place < 2 else "integer"
            operator = "FusedConv" if runs_as == "float" else "QLinearConv"
            rows.append(_identity(name) | {"node": node, "operator": operator, "runs_as": runs_as})
    engines = {"torch-int8": "torch-int8"}
    frame = pd.DataFrame(rows)
    return frame.assign(
        host=HOST, engine=[engines.get(name, "onnxruntime") for name in frame["variant"]], expected=True
    )


if __name__ == "__main__":
    write_run(Path(sys.argv[1]))
