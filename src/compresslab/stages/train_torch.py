"""Train a classifier in PyTorch; a training that was killed goes on where it stopped, to the same bits."""

from pathlib import Path

from compresslab.artifacts import canonical_json, file_sha256, read_json, text_sha256
from compresslab.stages.card import variant_card, write_card
from compresslab.stages.command import Job, log, parser, running


def main() -> None:
    """Write the model, its card and its training curve."""
    stage = parser(__doc__)
    stage.add_argument("--data", type=Path, required=True, help="prepared dataset (.npz)")
    stage.add_argument("--state", type=Path, required=True, help="folder for the state of an unfinished training")
    stage.add_argument("--model", type=Path, required=True, help="trained model (.safetensors)")
    stage.add_argument("--card", type=Path, required=True, help="the variant's card (.json)")
    stage.add_argument("--training", type=Path, required=True, help="training curve (.csv)")
    with running(stage) as job:
        from compresslab.train import checkpoint

        fingerprint = _fingerprint(job)
        # A killed Snakemake leaves its training running: wait for that one, and take its result when it has finished.
        with checkpoint.locked(job.options.state, log.info):
            if _finished_meanwhile(job, fingerprint):
                log.info("an earlier process finished this training while it was waited for")
            else:
                _train(job, fingerprint)
        checkpoint.discard(job.options.state)


def _fingerprint(job: Job) -> str:
    """Hash of all that the weights depend on: settings, code, data, library."""
    import numpy
    import torch

    facts = {
        **job.provenance,
        "data_sha256": file_sha256(job.options.data),
        "libraries": {"torch": torch.__version__, "numpy": numpy.__version__},
    }
    return text_sha256(canonical_json(facts))


def _finished_meanwhile(job: Job, fingerprint: str) -> bool:
    """Whether a process that a killed Snakemake left behind has written this very result in the meantime."""
    options = job.options
    outputs = (options.model, options.card, options.training)
    return all(path.exists() for path in outputs) and read_json(options.card).get("fingerprint") == fingerprint


def _train(job: Job, fingerprint: str) -> None:
    import pandas as pd

    from compresslab.artifacts import write_text
    from compresslab.config.training import Recipe
    from compresslab.data.card import read_card
    from compresslab.data.prepared import read_split
    from compresslab.data.preprocessing import Preprocessing
    from compresslab.models.torch import artifact
    from compresslab.train.classifier import train

    options, spec = job.options, job.spec
    data = read_card(options.data)
    preprocessing = Preprocessing(tuple(data.mean), tuple(data.std))
    module = artifact.build(spec["architecture"], data.image_shape, len(data.classes))
    result = train(
        module,
        read_split(options.data, "train", spec["train_images"]),
        read_split(options.data, "validation", spec["validation_images"]),
        preprocessing,
        Recipe.model_validate(spec["parameters"]),
        spec["seed"],
        options.state,
        fingerprint,
        log.info,
    )
    model = artifact.TorchModel(module, spec["architecture"], data.image_shape, preprocessing, tuple(data.classes))
    artifact.save(options.model, model)
    write_text(options.training, pd.DataFrame(result.history).to_csv(index=False, lineterminator="\n"))
    write_card(options.card, variant_card(job, options.data, options.model) | {"fingerprint": fingerprint})


if __name__ == "__main__":
    main()
