"""Cluster the weights of a TensorFlow network and train it on, with the TensorFlow Model Optimization Toolkit."""

from compresslab.stages.command import Job, log, running
from compresslab.stages.training import Trained, train_and_write, training_data, training_parser

LIBRARIES = ("tensorflow", "tf-keras", "tensorflow-model-optimization")


def main() -> None:
    """Write the model, its card and its training curve."""
    stage = training_parser(__doc__, model="clustered model (.safetensors)", parent="trained model (.safetensors)")
    with running(stage) as job:
        train_and_write(job, LIBRARIES, lambda fingerprint: _cluster(job, fingerprint))


def _cluster(job: Job, fingerprint: str) -> Trained:
    from compresslab.compress.cluster_tfmot import cluster
    from compresslab.config.methods.cluster_tfmot import Parameters
    from compresslab.models.tensorflow import artifact
    from compresslab.train.tensorflow.hardware import take_device

    options, spec = job.options, job.spec
    parameters = Parameters.model_validate(spec["parameters"])
    take_device(parameters.device, parameters.threads)
    parent = artifact.load(options.parent)
    clustered = cluster(
        parent.network, training_data(job), parameters, spec["seed"], options.state, fingerprint, log.info
    )
    artifact.save(options.model, parent)
    for layer, count in clustered.distinct_weights.items():
        log.info("%s: %d distinct weights", layer, count)
    return Trained.of(clustered.training, {"distinct_weights": clustered.distinct_weights})


if __name__ == "__main__":
    main()
