"""Quantization-aware training on an exported graph; ``models.torch.pt2e_quantization`` has the networks."""

from pathlib import Path

from compresslab.compress import fake_quantized
from compresslab.compress.reduced_range import Quantization, decide
from compresslab.config.methods.qat_pt2e import Parameters
from compresslab.models.torch import pt2e_quantization as pt2e
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
) -> tuple[TorchModel, TrainingResult, Quantization]:
    """Train the network of ``model`` on with fake quantization; say how many bits its weights have.

    Raises UnquantizableError for a network with an operation that cannot be made integer, before the training.
    """
    decision = decide(parameters.reduce_range)
    simulated = pt2e.simulate(model.module, model.image_shape, decision.reduce_range)
    pt2e.observe(simulated, fake_quantized.images_of_ranges(data))
    # With `auto` a restart may find another CPU, for which other weights are trained.
    fingerprint = f"{fingerprint} for weights of {7 if decision.reduce_range else 8} bits"
    result = fake_quantized.train(simulated, data, parameters, seed, state, fingerprint, log)
    return made_of(model, simulated), result, decision
