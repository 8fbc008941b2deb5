"""Remove channels and features of a PyTorch network, and train on with the smaller network."""

from compresslab.stages.command import Job, log, running
from compresslab.stages.training import Trained, train_and_write, training_data, training_parser


def main() -> None:
    """Write the smaller model, its card and the curve of its fine-tuning."""
    stage = training_parser(__doc__, model="smaller model (.safetensors)", parent="trained model (.safetensors)")
    with running(stage) as job:
        train_and_write(job, ["torch", "kornia", "torch-pruning"], lambda fingerprint: _prune(job, fingerprint))


def _prune(job: Job, fingerprint: str) -> Trained:
    from dataclasses import replace

    from compresslab.compress.prune_channels import remove_channels
    from compresslab.config.training import FineTuning
    from compresslab.models.torch import artifact
    from compresslab.train.torch.learner import fine_tune

    options, spec = job.options, job.spec
    parent = artifact.load(options.parent)
    widths = remove_channels(parent.module, parent.image_shape, spec["parameters"]["ratio"])
    log.info("widths that are left: %s", ", ".join(map(str, widths)))
    recipe = FineTuning.among(spec["parameters"])
    result = fine_tune(parent.module, training_data(job), recipe, spec["seed"], options.state, fingerprint, log.info)
    artifact.save(options.model, replace(parent, arguments={**parent.arguments, "widths": list(widths)}))
    # A network that the file does not rebuild would be found out only where it is used.
    artifact.load(options.model)
    return Trained.of(result, {"widths": list(widths)})


if __name__ == "__main__":
    main()
