"""Weight clustering by the TensorFlow Model Optimization Toolkit: few distinct weights per layer, then fine-tuning.

Every convolution and linear layer shares its weights (Han et al., 2016): the file stays as large, and compresses.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from compresslab.config.methods.cluster_tfmot import Parameters
from compresslab.config.training import FineTuning
from compresslab.models.quiet import quiet
from compresslab.models.tensorflow.artifact import arrays, assign
from compresslab.models.tensorflow.framework import keras
from compresslab.train import checkpoint
from compresslab.train.loop import TrainingData, TrainingError, TrainingResult, log_line
from compresslab.train.tensorflow.learner import fine_tune

with quiet():
    from tensorflow_model_optimization import clustering


@dataclass(frozen=True)
class Clustered:
    """The training, and the number of distinct weights in every clustered layer as it was counted in the result."""

    training: TrainingResult
    distinct_weights: dict[str, int]


def cluster(
    network: keras.Model,
    data: TrainingData,
    parameters: Parameters,
    seed: int,
    state: Path,
    fingerprint: str,
    log: checkpoint.Log = log_line,
) -> Clustered:
    """Cluster the weights of ``network`` in place, training centroids and weights on as the parameters say.

    Raises TrainingError when a layer ends with more distinct weights than were asked for.
    """
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    initialization = clustering.keras.CentroidInitialization[parameters.centroids.upper()]
    wrapped = clustering.keras.cluster_weights(copy, parameters.clusters, initialization)
    recipe = FineTuning.among(parameters.parameters())
    training = fine_tune(wrapped, data, recipe, seed, state, fingerprint, log)
    assign(network, arrays(clustering.keras.strip_clustering(wrapped)))
    return Clustered(training, _checked(network, parameters.clusters))


def _checked(network: keras.Model, clusters: int) -> dict[str, int]:
    kernels = {name.partition("/")[0]: kernel for name, kernel in arrays(network).items() if name.endswith("/kernel")}
    distinct = {layer: len(np.unique(kernel)) for layer, kernel in kernels.items()}
    if surplus := [f"{layer} has {count}" for layer, count in distinct.items() if count > clusters]:
        raise TrainingError(
            f"more distinct weights than the {clusters} that were asked for: {', '.join(surplus)}; "
            "the toolkit has not clustered these layers"
        )
    return distinct
