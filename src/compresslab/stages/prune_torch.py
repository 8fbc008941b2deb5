"""Prune single weights of a PyTorch network by magnitude, and train on with the others."""

from compresslab.stages.command import Job, log, running
from compresslab.stages.training import Trained, train_and_write, training_data, training_parser


def main() -> None:
    """Write the pruned model, its card and the curve of its fine-tuning."""
    stage = training_parser(__doc__, model="pruned model (.safetensors)", parent="trained model (.safetensors)")
    with running(stage) as job:
        train_and_write(job, ["torch", "kornia"], lambda fingerprint: _prune(job, fingerprint))


def _prune(job: Job, fingerprint: str) -> Trained:
    from compresslab.compress.prune_torch import checked_sparsity, make_permanent, mask_smallest
    from compresslab.config.training import FineTuning
    from compresslab.models.torch import artifact
    from compresslab.train.torch.learner import fine_tune

    options, spec = job.options, job.spec
    model = artifact.load(options.parent)
    sparsity, recipe = spec["parameters"]["sparsity"], FineTuning.among(spec["parameters"])
    mask_smallest(model.module, sparsity)
    result = fine_tune(model.module, training_data(job), recipe, spec["seed"], options.state, fingerprint, log.info)
    make_permanent(model.module)
    found = {"sparsity_percent": checked_sparsity(model.module, sparsity)}
    artifact.save(options.model, model)
    return Trained.of(result, found)


if __name__ == "__main__":
    main()
