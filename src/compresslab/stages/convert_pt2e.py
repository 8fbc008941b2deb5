"""Convert a network that was trained with torchao's fake quantization to an integer ONNX model."""

from dataclasses import asdict

from compresslab.stages.card import variant_card, write_card
from compresslab.stages.command import log, running, variant_parser

IMAGES_TO_COMPARE = 16


def main() -> None:
    """Write the ONNX model and its card, which says how far its answers lie from those of its parent."""
    stage = variant_parser(__doc__, model="integer ONNX model (.onnx)", parent="fake-quantized model (.safetensors)")
    with running(stage) as job:
        from compresslab.config.methods.convert_pt2e import Parameters
        from compresslab.data.prepared import calibration_images
        from compresslab.engines import onnxruntime, torch_qat_pt2e
        from compresslab.export.pt2e_onnx import export
        from compresslab.measure.logits import difference
        from compresslab.models.torch import pt2e_artifact

        options = job.options
        parameters = Parameters.model_validate(job.spec["parameters"])
        export(pt2e_artifact.load(options.parent), options.model, parameters.opset)
        # Both files are opened again: what is compared is what was written.
        images = calibration_images(options.data, IMAGES_TO_COMPARE).images
        simulated = torch_qat_pt2e.open_model(options.parent, options.threads)
        found = difference(
            simulated.predict(images), onnxruntime.open_model(options.model, options.threads).predict(images)
        )
        log.info("against the fake-quantized network: %s", found)
        card = variant_card(job, options.data, options.model, options.parent)
        write_card(options.card, {**card, "difference_from_fake_quantized": asdict(found)})


if __name__ == "__main__":
    main()
