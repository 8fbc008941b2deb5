"""How fast the NumPy engines are, as ratios to ONNX Runtime measured side by side in one process, on one thread.

    python benchmarks/numpy_engines.py --batches 1 256 --json numpy_engines.json

The network is gapcnn (28 x 28 x 1) with seeded weights. Engines take turns in rounds of shuffled order; a round of an
engine is the median over its calls, and a ratio is the median over rounds of the ratio within a round, so that a slow
moment of the machine hits both sides. `run` alone is timed, from native input to logits.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from compresslab.artifacts import write_json
from compresslab.engines.contract import Engine, open_engine, set_threads

INPUT_SHAPE = (28, 28, 1)
CLASSES = [str(digit) for digit in range(10)]
FP32, INT8 = "onnxruntime fp32", "onnxruntime int8"
FLOAT, INTEGER = "numpy", "numpy-integer"
CALIBRATION_IMAGES = 64


def main() -> None:
    """Measure and print a table for each batch size."""
    arguments = _arguments()
    set_threads(1)
    with TemporaryDirectory() as folder:
        engines = build_engines(Path(folder))
        results = {batch: measure(engines, batch, arguments.rounds, arguments.seconds) for batch in arguments.batches}
    for batch, result in results.items():
        print_table(batch, result)
    if arguments.json:
        write_json(
            arguments.json, {"batches": [{"batch": batch, "engines": result} for batch, result in results.items()]}
        )


def build_engines(folder: Path) -> dict[str, Engine]:
    """Make every variant of one seeded gapcnn in ``folder`` and open it on one thread."""
    import numpy as np
    import torch

    from compresslab.compress import ptq_onnx
    from compresslab.compress.quantize_numpy import quantize
    from compresslab.config.methods import export_onnx, quantize_numpy
    from compresslab.config.methods import ptq_onnx as ptq_parameters
    from compresslab.data.preprocessing import Preprocessing
    from compresslab.export.numpy_network import to_network
    from compresslab.export.onnx import export
    from compresslab.models.numpy.network import save
    from compresslab.models.torch.gapcnn import build

    torch.set_num_threads(1)
    torch.manual_seed(0)
    module, preprocessing = build(INPUT_SHAPE, len(CLASSES)), Preprocessing((0.1307,), (0.3081,))
    images = np.random.default_rng(0).integers(0, 256, (CALIBRATION_IMAGES, *INPUT_SHAPE), np.uint8)
    parent = {"from": "torch-fp32"}
    export(
        module, folder / "fp32.onnx", export_onnx.Parameters.model_validate(parent), preprocessing, CLASSES, images[:4]
    )
    ptq_onnx.quantize(
        folder / "fp32.onnx", folder / "int8.onnx", images, ptq_parameters.Parameters.model_validate(parent)
    )
    network = to_network(module, preprocessing, CLASSES, INPUT_SHAPE)
    save(network, folder / "float.npz")
    opened = {
        FP32: open_engine("onnxruntime", folder / "fp32.onnx", 1),
        INT8: open_engine("onnxruntime", folder / "int8.onnx", 1),
        FLOAT: open_engine("numpy", folder / "float.npz", 1),
    }
    variants = {
        INTEGER: ("integer", "lut"),
        f"{INTEGER} pwl": ("integer", "pwl"),
        "numpy-dequantized": ("dequantized", "lut"),
    }
    for name, (arithmetic, activations) in variants.items():
        settings = parent | {"arithmetic": arithmetic, "activations": activations}
        quantized = quantize(network, images, quantize_numpy.Parameters.model_validate(settings))
        save(quantized, folder / "quantized.npz")
        opened[name] = open_engine(f"numpy-{arithmetic}", folder / "quantized.npz", 1)
    return opened


def measure(engines: dict[str, Engine], batch: int, rounds: int, seconds: float) -> dict[str, dict[str, float]]:
    """Return, for each engine, microseconds per image and ratios of time to FP32, to INT8 and to the float engine."""
    import numpy as np

    images = np.random.default_rng(1).integers(0, 256, (batch, *INPUT_SHAPE), np.uint8)
    native = {name: engine.prepare(images) for name, engine in engines.items()}
    order, medians = np.random.default_rng(2), {name: np.empty(rounds) for name in engines}
    for engine_round in range(-1, rounds):  # Round -1 warms up.
        for name in order.permutation(list(engines)):
            medians[name][max(engine_round, 0)] = _median_s(engines[name], native[name], seconds) / batch
    return {
        name: {
            "us_per_image": float(np.median(times)) * 1e6,
            "over_onnxruntime_fp32": float(np.median(times / medians[FP32])),
            "over_onnxruntime_int8": float(np.median(times / medians[INT8])),
            "over_numpy": float(np.median(times / medians[FLOAT])),
        }
        for name, times in medians.items()
    }


def print_table(batch: int, result: dict[str, dict[str, float]]) -> None:
    """Print one batch size: smaller is faster, everywhere."""
    print(f"\nbatch {batch}: time per image, and its ratio to other engines (below 1 = faster)")
    print(f"{'engine':<22}{'us/image':>10}{'/ ORT FP32':>12}{'/ ORT INT8':>12}{'/ numpy':>10}")
    for name, row in result.items():
        print(
            f"{name:<22}{row['us_per_image']:>10.1f}{row['over_onnxruntime_fp32']:>12.2f}"
            f"{row['over_onnxruntime_int8']:>12.2f}{row['over_numpy']:>10.2f}"
        )


def _median_s(engine: Engine, native: object, seconds: float) -> float:
    """Return the median time of a call over at least five calls and ``seconds``."""
    times: list[float] = []
    while len(times) < 5 or sum(times) < seconds:
        start = time.perf_counter()
        engine.run(native)
        times.append(time.perf_counter() - start)
    return sorted(times)[len(times) // 2]


def _arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 256], help="batch sizes (default: 1 256)")
    parser.add_argument("--rounds", type=int, default=15, help="rounds of all engines (default: 15)")
    parser.add_argument("--seconds", type=float, default=0.1, help="time of one engine in one round (default: 0.1)")
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
