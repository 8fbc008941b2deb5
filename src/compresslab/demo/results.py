"""What a run has to show: its models, the variants that need no training framework, and how well they did.

Everything is read from the files of the run, cards and tables, and from the prepared dataset; of that, never the test
split: an example on a page should not be one that decides a number.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from compresslab.artifacts import read_json
from compresslab.config.experiment import METHODS
from compresslab.data.card import DataCard, read_card
from compresslab.data.errors import DataError
from compresslab.data.prepared import read_split
from compresslab.demo.picture import Background, background_of
from compresslab.tables.collect import read_table

ENGINES = {"onnx": "onnxruntime", "numpy": "numpy", "litert": "litert"}
"""By what a file holds: the engine that runs it without a training framework, the preferred one first."""

SEVERAL_PICTURES = ("deeppcb-pair",)
"""Datasets whose channels are several pictures of one thing: no single file can give them."""

BACKGROUND_IMAGES = 512
"""Images whose borders say what background a dataset has."""

SCALES = ("smoke", "quick", "full")


class ResultsError(ValueError):
    """A folder with nothing to show; says in one line what to run."""


@dataclass(frozen=True)
class Accuracy:
    """Accuracy of one file on the images of the test split, with its 95 % interval."""

    percent: float
    low_percent: float
    high_percent: float
    images: int


@dataclass(frozen=True)
class Variant:
    """One artifact that can be run here. ``accuracy`` is None where the run has no tables yet."""

    lab: str
    model: str
    name: str
    seed: int
    file: Path
    engine: str
    quantized: bool
    file_bytes: int
    accuracy: Accuracy | None

    @property
    def format(self) -> str:
        """`model.onnx` and its like, which tell what belongs together."""
        return self.file.name


@dataclass(frozen=True, eq=False)
class Example:
    """An image of the validation split, uint8 (H, W, C), and the name of its class."""

    image: np.ndarray
    label: str


@dataclass(frozen=True, eq=False)
class Model:
    """One model of a lab: its variants, its dataset, and the pair that is shown first."""

    lab: str
    name: str
    variants: Mapping[str, Variant]
    pair: tuple[str, str]
    card: DataCard
    prepared: Path
    content_sha256: str

    @property
    def takes_pictures(self) -> bool:
        """Whether one picture file can be turned into an input."""
        return self.card.dataset not in SEVERAL_PICTURES and self.card.image_shape[2] in (1, 3)

    @property
    def background(self) -> Background | None:
        """What background the dataset's images have, for datasets in grey."""
        return self._shown[1]

    @property
    def examples(self) -> tuple[Example, ...]:
        """One image per class; none where the data at hand are not those that the model was trained on."""
        return self._shown[0]

    @cached_property
    def _shown(self) -> tuple[tuple[Example, ...], Background | None]:
        if self.card.content_sha256 != self.content_sha256:
            return (), None
        try:
            split = read_split(self.prepared, "validation")
        except DataError:
            return (), None
        examples = [
            Example(split.images[found[0]], name)
            for label, name in enumerate(self.card.classes)
            if len(found := np.flatnonzero(split.labels == label))
        ]
        grey = self.card.image_shape[2] == 1
        return tuple(examples), background_of(split.images[:BACKGROUND_IMAGES]) if grey else None


@dataclass(frozen=True, eq=False)
class Run:
    """The results of a run: its models by lab and name, and the scale it was made at."""

    name: str
    scale: str
    models: Mapping[tuple[str, str], Model]

    @property
    def labs(self) -> list[str]:
        """Labs with something to show."""
        return list(dict.fromkeys(lab for lab, _ in self.models))

    def models_of(self, lab: str) -> list[str]:
        """Names of a lab's models."""
        return [model for of, model in self.models if of == lab]

    def chosen(self, lab: str | None, model: str | None) -> Model:
        """The model of these names, or the nearest thing to it: names come from a page that may be out of date."""
        if lab not in self.labs:
            lab = self.labs[0]
        return self.models.get((lab, model or "")) or self.models[lab, self.models_of(lab)[0]]


def read_run(folder: Path, data: Path, scale: str | None = None) -> Run:
    """Read what the run in ``folder`` has to show; ``data`` holds the prepared datasets, ``{source}/{dataset}.npz``.

    Raises ResultsError where there is nothing, ValueError naming a file that is damaged.
    """
    folder = Path(folder)
    grouped: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for path in sorted(folder.glob("models/*/*/*/seed-*/card.json")):
        grouped.setdefault((path.parts[-5], path.parts[-4]), []).append({**_card(path), "folder": path.parent})
    read = (_model(folder, data, cards) for cards in grouped.values())
    models = {(model.lab, model.name): model for model in read if model}
    if not models:
        found = "only variants of PyTorch and TensorFlow, or of segmentation" if grouped else "no models"
        raise ResultsError(
            f"{folder} holds {found}, and the page has nothing to show; make a run with: "
            f"snakemake --cores 2 --config scale={folder.name if folder.name in SCALES else 'smoke'}"
        )
    return Run(folder.name, scale or _scale(folder), models)


