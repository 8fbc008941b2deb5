"""Train a PyTorch network on with torchao's fake quantization, for the integer operators of ONNX Runtime."""

from dataclasses import asdict

from compresslab.stages.command import Job, log, running
from compresslab.stages.training import Trained, train_and_write, training_data, training_parser


def main() -> None:
    """Write the fake-quantized model, its card and its training curve, whose scores are those of that model."""
    stage = training_parser(__doc__, model="fake-quantized model (.safetensors)", parent="trained model (.safetensors)")
    with running(stage) as job:
        train_and_write(job, ["torch", "torchao", "kornia"], lambda fingerprint: _train(job, fingerprint))


def _train(job: Job, fingerprint: str) -> Trained:
    from compresslab.compress.qat_pt2e import train
    from compresslab.config.methods.qat_pt2e import Parameters
    from compresslab.models.torch import artifact, pt2e_artifact

    options, spec = job.options, job.spec
    parameters = Parameters.model_validate(spec["parameters"])
    parent, data = artifact.load(options.parent), training_data(job)
    model, result, decision = train(parent, data, parameters, spec["seed"], options.state, fingerprint, log.info)
    pt2e_artifact.save(options.model, model)
    return Trained.of(result, {"decisions": asdict(decision)})


if __name__ == "__main__":
    main()
