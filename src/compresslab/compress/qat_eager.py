"""Quantization-aware training in PyTorch's eager mode; ``models.torch.eager_quantization`` has the networks."""

from pathlib import Path

from compresslab.compress import fake_quantized
from compresslab.config.methods.qat_eager import Parameters
from compresslab.models.torch import eager_quantization as eager
from compresslab.models.torch.artifact import TorchModel
from compresslab.models.torch.rebuilt import made_of
from compresslab.train import checkpoint
from compresslab.train.loop import TrainingData, TrainingResult, log_line


def train(
    model: TorchModel,
    data: TrainingData,
    parameters: Parameters,
    seed: int,
    state: Path,
    fingerprint: str,
    log: checkpoint.Log = log_line,
) -> tuple[TorchModel, TrainingResult]:
    """Train the network of ``model`` on with fake quantization.

    Raises UnquantizableError for a network with an operation that PyTorch has no integer kernel for, before the
    training.
    """
    simulated = eager.simulate(model.module, model.image_shape, parameters.granularity)
    eager.observe(simulated, fake_quantized.images_of_ranges(data))
    # A kernel that is missing is told of now, not after hours of training.
    eager.integer(simulated, model.image_shape)
    result = fake_quantized.train(simulated, data, parameters, seed, state, fingerprint, log)
    return made_of(model, simulated), result


def convert(simulated: TorchModel) -> TorchModel:
    """Return a network of :func:`train` in integers."""
    assert isinstance(simulated.module, eager.SimulatedNetwork)
    return made_of(simulated, eager.integer(simulated.module, simulated.image_shape))
