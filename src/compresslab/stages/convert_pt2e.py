"""Convert a network that was trained with torchao's fake quantization to an integer ONNX model."""

from compresslab.stages.command import running, variant_parser
from compresslab.stages.conversion import compare_and_write_card


def main() -> None:
    """Write the ONNX model and its card, which says how far its answers lie from those of its parent."""
    stage = variant_parser(__doc__, model="integer ONNX model (.onnx)", parent="fake-quantized model (.safetensors)")
    with running(stage) as job:
        from compresslab.config.methods.convert_pt2e import Parameters
        from compresslab.engines import onnxruntime, torch_qat_pt2e
        from compresslab.export.pt2e_onnx import export
        from compresslab.models.torch import pt2e_artifact

        options = job.options
        parameters = Parameters.model_validate(job.spec["parameters"])
        export(pt2e_artifact.load(options.parent), options.model, parameters.opset)
        compare_and_write_card(job, torch_qat_pt2e.open_model, onnxruntime.open_model)


if __name__ == "__main__":
    main()
