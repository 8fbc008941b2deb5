"""Train a PyTorch network on with the fake quantization of PyTorch's eager mode."""

from compresslab.stages.command import Job, log, running
from compresslab.stages.training import Trained, train_and_write, training_data, training_parser


def main() -> None:
    """Write the fake-quantized model, its card and its training curve, whose scores are those of that model."""
    stage = training_parser(__doc__, model="fake-quantized model (.safetensors)", parent="trained model (.safetensors)")
    with running(stage) as job:
        train_and_write(job, ["torch", "kornia"], lambda fingerprint: _train(job, fingerprint))


def _train(job: Job, fingerprint: str) -> Trained:
    from compresslab.compress.qat_eager import train
    from compresslab.config.methods.qat_eager import Parameters
    from compresslab.models.torch import artifact
    from compresslab.models.torch.eager_artifact import save_simulated

    options, spec = job.options, job.spec
    parameters = Parameters.model_validate(spec["parameters"])
    parent, data = artifact.load(options.parent), training_data(job)
    model, result = train(parent, data, parameters, spec["seed"], options.state, fingerprint, log.info)
    save_simulated(options.model, model)
    return Trained.of(result)


if __name__ == "__main__":
    main()
