"""Train a TensorFlow network on with fake quantization and write it as an integer LiteRT model."""

from compresslab.stages.command import Job, log, running
from compresslab.stages.training import Trained, train_and_write, training_data, training_parser

LIBRARIES = ("tensorflow", "tf-keras", "tensorflow-model-optimization", "ai-edge-litert")


def main() -> None:
    """Write the model, its card and its training curve, whose scores are those with fake quantization."""
    stage = training_parser(__doc__, model="integer model (.tflite)", parent="trained model (.safetensors)")
    with running(stage) as job:
        train_and_write(job, LIBRARIES, lambda fingerprint: _quantize(job, fingerprint))


def _quantize(job: Job, fingerprint: str) -> Trained:
    from compresslab.compress.qat_tfmot import quantize
    from compresslab.config.methods.qat_tfmot import Parameters
    from compresslab.models.tensorflow import artifact
    from compresslab.train.tensorflow.hardware import take_device

    options, spec = job.options, job.spec
    parameters = Parameters.model_validate(spec["parameters"])
    take_device(parameters.device, parameters.threads)
    parent = artifact.load(options.parent)
    data = training_data(job)
    quantized = quantize(parent, data, options.model, parameters, spec["seed"], options.state, fingerprint, log.info)
    log.info(
        "the integer model answers like the network with fake quantization for %.2f %% of the images",
        quantized.agreement.same_answers_percent,
    )
    found = {"same_answers_as_fake_quantized_percent": quantized.agreement.same_answers_percent}
    return Trained.of(quantized.training, found)


if __name__ == "__main__":
    main()
