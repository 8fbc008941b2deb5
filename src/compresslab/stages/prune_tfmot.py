"""Prune a TensorFlow network by magnitude and train it on, with the TensorFlow Model Optimization Toolkit."""

from compresslab.stages.command import Job, log, running
from compresslab.stages.training import Trained, train_and_write, training_data, training_parser

LIBRARIES = ("tensorflow", "tf-keras", "tensorflow-model-optimization")


def main() -> None:
    """Write the model, its card and its training curve."""
    stage = training_parser(__doc__, model="pruned model (.safetensors)", parent="trained model (.safetensors)")
    with running(stage) as job:
        train_and_write(job, LIBRARIES, lambda fingerprint: _prune(job, fingerprint))


def _prune(job: Job, fingerprint: str) -> Trained:
    from compresslab.compress.prune_tfmot import prune
    from compresslab.config.methods.prune_tfmot import Parameters
    from compresslab.models.tensorflow import artifact
    from compresslab.train.tensorflow.hardware import take_device

    options, spec = job.options, job.spec
    parameters = Parameters.model_validate(spec["parameters"])
    take_device(parameters.device, parameters.threads)
    parent = artifact.load(options.parent)
    pruned = prune(parent.network, training_data(job), parameters, spec["seed"], options.state, fingerprint, log.info)
    artifact.save(options.model, parent)
    for layer, percent in pruned.sparsity_percent.items():
        log.info("%s: %.2f %% of the weights are zero", layer, percent)
    return Trained.of(pruned.training, {"sparsity_percent": pruned.sparsity_percent})


if __name__ == "__main__":
    main()
