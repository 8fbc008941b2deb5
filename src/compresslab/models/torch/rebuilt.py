"""Quantized networks as ``.safetensors`` files that name their architecture and how it was quantized.

A file is as open as that of a float network (``models.stored``): numbers by name. The network is made of its
architecture as it was quantized, and then given its numbers; nothing that the file holds is executed.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from compresslab.models import stored
from compresslab.models.errors import ArtifactError
from compresslab.models.torch.artifact import TorchModel, build

Form = Callable[..., Any]
"""Makes the quantized network of an architecture, its image shape, and the setting by which it is quantized."""


def read_form(path: Path, kind: str, setting: str, form: Form) -> tuple[TorchModel, dict[str, np.ndarray]]:
    """Read a file that holds a ``kind``; return its network, whose numbers mean nothing yet, and its numbers.

    ``setting`` is the name under which the file says how it was quantized. Raises as ``artifact.load`` does, but for
    the fit of the numbers.
    """
    described, numbers = stored.read(Path(path), kind)
    try:
        quantization = described.quantization[setting]
        network = build(described.architecture, described.image_shape, len(described.classes), **described.arguments)
        module = form(network, described.image_shape, quantization)
    except (ArtifactError, TypeError) as error:
        raise ArtifactError(f"{path}: {error}") from error
    except KeyError as error:
        raise ArtifactError(f"{path}: it does not say how it was quantized; delete it and run again") from error
    model = TorchModel(
        module,
        described.architecture,
        described.image_shape,
        described.preprocessing,
        described.classes,
        described.arguments,
    )
    return model, numbers


def write(path: Path, model: TorchModel, numbers: stored.Tensors, kind: str, **quantization: object) -> None:
    """Write the numbers of a quantized network, and how it was quantized; equal networks give equal bytes."""
    described = stored.Description(
        model.architecture, model.image_shape, model.preprocessing, model.classes, model.arguments, quantization
    )
    stored.write(path, numbers, described, kind)


def load_state(path: Path, model: TorchModel, numbers: dict[str, np.ndarray]) -> None:
    """Give a network that computes in float its numbers; ArtifactError, naming all of them, where they do not fit."""
    stored.require_fit(path, model.architecture, state_of(model.module), numbers)
    model.module.load_state_dict({name: torch.from_numpy(array) for name, array in numbers.items()})
    model.module.eval()


def state_of(module: nn.Module) -> dict[str, np.ndarray]:
    """Return all numbers of a network that computes in float."""
    return {name: tensor.detach().cpu().numpy() for name, tensor in module.state_dict().items()}


def made_of(model: TorchModel, module: nn.Module) -> TorchModel:
    """Describe ``module``, which was made of the network of ``model``."""
    return replace(model, module=module)


def float_form(model: TorchModel) -> nn.Module:
    """Build the architecture that a quantized network was made of, with weights that mean nothing."""
    return build(model.architecture, model.image_shape, len(model.classes), **model.arguments)
