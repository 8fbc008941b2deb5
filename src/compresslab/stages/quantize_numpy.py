"""Quantize a float NumPy network to int8, with activation ranges seen on training images."""

from compresslab.stages.card import variant_card, write_card
from compresslab.stages.command import running, variant_parser


def main() -> None:
    """Write the quantized network and its card, which lists the calibration images."""
    stage = variant_parser(__doc__, model="quantized NumPy network (.npz)", parent="float NumPy network (.npz)")
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
