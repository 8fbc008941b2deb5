"""Bring in a user's ONNX model: checked, renamed, for any batch, and tried against the file as it was."""

from dataclasses import asdict
from pathlib import Path

from compresslab.stages.card import variant_card, write_card
from compresslab.stages.command import Job, log, running, variant_parser

IMAGES_TO_TRY = 3
"""Images on which the model is tried before and after, alone and together."""


def main() -> None:
    """Write the model as engines of this house take it, and its card, which says what was changed."""
    stage = variant_parser(__doc__, model="model (.onnx)")
    stage.add_argument("--file", type=Path, required=True, help="the user's model (.onnx)")
    with running(stage) as job:
        done = _import(job)
        write_card(job.options.card, variant_card(job, job.options.data, job.options.model) | {"import": done})


def _import(job: Job) -> dict[str, object]:
    from compresslab.config.methods.import_ import Parameters
    from compresslab.data.card import read_card
    from compresslab.data.prepared import calibration_images
    from compresslab.intake.graph import bring
    from compresslab.intake.terms import agreed, require_file

    options, spec = job.options, job.spec
    require_file(options.file, spec["file_sha256"])
    parameters = Parameters.model_validate({**spec["parameters"], "file": str(options.file)})
    terms = agreed(parameters, read_card(options.data), log.info)
    images = calibration_images(options.data, IMAGES_TO_TRY).images
    changes = bring(options.file, options.model, terms, images, log.info)
    return {"file": options.file.name, **terms.described(), **asdict(changes)}


if __name__ == "__main__":
    main()
