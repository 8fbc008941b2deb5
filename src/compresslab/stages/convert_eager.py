"""Convert a network that was trained with fake quantization in PyTorch's eager mode to int8."""

from dataclasses import asdict

from compresslab.stages.card import variant_card, write_card
from compresslab.stages.command import log, running, variant_parser

IMAGES_TO_COMPARE = 16


def main() -> None:
    """Write the integer model and its card, which says how far its answers lie from those of its parent."""
    stage = variant_parser(__doc__, model="integer model (.safetensors)", parent="fake-quantized model (.safetensors)")
    with running(stage) as job:
        from compresslab.compress.qat_eager import convert
        from compresslab.data.prepared import calibration_images
        from compresslab.engines import torch_int8, torch_qat_eager
        from compresslab.measure.logits import difference
        from compresslab.models.torch import eager_artifact

        options = job.options
        eager_artifact.save_integer(options.model, convert(eager_artifact.load_simulated(options.parent)))
        # Both files are opened again: what is compared is what was written.
        images = calibration_images(options.data, IMAGES_TO_COMPARE).images
        simulated = torch_qat_eager.open_model(options.parent, options.threads)
        found = difference(
            simulated.predict(images), torch_int8.open_model(options.model, options.threads).predict(images)
        )
        log.info("against the fake-quantized network: %s", found)
        card = variant_card(job, options.data, options.model, options.parent)
        write_card(options.card, {**card, "difference_from_fake_quantized": asdict(found)})


if __name__ == "__main__":
    main()
