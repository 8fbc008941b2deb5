"""Convert a TensorFlow network to LiteRT, in float32 or int8, and hold its logits against TensorFlow's."""

from compresslab.stages.card import variant_card, write_card
from compresslab.stages.command import running, variant_parser

IMAGES_TO_COMPARE = 64


def main() -> None:
    """Write the LiteRT model and its card."""
    stage = variant_parser(__doc__, model="LiteRT model (.tflite)", parent="trained model (.safetensors)")
    with running(stage) as job:
        from dataclasses import asdict

        from compresslab.config.methods.export_litert import Parameters
        from compresslab.data.prepared import calibration_images
        from compresslab.export.litert import export
        from compresslab.models.tensorflow import artifact, framework

        options = job.options
        framework.configure("cpu", options.threads)
        parameters = Parameters.model_validate(job.spec["parameters"])
        sample = calibration_images(options.data, IMAGES_TO_COMPARE).images
        calibration = calibration_images(options.data, parameters.calibration.images) if parameters.integer else None
        parent = artifact.load(options.parent)
        agreement = export(parent, options.model, parameters, sample, calibration.images if calibration else None)
        card = variant_card(job, options.data, options.model, options.parent) | asdict(agreement)
        if calibration:
            card["calibration_indices"] = calibration.indices.tolist()
        write_card(options.card, card)


if __name__ == "__main__":
    main()
