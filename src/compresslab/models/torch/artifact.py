"""A trained PyTorch network as one ``.safetensors`` file; ``models.stored`` has the format."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import compresslab.models.torch as architectures
from compresslab.data.preprocessing import Preprocessing
from compresslab.models import stored
from compresslab.models.errors import ArtifactError

__all__ = ["ArtifactError", "TorchModel", "build", "load", "save"]

_NO_ARCHITECTURES = frozenset(
    {"artifact", "layers", "rebuilt", "eager_quantization", "eager_artifact", "pt2e_quantization", "pt2e_artifact"}
)
_ARCHITECTURES = stored.Architectures("PyTorch", architectures, _NO_ARCHITECTURES)


@dataclass(frozen=True)
class TorchModel:
    """A network and everything a user of it must know.

    ``image_shape`` is (H, W, C); ``arguments`` are the architecture's own, besides image shape and classes.
    """

    module: nn.Module
    architecture: str
    image_shape: tuple[int, int, int]
    preprocessing: Preprocessing
    classes: tuple[str, ...]
    arguments: Mapping[str, Any] = field(default_factory=dict)


def build(architecture: str, image_shape: Sequence[int], classes: int, **arguments: Any) -> nn.Module:
    """Build an architecture by its name; it takes float32 (N, C, H, W) and returns logits (N, classes).

    Raises ArtifactError, naming the architectures there are, when there is no such one.
    """
    network: nn.Module = _ARCHITECTURES.build(architecture, image_shape, classes, **arguments)
    return network


def save(path: Path, model: TorchModel) -> None:
    """Write the network to ``path``; equal networks give equal bytes."""
    described = stored.Description(
        model.architecture, model.image_shape, model.preprocessing, model.classes, model.arguments
    )
    stored.write(path, _arrays(model.module), described)


def load(path: Path) -> TorchModel:
    """Read what :func:`save` wrote, on the CPU and in evaluation mode.

    Raises ArtifactError for a truncated or foreign file, an unknown architecture, and tensors that do not fit the
    architecture, all of them by name; FileNotFoundError when there is no file.
    """
    path = Path(path)
    described, tensors = stored.read(path)
    try:
        module = build(described.architecture, described.image_shape, len(described.classes), **described.arguments)
    except (ArtifactError, TypeError) as error:
        raise ArtifactError(f"{path}: {error}") from error
    stored.require_fit(path, described.architecture, _arrays(module), tensors)
    module.load_state_dict({name: torch.from_numpy(array) for name, array in tensors.items()})
    return TorchModel(
        module.eval(),
        described.architecture,
        described.image_shape,
        described.preprocessing,
        described.classes,
        described.arguments,
    )


def _arrays(module: nn.Module) -> dict[str, np.ndarray]:
    return {name: tensor.detach().cpu().numpy() for name, tensor in module.state_dict().items()}
