"""Networks quantized in PyTorch's eager mode as ``.safetensors`` files: fake-quantized ones, and integer ones."""

from pathlib import Path

from compresslab.models import stored
from compresslab.models.torch import eager_quantization as eager
from compresslab.models.torch.artifact import TorchModel
from compresslab.models.torch.rebuilt import load_state, read_form, state_of, write

SIMULATED, INTEGER = "torch-eager-simulated", "torch-quantized"
"""What the files hold, as a method's ``makes`` says it."""

_SETTING = "granularity"


def save_simulated(path: Path, model: TorchModel) -> None:
    """Write a network of :func:`eager_quantization.simulate` to ``path``; equal networks give equal bytes."""
    write(path, model, state_of(model.module), SIMULATED, granularity=model.module.granularity)


def load_simulated(path: Path) -> TorchModel:
    """Read what :func:`save_simulated` wrote; raises as ``artifact.load`` does."""
    model, numbers = read_form(path, SIMULATED, _SETTING, eager.observed_form)
    load_state(path, model, numbers)
    return model


def save_integer(path: Path, model: TorchModel) -> None:
    """Write a network of :func:`eager_quantization.integer` to ``path``; equal networks give equal bytes."""
    assert isinstance(model.module, eager.IntegerNetwork)
    write(path, model, eager.tensors(model.module), INTEGER, granularity=model.module.granularity)


def load_integer(path: Path) -> TorchModel:
    """Read what :func:`save_integer` wrote; raises as ``artifact.load`` does."""
    model, numbers = read_form(path, INTEGER, _SETTING, eager.integer_form)
    assert isinstance(model.module, eager.IntegerNetwork)
    stored.require_fit(path, model.architecture, eager.tensors(model.module), numbers)
    eager.fill(model.module, numbers)
    return model
