"""Train a network in PyTorch; a training that was killed goes on where it stopped, to the same bits."""

from compresslab.stages.command import Job, log, running
from compresslab.stages.training import Trained, train_and_write, training_data, training_parser


def main() -> None:
    """Write the model, its card and its training curve."""
    stage = training_parser(__doc__, model="trained model (.safetensors)")
    with running(stage) as job:
        train_and_write(job, ["torch", "kornia"], lambda fingerprint: _train(job, fingerprint))


def _train(job: Job, fingerprint: str) -> Trained:
    from compresslab.config.training import Recipe
    from compresslab.data.card import read_card
    from compresslab.models.torch import artifact
    from compresslab.train.torch.learner import train

    options, spec = job.options, job.spec
    card, data = read_card(options.data), training_data(job)
    module = artifact.build(spec["architecture"], card.image_shape, len(card.classes), **spec["arguments"])
    recipe = Recipe.model_validate(spec["parameters"])
    result = train(module, data, recipe, spec["seed"], options.state, fingerprint, log.info)
    model = artifact.TorchModel(
        module, spec["architecture"], card.image_shape, data.preprocessing, tuple(card.classes), spec["arguments"]
    )
    artifact.save(options.model, model)
    return Trained.of(result)


if __name__ == "__main__":
    main()
