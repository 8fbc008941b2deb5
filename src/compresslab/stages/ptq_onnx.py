"""Quantize an ONNX model to INT8 with ONNX Runtime, with ranges seen on training images."""

from dataclasses import asdict
from pathlib import Path

from compresslab.stages.card import variant_card, write_card
from compresslab.stages.command import parser, running


def main() -> None:
    """Write the quantized model and its card, which lists the calibration images and the reduced range."""
    stage = parser(__doc__)
    stage.add_argument("--data", type=Path, required=True, help="prepared dataset (.npz)")
    stage.add_argument("--parent", type=Path, required=True, help="float ONNX model (.onnx)")
    stage.add_argument("--model", type=Path, required=True, help="quantized ONNX model (.onnx)")
    stage.add_argument("--card", type=Path, required=True, help="the variant's card (.json)")
    with running(stage) as job:
        from compresslab.compress.ptq_onnx import quantize
        from compresslab.config.methods.ptq_onnx import Parameters
        from compresslab.data.prepared import calibration_images

        options = job.options
        parameters = Parameters.model_validate(job.spec["parameters"])
        calibration = calibration_images(options.data, parameters.calibration.images)
        decisions = quantize(options.parent, options.model, calibration.images, parameters)
        card = variant_card(job, options.data, options.model, options.parent)
        write_card(
            options.card, card | {"decisions": asdict(decisions), "calibration_indices": calibration.indices.tolist()}
        )


if __name__ == "__main__":
    main()
