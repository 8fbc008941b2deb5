"""Networks quantized in PyTorch's eager mode as ``.safetensors`` files: fake-quantized ones, and integer ones.

Both files name their architecture, as those of float networks do (``models.stored``), and how it was quantized. They
are rebuilt from it, and then given their numbers; nothing that they hold is executed.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from compresslab.models import stored
from compresslab.models.torch import eager_quantization as eager
from compresslab.models.torch.artifact import ArtifactError, TorchModel, build

SIMULATED, INTEGER = "torch-eager-simulated", "torch-quantized"
"""What the files hold, as a method's ``makes`` says it."""


def save_simulated(path: Path, model: TorchModel) -> None:
    """Write a network of :func:`eager_quantization.simulate` to ``path``; equal networks give equal bytes."""
    stored.write(path, _arrays(model.module), _described(model), SIMULATED)


def load_simulated(path: Path) -> TorchModel:
    """Read what :func:`save_simulated` wrote; raises as ``artifact.load`` does."""
    described, tensors = stored.read(Path(path), SIMULATED)
    simulated = _built(path, described, eager.observed_form)
    stored.require_fit(path, described.architecture, _arrays(simulated), tensors)
    simulated.load_state_dict({name: torch.from_numpy(array) for name, array in tensors.items()})
    return _model(simulated.eval(), described)


def save_integer(path: Path, model: TorchModel) -> None:
    """Write a network of :func:`eager_quantization.integer` to ``path``; equal networks give equal bytes."""
    assert isinstance(model.module, eager.IntegerNetwork)
    stored.write(path, eager.tensors(model.module), _described(model), INTEGER)


def load_integer(path: Path) -> TorchModel:
    """Read what :func:`save_integer` wrote; raises as ``artifact.load`` does."""
    described, tensors = stored.read(Path(path), INTEGER)
    network = _built(path, described, eager.integer_form)
    stored.require_fit(path, described.architecture, eager.tensors(network), tensors)
    eager.fill(network, tensors)
    return _model(network, described)


def float_form(model: TorchModel) -> nn.Module:
    """Build the architecture that a quantized network was made of, with weights that mean nothing."""
    return build(model.architecture, model.image_shape, len(model.classes), **model.arguments)


def made_of(model: TorchModel, module: nn.Module) -> TorchModel:
    """Describe ``module``, which was made of the network of ``model``."""
    return replace(model, module=module)


def _built(path: Path, described: stored.Description, form: Callable[..., Any]) -> Any:
    try:
        granularity = described.quantization["granularity"]
        network = build(described.architecture, described.image_shape, len(described.classes), **described.arguments)
        return form(network, described.image_shape, granularity)
    except (ArtifactError, TypeError) as error:
        raise ArtifactError(f"{path}: {error}") from error
    except KeyError as error:
        raise ArtifactError(f"{path}: it does not say how it was quantized; delete it and run again") from error


def _described(model: TorchModel) -> stored.Description:
    return stored.Description(
        model.architecture,
        model.image_shape,
        model.preprocessing,
        model.classes,
        model.arguments,
        {"granularity": model.module.granularity},
    )


def _model(module: nn.Module, described: stored.Description) -> TorchModel:
    return TorchModel(
        module,
        described.architecture,
        described.image_shape,
        described.preprocessing,
        described.classes,
        described.arguments,
    )


def _arrays(module: nn.Module) -> dict[str, np.ndarray]:
    return {name: tensor.detach().cpu().numpy() for name, tensor in module.state_dict().items()}
