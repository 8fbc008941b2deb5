"""Quantize an ONNX model to INT8 with ONNX Runtime, with ranges seen on training images."""

from dataclasses import asdict

from compresslab.stages.card import variant_card, write_card
from compresslab.stages.command import running, variant_parser


def main() -> None:
    """Write the quantized model and its card, which lists the calibration images and the reduced range."""
    stage = variant_parser(__doc__, model="quantized ONNX model (.onnx)", parent="float ONNX model (.onnx)")
    with running(stage) as job:
        from compresslab.compress.ptq_onnx import quantize
        from compresslab.config.methods.ptq_onnx import Parameters
        from compresslab.data.prepared import calibration_images

        options = job.options
        parameters = Parameters.model_validate(job.spec["parameters"])
        calibration = calibration_images(options.data, parameters.calibration.images)
        decisions = quantize(options.parent, options.model, calibration.images, parameters, options.threads)
        card = variant_card(job, options.data, options.model, options.parent)
        write_card(
            options.card, card | {"decisions": asdict(decisions), "calibration_indices": calibration.indices.tolist()}
        )


if __name__ == "__main__":
    main()
