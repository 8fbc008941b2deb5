"""How much faster TensorFlow's graph and XLA are than eager execution, side by side in one latency session.

    python benchmarks/tensorflow_engines.py --rounds 5 --json tensorflow_engines.json

The network is LeNet-5 (32 x 32 x 3) with seeded weights. The session is the workflow's own: one worker process for each
engine and round, in shuffled order, on one thread; ratios pair the same round. Above 1 means faster than tf-eager.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from compresslab.artifacts import write_json
from compresslab.engines.contract import set_threads

SHAPE, CLASSES = (32, 32, 3), 7
BASELINE, OTHERS = "tf-eager", ("tf-graph", "tf-xla")


def main() -> None:
    """Measure and print a table."""
    arguments = _arguments()
    set_threads(1)
    with TemporaryDirectory() as folder:
        rows = measure(Path(folder), arguments.rounds, arguments.seconds)
    print(f"{'engine':<12}{'batch 1 p50 ms':>16}{'times eager':>13}{'interval':>18}{'images/s':>12}{'times eager':>13}")
    for row in rows:
        interval = f"[{row['latency_ratio_low']:.2f}, {row['latency_ratio_high']:.2f}]"
        print(
            f"{row['engine']:<12}{row['p50_ms']:>16.3f}{row['latency_ratio']:>13.2f}{interval:>18}"
            f"{row['offline_images_per_s']:>12.0f}{row['throughput_ratio']:>13.2f}"
        )
    if arguments.json:
        write_json(arguments.json, {"engines": rows})


def measure(folder: Path, rounds: int, seconds: float) -> list[dict[str, object]]:
    """Return a row for each engine: its times, and its ratios to eager execution with their intervals."""
    import numpy as np
    import pandas as pd

    from compresslab.measure.latency import Cell, Protocol, run_session
    from compresslab.tables.speed import Contest, compare_speed

    images = folder / "images.npy"
    np.save(images, np.random.default_rng(0).integers(0, 256, (1024, *SHAPE), dtype=np.uint8))
    model = _seeded_model(folder / "model.safetensors")
    engines = (BASELINE, *OTHERS)
    cells = [Cell("lenet5", "tf-fp32", engine, model, images, 1) for engine in engines]
    session = run_session(cells, Protocol(rounds=rounds, seconds=seconds), seed=0)
    session.raise_failures()
    identity = {"lab": "benchmark", "host": "here"}
    table = pd.DataFrame([identity | row for row in session.rows()])
    contests = [Contest("lenet5", "tf-fp32", engine, "tf-fp32", BASELINE) for engine in engines]
    speed = {str(row["engine"]): row for row in compare_speed(table, session.samples(), contests)}
    alone = dict.fromkeys(("latency_ratio", "latency_ratio_low", "latency_ratio_high", "throughput_ratio"), 1.0)
    return [
        {
            **{name: row[name] for name in ("engine", "p50_ms", "offline_images_per_s")},
            **{name: speed.get(row["engine"], alone)[name] for name in alone},
        }
        for row in table.to_dict("records")
    ]


def _seeded_model(path: Path) -> Path:
    from compresslab.data.preprocessing import Preprocessing
    from compresslab.models.tensorflow import artifact, framework
    from compresslab.train.tensorflow.learner import initialize

    framework.configure("cpu", 1)
    network = artifact.build("lenet5", SHAPE, CLASSES)
    initialize(network, "he", 0)
    preprocessing = Preprocessing((0.5,) * SHAPE[2], (0.25,) * SHAPE[2])
    names = tuple(str(number) for number in range(CLASSES))
    artifact.save(path, artifact.TensorFlowModel(network, "lenet5", SHAPE, preprocessing, names))
    return path


def _arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of all engines (default: 5)")
    parser.add_argument("--seconds", type=float, default=3.0, help="single-image calls of an engine (default: 3)")
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
