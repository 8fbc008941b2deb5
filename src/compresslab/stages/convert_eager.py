"""Convert a network that was trained with fake quantization in PyTorch's eager mode to int8."""

from compresslab.stages.command import running, variant_parser
from compresslab.stages.conversion import compare_and_write_card


def main() -> None:
    """Write the integer model and its card, which says how far its answers lie from those of its parent."""
    stage = variant_parser(__doc__, model="integer model (.safetensors)", parent="fake-quantized model (.safetensors)")
    with running(stage) as job:
        from compresslab.compress.qat_eager import convert
        from compresslab.engines import torch_int8, torch_qat_eager
        from compresslab.models.torch import eager_artifact

        options = job.options
        eager_artifact.save_integer(options.model, convert(eager_artifact.load_simulated(options.parent)))
        compare_and_write_card(job, torch_qat_eager.open_model, torch_int8.open_model)


if __name__ == "__main__":
    main()
