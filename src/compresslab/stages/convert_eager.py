"""Convert a network that was trained with fake quantization in PyTorch's eager mode to int8."""

from dataclasses import asdict

from compresslab.stages.card import variant_card, write_card
from compresslab.stages.command import log, running, variant_parser

IMAGES_TO_COMPARE = 64


def main() -> None:
    """Write the integer model and its card, which says how far its answers lie from those of its parent."""
    stage = variant_parser(__doc__, model="integer model (.safetensors)", parent="fake-quantized model (.safetensors)")
    with running(stage) as job:
        from compresslab.compress.qat_eager import convert, difference
        from compresslab.data.prepared import calibration_images
        from compresslab.models.torch import eager_artifact

        options = job.options
        simulated = eager_artifact.load_simulated(options.parent)
        eager_artifact.save_integer(options.model, convert(simulated))
        # Read again: what is compared is what was written.
        written = eager_artifact.load_integer(options.model)
        found = difference(simulated, written, calibration_images(options.data, IMAGES_TO_COMPARE).images)
        log.info(
            "the integer model differs from the fake-quantized one by up to %.2f %% of the range of its logits, and "
            "gives %.2f %% of the same answers",
            found.largest_percent,
            found.same_answers_percent,
        )
        card = variant_card(job, options.data, options.model, options.parent)
        write_card(options.card, {**card, "difference_from_fake_quantized": asdict(found)})


if __name__ == "__main__":
    main()
