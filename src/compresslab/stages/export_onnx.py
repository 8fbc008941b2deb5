"""Export a PyTorch network to ONNX and hold its logits against PyTorch's."""

from compresslab.stages.card import variant_card, write_card
from compresslab.stages.command import running, variant_parser

IMAGES_TO_COMPARE = 64


def main() -> None:
    """Write the ONNX model and its card."""
    stage = variant_parser(__doc__, model="ONNX model (.onnx)", parent="trained model (.safetensors)")
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
