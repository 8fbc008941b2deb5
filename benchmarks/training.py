"""How fast training in NumPy is, as the ratio to PyTorch on the same batches, each on one thread.

    python benchmarks/training.py --activations relu swish --json training.json

The network is LeNet-5 at 32 x 32 x 3 with the same first weights in both. Frameworks take turns, epoch by epoch, in
shuffled order, and a ratio is the median over rounds of the ratio within a round, so that a slow moment of the
machine hits both sides. An epoch is its updates: gathering and normalizing a batch, forward, backward, optimizer.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from compresslab.artifacts import write_json
from compresslab.engines.contract import set_threads

if TYPE_CHECKING:
    from compresslab.train.loop import Learner

IMAGE_SHAPE, CLASSES = (32, 32, 3), tuple("abcdefg")
NUMPY, TORCH = "numpy", "torch"


def main() -> None:
    """Measure and print a table for each activation."""
    arguments = _arguments()
    set_threads(1)
    results = {}
    for activation in arguments.activations:
        learners = make_learners(activation, arguments.images, arguments.batch, arguments.optimizer)
        results[activation] = measure(learners, arguments.images, arguments.batch, arguments.rounds)
        print_table(activation, results[activation], arguments.images)
    if arguments.json:
        write_json(arguments.json, {"batch": arguments.batch, "images": arguments.images, "activations": results})


def make_learners(activation: str, images: int, batch: int, optimizer: str) -> "dict[str, Learner]":
    """Make the learners of both frameworks on one seeded data set, from the same first weights."""
    import numpy as np
    import torch

    from compresslab.config.training import Recipe
    from compresslab.data.prepared import Split
    from compresslab.data.preprocessing import Preprocessing
    from compresslab.models.numpy import architectures
    from compresslab.models.torch import artifact
    from compresslab.train.loop import TrainingData
    from compresslab.train.numpy.classifier import NumpyLearner, initialized
    from compresslab.train.torch.classifier import TorchLearner, initialize_he

    torch.set_num_threads(1)
    generator = np.random.default_rng(0)
    labels = generator.integers(0, len(CLASSES), images)
    pixels = generator.integers(0, 256, (images, *IMAGE_SHAPE), np.uint8)
    split, preprocessing = Split(pixels, labels, np.arange(images)), Preprocessing((0.5,) * 3, (0.25,) * 3)
    data = TrainingData(split, split, preprocessing)
    recipe = Recipe.model_validate({"batch": batch, "optimizer": {"name": optimizer}})
    network = architectures.make("lenet5", IMAGE_SHAPE, CLASSES, preprocessing, activation=activation)
    module = artifact.build("lenet5", IMAGE_SHAPE, len(CLASSES), activation=activation)
    initialize_he(module, IMAGE_SHAPE, seed=0)
    return {
        NUMPY: NumpyLearner(initialized(network, seed=0), data, recipe),
        TORCH: TorchLearner(module, data, recipe, torch.device("cpu")),
    }


def measure(learners: "dict[str, Learner]", images: int, batch: int, rounds: int) -> dict[str, dict[str, float]]:
    """Return, for each framework, seconds per epoch, microseconds per image and the ratio of time to PyTorch."""
    import numpy as np

    order, seconds = np.random.default_rng(2), {name: np.empty(rounds) for name in learners}
    for epoch in range(-1, rounds):  # Round -1 warms up.
        for name in order.permutation(list(learners)):
            seconds[name][max(epoch, 0)] = _epoch_s(learners[name], images, batch, max(epoch, 0))
    return {
        name: {
            "epoch_s": float(np.median(times)),
            "us_per_image": float(np.median(times)) / images * 1e6,
            "over_torch": float(np.median(times / seconds[TORCH])),
        }
        for name, times in seconds.items()
    }


def print_table(activation: str, result: dict[str, dict[str, float]], images: int) -> None:
    """Print one activation: smaller is faster, everywhere."""
    print(f"\nLeNet-5, {activation}: an epoch of {images} images, and its ratio to PyTorch (below 1 = faster)")
    print(f"{'framework':<12}{'s/epoch':>10}{'us/image':>10}{'/ torch':>10}")
    for name, row in result.items():
        print(f"{name:<12}{row['epoch_s']:>10.3f}{row['us_per_image']:>10.1f}{row['over_torch']:>10.2f}")


def _epoch_s(learner: "Learner", images: int, batch: int, epoch: int) -> float:
    """Return the time of one epoch's updates."""
    from compresslab.train.loop import batches

    start = time.perf_counter()
    for positions in batches(images, batch, 0, epoch):
        learner.step(positions, 0.001)
    learner.running()
    return time.perf_counter() - start


def _arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--activations", nargs="+", default=["relu", "swish"], help="activations (default: relu swish)")
    parser.add_argument("--images", type=int, default=4096, help="images of an epoch (default: 4096)")
    parser.add_argument("--batch", type=int, default=64, help="images of a batch (default: 64)")
    parser.add_argument("--optimizer", default="adam", help="adam, adamw or sgd (default: adam)")
    parser.add_argument("--rounds", type=int, default=9, help="rounds of both frameworks (default: 9)")
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
