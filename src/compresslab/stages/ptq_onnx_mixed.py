"""Quantize an ONNX model to INT8, but for the layers whose quantization changes its answers most."""

import csv
import io
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compresslab.stages.card import variant_card, write_card
from compresslab.stages.command import Job, log, running, variant_parser

if TYPE_CHECKING:
    from compresslab.compress.ptq_onnx import Calibrated
    from compresslab.compress.ptq_onnx_mixed import Layer


def main() -> None:
    """Write the quantized model, the sensitivity of its layers, and its card, which names the float layers."""
    stage = variant_parser(__doc__, model="quantized ONNX model (.onnx)", parent="float ONNX model (.onnx)")
    stage.add_argument("--sensitivity", type=Path, required=True, help="what every layer costs, quantized alone (.csv)")
    with running(stage) as job:
        _quantize(job)


def _quantize(job: Job) -> None:
    from compresslab.artifacts import write_text
    from compresslab.compress.ptq_onnx import calibrated
    from compresslab.compress.ptq_onnx_mixed import check_count, layers_of, write_mixed
    from compresslab.config.methods.ptq_onnx_mixed import Parameters
    from compresslab.data.prepared import calibration_images
    from compresslab.measure.sensitivity import most_sensitive

    options = job.options
    parameters = Parameters.model_validate(job.spec["parameters"])
    calibration = calibration_images(options.data, parameters.calibration.images)
    with calibrated(options.parent, calibration.images, parameters, options.threads) as ready:
        layers = layers_of(ready)
        check_count(layers, parameters.float_layers)
        rows = list(_sensitivities(job, ready, layers, parameters.probe_images))
        kept = most_sensitive(rows, parameters.float_layers)
        float_nodes = write_mixed(ready, [layers[position] for position in kept], options.model)
    flagged = [row | {"kept_float": position in kept} for position, row in enumerate(rows)]
    write_text(options.sensitivity, _as_csv(flagged))
    decisions = asdict(ready.decision) | {
        "float_layers": [layers[position].name for position in kept],
        "float_nodes": float_nodes,
    }
    log.info("float layers: %s", ", ".join(decisions["float_layers"]))
    card = variant_card(job, options.data, options.model, options.parent)
    write_card(options.card, card | {"decisions": decisions, "calibration_indices": calibration.indices.tolist()})


def _sensitivities(
    job: Job, ready: "Calibrated", layers: "Sequence[Layer]", probe_images: int
) -> Iterator[dict[str, Any]]:
    """Quantize every layer alone, and hold the answers to validation images against those of the float model."""
    from compresslab.compress.ptq_onnx_mixed import write_alone
    from compresslab.data.prepared import read_split
    from compresslab.data.progress import progress_bar
    from compresslab.engines.onnxruntime import open_model
    from compresslab.measure.cost_onnx import count
    from compresslab.measure.predictions import Predictions
    from compresslab.measure.sensitivity import change

    probe = read_split(job.options.data, "validation", probe_images)
    macs = {cost.layer: cost.macs for cost in count(ready.model, probe.images.shape[1:]).layers}

    def answers(model: Path) -> Predictions:
        logits = open_model(model, job.options.threads).predict(probe.images)
        return Predictions(logits, probe.labels, probe.indices)

    reference = answers(job.options.parent)
    with tempfile.TemporaryDirectory() as folder, progress_bar("Sensitivity", len(layers), " layers") as bar:
        alone = Path(folder) / "alone.onnx"
        for layer in layers:
            write_alone(ready, layer, alone)
            identity = {"layer": layer.name, "operator": layer.operator, "macs": macs[layer.node]}
            yield identity | change(reference, answers(alone))
            bar.update()


def _as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {name: f"{value:.10g}" if isinstance(value, float) else value for name, value in row.items()} for row in rows
    )
    return text.getvalue()


if __name__ == "__main__":
    main()
