"""Quantize the weights of an ONNX model with ONNX Runtime; activations follow while it runs."""

from dataclasses import asdict

from compresslab.stages.card import variant_card, write_card
from compresslab.stages.command import running, variant_parser


def main() -> None:
    """Write the quantized model and its card, which says whether the range was reduced."""
    stage = variant_parser(__doc__, model="quantized ONNX model (.onnx)", parent="float ONNX model (.onnx)")
    with running(stage) as job:
        from compresslab.compress.ptq_onnx_dynamic import quantize
        from compresslab.config.methods.ptq_onnx_dynamic import Parameters

        options = job.options
        decisions = quantize(options.parent, options.model, Parameters.model_validate(job.spec["parameters"]))
        card = variant_card(job, options.data, options.model, options.parent)
        write_card(options.card, card | {"decisions": asdict(decisions)})


if __name__ == "__main__":
    main()