def newest_run(results: Path) -> Path:
    """The folder of the largest scale that has models: ``full``, then ``quick``, then ``smoke``; at last any other."""
    made = {path.parts[-3] for path in results.glob("*/models/*")}
    for name in (*reversed(SCALES), *sorted(made)):
        if name in made:
            return results / name
    raise ResultsError(f"{results} holds no run yet; make one with: snakemake --cores 2 --config scale=smoke")


def _card(path: Path) -> dict[str, Any]:
    card = read_json(path)
    missing = {"variant", "method", "parameters", "parent", "seed", "data"} - set(card)
    if missing:
        raise ValueError(f"{path} lacks {', '.join(sorted(missing))}: it is not a variant's card; delete it")
    return dict(card)


def _model(folder: Path, data: Path, cards: list[dict[str, Any]]) -> Model | None:
    """A model with what of it can be run and shown, or None where nothing can; the first seed stands for all."""
    seed = min(card["seed"] for card in cards)
    cards = [card for card in cards if card["seed"] == seed]
    lab, name, _ = cards[0]["variant"].split("/")
    scores, costs = _table(folder, lab, "scores"), _table(folder, lab, "costs")
    variants = {variant.name: variant for card in cards if (variant := _variant(card, scores, costs))}
    if not variants:
        return None
    origin = cards[0]["data"]
    prepared = data / origin["source"] / f"{origin['dataset']}.npz"
    described = read_card(prepared)
    if described.task != "classification":
        # The page shows one class per picture, not one per pixel.
        return None
    parents = {card["variant"].rpartition("/")[2]: card["parent"] for card in cards}
    pair = shown_first(variants, parents, _baseline(_table(folder, lab, "speed"), name))
    return Model(lab, name, variants, pair, described, prepared, origin["content_sha256"])


def _variant(card: Mapping[str, Any], scores: pd.DataFrame | None, costs: pd.DataFrame | None) -> Variant | None:
    method = METHODS.get(card["method"])
    if method is None:
        return None
    framework, _, quantized = method.makes.partition("-")
    file = card["folder"] / method.artifact
    if framework not in ENGINES or not file.is_file():
        return None
    engine = ENGINES[framework]
    if framework == "numpy" and quantized:
        engine = f"numpy-{card['parameters']['arithmetic']}"
    lab, model, name = card["variant"].split("/")
    key = {"lab": lab, "model": model, "variant": name}
    size, score = _row(costs, key), _row(scores, key | {"seed": card["seed"]})
    return Variant(
        lab, model, name, card["seed"], file, engine, bool(quantized),
        file_bytes=int(size["file_bytes"]) if size is not None else file.stat().st_size,
        accuracy=None if score is None else _accuracy(score),
    )  # fmt: skip


def _accuracy(row: pd.Series) -> Accuracy:
    percent, low, high = (float(row[f"accuracy_{part}percent"]) for part in ("", "low_", "high_"))
    return Accuracy(percent, low, high, int(row["images"]))


def shown_first(
    variants: Mapping[str, Variant], parents: Mapping[str, str | None], baseline: str | None
) -> tuple[str, str]:
    """A float variant and the quantized one to show beside it.

    The float one is the lab's baseline, or the first by engine. The quantized one comes from it, or is of its format;
    among several the one of the shortest name, since the others are called after what they do otherwise.
    """
    order = list(ENGINES.values())
    floats = [variant for variant in variants.values() if not variant.quantized]
    floats.sort(key=lambda variant: (variant.name != baseline, order.index(variant.engine), variant.name))
    quantized = [variant for variant in variants.values() if variant.quantized]
    first = floats[0] if floats else min(quantized, key=_shortest)
    near = [variant for variant in quantized if first.name in _ancestors(variant.name, parents)]
    near = near or [variant for variant in quantized if variant.format == first.format] or quantized or floats[1:]
    return first.name, min(near, key=_shortest).name if near else first.name


def _shortest(variant: Variant) -> tuple[int, str]:
    return len(variant.name), variant.name


def _ancestors(name: str, parents: Mapping[str, str | None]) -> Iterator[str]:
    while (parent := parents.get(name)) is not None:
        yield parent
        name = parent


def _baseline(speed: pd.DataFrame | None, model: str) -> str | None:
    """What the lab compares a model's variants with, as its tables say."""
    named = [] if speed is None else list(speed.loc[speed["model"] == model, "baseline_variant"])
    return str(named[0]) if named else None


def _scale(folder: Path) -> str:
    """The scale of a run that nobody names: its folder, or whether its claims were judged at a reduced one."""
    if folder.name in SCALES:
        return folder.name
    claims = [read_table(path) for path in folder.glob("tables/*/claims.csv")]
    reduced = any((table["reason"] == "reduced_scale").any() for table in claims)
    return "quick" if reduced else "full"


def _table(folder: Path, lab: str, name: str) -> pd.DataFrame | None:
    path = folder / "tables" / lab / f"{name}.csv"
    return read_table(path) if path.is_file() else None


def _row(table: pd.DataFrame | None, key: Mapping[str, Any]) -> pd.Series | None:
    if table is None:
        return None
    rows = table[(table[list(key)] == pd.Series(key)).all(axis=1)]
    return None if rows.empty else rows.iloc[0]
