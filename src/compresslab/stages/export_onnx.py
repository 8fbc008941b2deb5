"""Export a PyTorch network to ONNX and hold its logits against PyTorch's."""

from pathlib import Path

from compresslab.stages.card import variant_card, write_card
from compresslab.stages.command import parser, running

IMAGES_TO_COMPARE = 64


def main() -> None:
    """Write the ONNX model and its card."""
    stage = parser(__doc__)
    stage.add_argument("--data", type=Path, required=True, help="prepared dataset (.npz)")
    stage.add_argument("--parent", type=Path, required=True, help="trained model (.safetensors)")
    stage.add_argument("--model", type=Path, required=True, help="ONNX model (.onnx)")
    stage.add_argument("--card", type=Path, required=True, help="the variant's card (.json)")
    with running(stage) as job:
        from compresslab.config.methods.export_onnx import Parameters
        from compresslab.data.prepared import calibration_images
        from compresslab.export.onnx import export
        from compresslab.models.torch import artifact

        options = job.options
        sample = calibration_images(options.data, IMAGES_TO_COMPARE).images
        parameters = Parameters.model_validate(job.spec["parameters"])
        trained = artifact.load(options.parent)
        difference = export(trained.module, options.model, parameters, trained.preprocessing, trained.classes, sample)
        card = variant_card(job, options.data, options.model, options.parent)
        write_card(options.card, card | {"largest_logit_difference": difference})


if __name__ == "__main__":
    main()
