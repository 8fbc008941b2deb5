"""Magnitude pruning by the TensorFlow Model Optimization Toolkit: constant sparsity, then fine-tuning.

Every convolution and linear layer loses its smallest weights; biases stay (Zhu & Gupta, 2017).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from compresslab.config.methods.prune_tfmot import Parameters
from compresslab.config.training import FineTuning
from compresslab.models.quiet import quiet
from compresslab.models.tensorflow.artifact import arrays, assign
from compresslab.models.tensorflow.framework import keras
from compresslab.train import checkpoint
from compresslab.train.loop import TrainingData, TrainingError, TrainingResult, log_line
from compresslab.train.tensorflow.learner import fine_tune

with quiet():
    from tensorflow_model_optimization import sparsity

FIRST_STEP = 1
"""The toolkit counts steps from 1 and sets masks at the first step and every ``mask_every``-th after it."""


@dataclass(frozen=True)
class Pruned:
    """The training, and the share of zeros in every pruned layer as it was counted in the result."""

    training: TrainingResult
    sparsity_percent: dict[str, float]


def prune(
    network: keras.Model,
    data: TrainingData,
    parameters: Parameters,
    seed: int,
    state: Path,
    fingerprint: str,
    log: checkpoint.Log = log_line,
) -> Pruned:
    """Prune ``network`` in place, training it on as the parameters say.

    Raises TrainingError when a layer does not end with the number of zeros that was asked for.
    """
    schedule = sparsity.keras.ConstantSparsity(parameters.sparsity, FIRST_STEP, frequency=parameters.mask_every)
    wrapped = sparsity.keras.prune_low_magnitude(keras.models.clone_model(network), pruning_schedule=schedule)
    for layer, wrapper in zip(network.layers, wrapped.layers, strict=True):
        wrapper.set_weights(layer.get_weights())
    recipe = FineTuning.among(parameters.parameters())
    # The callback starts the toolkit's step counter, and applies the masks at the end of every epoch.
    callback = sparsity.keras.UpdatePruningStep()
    training = fine_tune(wrapped, data, recipe, seed, state, fingerprint, log, callback)
    stripped = sparsity.keras.strip_pruning(wrapped)
    # A mask leaves -0.0 of a negative weight; adding zero makes all zeros the same bits, which compress better.
    assign(network, {name: values + np.float32(0) for name, values in arrays(stripped).items()})
    return Pruned(training, _checked(network, parameters.sparsity))


def kept(size: int, share: float) -> int:
    """Return how many of ``size`` weights a sparsity of ``share`` leaves, rounded as the toolkit does, in float32."""
    return max(int(np.round(np.float32(size) * (np.float32(1) - np.float32(share)))), 1)


def _checked(network: keras.Model, share: float) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, kernel in arrays(network).items():
        if not name.endswith("/kernel"):
            continue
        layer = name.partition("/")[0]
        zeros, asked = int(np.count_nonzero(kernel == 0)), kernel.size - kept(kernel.size, share)
        if zeros != asked:
            raise TrainingError(
                f"layer {layer} has {zeros} zeros of {kernel.size} weights after pruning, {asked} were asked for; "
                "start from a parent that is less sparse, or ask for more"
            )
        found[layer] = 100 * zeros / kernel.size
    return found
