"""Quantize a float NumPy network to int8, with activation ranges seen on training images."""

from pathlib import Path

from compresslab.stages.card import variant_card, write_card
from compresslab.stages.command import parser, running


def main() -> None:
    """Write the quantized network and its card, which lists the calibration images."""
    stage = parser(__doc__)
    stage.add_argument("--data", type=Path, required=True, help="prepared dataset (.npz)")
    stage.add_argument("--parent", type=Path, required=True, help="float NumPy network (.npz)")
    stage.add_argument("--model", type=Path, required=True, help="quantized NumPy network (.npz)")
    stage.add_argument("--card", type=Path, required=True, help="the variant's card (.json)")
    with running(stage) as job:
        from compresslab.compress.quantize_numpy import quantize
        from compresslab.config.methods.quantize_numpy import Parameters
        from compresslab.data.prepared import calibration_images
        from compresslab.models.numpy import network

        options = job.options
        parameters = Parameters.model_validate(job.spec["parameters"])
        calibration = calibration_images(options.data, parameters.calibration.images)
        quantized = quantize(network.load(options.parent), calibration.images, parameters)
        network.save(quantized, options.model)
        card = variant_card(job, options.data, options.model, options.parent)
        write_card(options.card, card | {"calibration_indices": calibration.indices.tolist()})


if __name__ == "__main__":
    main()
