"""A trained TensorFlow network as one ``.safetensors`` file; ``models.stored`` has the format.

A ``.keras`` archive would hold time stamps, and may hold code.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import compresslab.models.tensorflow as architectures
from compresslab.data.preprocessing import Preprocessing
from compresslab.models import stored
from compresslab.models.errors import ArtifactError
from compresslab.models.tensorflow.framework import keras

__all__ = ["ArtifactError", "TensorFlowModel", "arrays", "assign", "build", "load", "save"]

FRAMEWORK = "tensorflow"

_ARCHITECTURES = stored.Architectures("TensorFlow", architectures, frozenset({"artifact", "framework", "layers"}))


@dataclass(frozen=True)
class TensorFlowModel:
    """A network and everything a user of it must know.

    ``image_shape`` is (H, W, C); ``arguments`` are the architecture's own, besides image shape and classes.
    """

    network: keras.Model
    architecture: str
    image_shape: tuple[int, int, int]
    preprocessing: Preprocessing
    classes: tuple[str, ...]
    arguments: Mapping[str, Any] = field(default_factory=dict)


def build(architecture: str, image_shape: Sequence[int], classes: int, **arguments: Any) -> keras.Model:
    """Build an architecture by its name; it takes float32 (N, H, W, C) and returns logits (N, classes).

    Raises ArtifactError, naming the architectures there are, when there is no such one.
    """
    return _ARCHITECTURES.build(architecture, image_shape, classes, **arguments)


def save(path: Path, model: TensorFlowModel) -> None:
    """Write the network to ``path``; equal networks give equal bytes."""
    described = stored.Description(
        model.architecture, model.image_shape, model.preprocessing, model.classes, model.arguments
    )
    stored.write(path, arrays(model.network), described, FRAMEWORK)


def load(path: Path) -> TensorFlowModel:
    """Read what :func:`save` wrote.

    Raises ArtifactError for a truncated or foreign file, an unknown architecture, and tensors that do not fit the
    architecture, all of them by name; FileNotFoundError when there is no file.
    """
    path = Path(path)
    described, tensors = stored.read(path, FRAMEWORK)
    try:
        network = build(described.architecture, described.image_shape, len(described.classes), **described.arguments)
    except (ValueError, TypeError) as error:
        raise ArtifactError(f"{path}: {error}") from error
    stored.require_fit(path, described.architecture, arrays(network), tensors)
    assign(network, tensors)
    return TensorFlowModel(
        network,
        described.architecture,
        described.image_shape,
        described.preprocessing,
        described.classes,
        described.arguments,
    )


def arrays(network: keras.Model) -> dict[str, np.ndarray]:
    """Return the weights by layer and role: ``conv1/kernel``, ``conv1/bias``, ..."""
    return {name: np.asarray(weight) for name, weight in _weights(network).items()}


def assign(network: keras.Model, tensors: Mapping[str, np.ndarray]) -> None:
    """Give every weight of the network its value in ``tensors``, which are named as :func:`arrays` names them."""
    for name, weight in _weights(network).items():
        weight.assign(tensors[name])


def _weights(network: keras.Model) -> dict[str, Any]:
    return {
        f"{layer.name}/{weight.name.rpartition('/')[2].partition(':')[0]}": weight
        for layer in network.layers
        for weight in layer.weights
    }
