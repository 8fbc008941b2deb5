"""Train a classifier in nothing but NumPy; a training that was killed goes on where it stopped, to the same bits."""

from compresslab.stages.command import Job, log, running
from compresslab.stages.training import Trained, train_and_write, training_data, training_parser


def main() -> None:
    """Write the model, its card and its training curve."""
    stage = training_parser(__doc__, model="trained network (.npz)")
    with running(stage) as job:
        train_and_write(job, [], lambda fingerprint: _train(job, fingerprint))


def _train(job: Job, fingerprint: str) -> Trained:
    from compresslab.config.training import Recipe
    from compresslab.data.card import read_card
    from compresslab.models.numpy.architectures import make
    from compresslab.models.numpy.network import save
    from compresslab.train.numpy.learner import train

    options, spec = job.options, job.spec
    card, data = read_card(options.data), training_data(job)
    network = make(spec["architecture"], card.image_shape, tuple(card.classes), data.preprocessing, **spec["arguments"])
    recipe = Recipe.model_validate(spec["parameters"])
    trained, result = train(network, data, recipe, spec["seed"], options.state, fingerprint, log.info)
    save(trained, options.model)
    return Trained.of(result)


if __name__ == "__main__":
    main()
