"""Quantization-aware training by the TensorFlow Model Optimization Toolkit, then an integer LiteRT model.

Weights are int8, symmetric: per output channel in convolutions, per tensor in linear layers (the LiteRT converter
refuses channels there when they come from fake quantization). Activations are int8 with a zero point, biases int32.
The method is that of Jacob et al., 2018.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from compresslab.config.methods.qat_tfmot import Parameters
from compresslab.config.training import FineTuning
from compresslab.export.litert import Agreement, compare, convert
from compresslab.models.litert import artifact
from compresslab.models.quiet import quiet
from compresslab.models.tensorflow.artifact import TensorFlowModel
from compresslab.models.tensorflow.framework import keras
from compresslab.models.tensorflow.layers import layer_outputs, tracer
from compresslab.train import checkpoint
from compresslab.train.loop import TrainingData, TrainingError, TrainingResult, log_line
from compresslab.train.tensorflow.learner import fine_tune

with quiet():
    from tensorflow_model_optimization import quantization

RANGE_IMAGES = 512
"""Training images on which the ranges of activations are seen before the training."""

COMPARED_IMAGES = 256
LEAST_AGREEMENT_PERCENT = 95.0
"""The integer model must answer like the network that imitates it; both round, but not always the same way."""


@dataclass(frozen=True)
class Quantized:
    """The training with fake quantization, and the integer model held against the trained network."""

    training: TrainingResult
    agreement: Agreement


def quantize(
    model: TensorFlowModel,
    data: TrainingData,
    out: Path,
    parameters: Parameters,
    seed: int,
    state: Path,
    fingerprint: str,
    log: checkpoint.Log = log_line,
) -> Quantized:
    """Train ``model`` on with fake quantization, and write it as an integer LiteRT model to ``out``.

    The scores of the history are those with fake quantization. Raises ValueError when a layer would stay in float, and
    TrainingError when the integer model does not answer like the trained one.
    """
    # The toolkit names its layer for the input by a counter of the process, and the name goes into the file.
    keras.backend.reset_uids()
    imitation = quantization.keras.quantize_model(model.network)
    _set_ranges(imitation, model.network, data.preprocessing.normalize(data.training.images[:RANGE_IMAGES]))
    layers = list(layer_outputs(model.network))
    # A layer that the converter leaves in float is told now, not after hours of training.
    convert(imitation, layers, data.preprocessing, model.classes, integer=True)
    recipe = FineTuning.among(parameters.parameters())
    training = fine_tune(imitation, data, recipe, seed, state, fingerprint, log)
    converted = convert(imitation, layers, data.preprocessing, model.classes, integer=True)
    agreement = compare(converted, imitation, data.validation.images[:COMPARED_IMAGES])
    if agreement.same_answers_percent < LEAST_AGREEMENT_PERCENT:
        raise TrainingError(
            f"the integer model gives the answer of the trained network for {agreement.same_answers_percent:.1f} % of "
            "the images only; train for more epochs or with a smaller learning rate"
        )
    artifact.save(out, converted)
    return Quantized(training, agreement)


def _set_ranges(imitation: keras.Model, network: keras.Model, images: np.ndarray) -> None:
    """Start the ranges of activations at what the float network puts out.

    The toolkit starts them at -6..6 and moves them by a thousandth per step, too slowly for a short training.
    """
    outputs = tracer(network)(images, training=False)
    seen = {"quantize_layer": images, **{f"quant_{name}": values.numpy() for name, values in outputs.items()}}
    for layer in imitation.layers:
        for weight in layer.weights:
            role = weight.name.rpartition("/")[2].partition(":")[0]
            # Zero is always within the range, so that it has a code of its own.
            if role in ("post_activation_min", "quantize_layer_min"):
                weight.assign(min(float(seen[layer.name].min()), 0.0))
            elif role in ("post_activation_max", "quantize_layer_max"):
                weight.assign(max(float(seen[layer.name].max()), 0.0))
