"""What figures are drawn from: tables, and for a few of them networks, predictions, images or views of images."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd

from compresslab.data.views import Views
from compresslab.models.numpy.network import Network
from compresslab.report.order import in_order

Kind = Literal["networks", "predictions", "label_maps", "images", "views"]


@dataclass(frozen=True)
class Answers:
    """What one variant answers on the test split: logits (N, classes), labels (N,), indices (N,) into the split."""

    logits: np.ndarray
    labels: np.ndarray
    indices: np.ndarray

    @property
    def classes(self) -> np.ndarray:
        """The predicted class of each image (N,)."""
        return self.logits.argmax(axis=1)


@dataclass(frozen=True, eq=False)
class PixelAnswers:
    """What one variant answers on the test split, pixel by pixel.

    ``answers`` uint8 (N, H, W), ``labels`` uint8 (N, H, W) with 255 for void, ``indices`` (N,) into the split.
    """

    answers: np.ndarray
    labels: np.ndarray
    indices: np.ndarray


@dataclass(frozen=True)
class Material:
    """Everything that a figure may use; what is absent is empty, and the figure is then left out.

    ``tables`` by name, ``networks``, ``predictions`` and ``maps`` (of the first seed) and ``views`` (what an
    augmentation makes of training images) by ``model/variant``, ``images`` the test split of the lab's first dataset,
    uint8 (N, H, W, C), ``origins`` what each of them is a part of, text (N,), ``variants`` every ``model/variant``, in
    drawing order, ``roots`` those of them that start from data and not from another variant, ``baseline`` the one that
    others are compared with, empty where there is none, ``arithmetic`` whether a variant computes in ``float``,
    ``simulated`` integers, or ``integer``.
    """

    tables: Mapping[str, pd.DataFrame]
    networks: Mapping[str, Network] = field(default_factory=dict)
    predictions: Mapping[str, Answers] = field(default_factory=dict)
    maps: Mapping[str, PixelAnswers] = field(default_factory=dict)
    images: np.ndarray | None = None
    origins: np.ndarray | None = None
    views: Mapping[str, Views] = field(default_factory=dict)
    variants: tuple[str, ...] = ()
    roots: tuple[str, ...] = ()
    baseline: str = ""
    arithmetic: Mapping[str, str] = field(default_factory=dict)

    @property
    def classes(self) -> list[str]:
        """Names of the classes in the order of the labels.

        A figure that asks reads the table ``scores_by_class``, or ``segmentation_by_class``.
        """
        tables = (self.table(name) for name in ("scores_by_class", "segmentation_by_class"))
        scores = next((table for table in tables if table is not None), None)
        return [] if scores is None else [str(name) for name in dict.fromkeys(scores["class"])]

    def table(self, name: str) -> pd.DataFrame | None:
        """Return a table that has rows, or None."""
        table = self.tables.get(name)
        return None if table is None or table.empty else in_order(table, self.variants)
