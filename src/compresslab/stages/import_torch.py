"""Bring in a user's PyTorch weights for an architecture, without running anything that the file holds."""

from dataclasses import asdict
from pathlib import Path

from compresslab.stages.card import variant_card, write_card
from compresslab.stages.command import Job, log, running, variant_parser


def main() -> None:
    """Write the weights as a model of this house, and its card, which says what was done to them."""
    stage = variant_parser(__doc__, model="model (.safetensors)")
    stage.add_argument("--file", type=Path, required=True, help="the user's weights (.safetensors, .pth, .pt)")
    with running(stage) as job:
        done = _import(job)
        write_card(job.options.card, variant_card(job, job.options.data, job.options.model) | {"import": done})


def _import(job: Job) -> dict[str, object]:
    from compresslab.config.methods.import_ import Parameters
    from compresslab.data.card import read_card
    from compresslab.intake.terms import agreed, require_file
    from compresslab.intake.weights import bring
    from compresslab.models.torch import artifact

    options, spec = job.options, job.spec
    require_file(options.file, spec["file_sha256"])
    parameters = Parameters.model_validate({**spec["parameters"], "file": str(options.file)})
    terms = agreed(parameters, read_card(options.data), log.info)
    module = artifact.build(spec["architecture"], terms.image_shape, len(terms.classes), **spec["arguments"])
    imported = bring(options.file, module, terms, parameters.rename, log.info)
    model = artifact.TorchModel(
        module, spec["architecture"], terms.image_shape, terms.preprocessing, terms.classes, spec["arguments"]
    )
    artifact.save(options.model, model)
    return {"file": options.file.name, **terms.described(), **asdict(imported)}


if __name__ == "__main__":
    main()
