"""Networks fake-quantized by torchao as ``.safetensors`` files."""

from pathlib import Path

from compresslab.models.torch import pt2e_quantization as pt2e
from compresslab.models.torch.artifact import TorchModel
from compresslab.models.torch.rebuilt import load_state, read_form, state_of, write

SIMULATED = "torch-pt2e-simulated"
"""What the file holds, as a method's ``makes`` says it."""


def save(path: Path, model: TorchModel) -> None:
    """Write a network of :func:`pt2e_quantization.simulate` to ``path``; equal networks give equal bytes."""
    write(path, model, state_of(model.module), SIMULATED, reduce_range=model.module.reduce_range)


def load(path: Path) -> TorchModel:
    """Read what :func:`save` wrote; raises as ``artifact.load`` does."""
    model, numbers = read_form(path, SIMULATED, "reduce_range", pt2e.observed_form)
    load_state(path, model, numbers)
    return model
