"""How fast training is in NumPy and in PyTorch, as ratios on one thread.

    python benchmarks/training.py --activations relu swish --json training.json

The network is LeNet-5 at 32 x 32 x 3, with the same first weights and, but for the third loop, the same batches:
`numpy` and `torch` are the learners of the package, `torch-dataloader` is the loop of PyTorch's tutorials, on a
DataLoader over tensors that are normalized already. Loops take turns, epoch by epoch, in shuffled order, and a ratio is
the median over rounds of the ratio within a round, so that a slow moment of the machine hits all alike. An epoch is
its updates: gathering (and normalizing) a batch, forward, backward, optimizer.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from compresslab.artifacts import write_json
from compresslab.engines.contract import set_threads

if TYPE_CHECKING:
    import torch

    from compresslab.train.loop import Learner, TrainingData

Epoch = Callable[[int], object]
"""Trains for the epoch of that number."""

IMAGE_SHAPE, CLASSES = (32, 32, 3), tuple("abcdefg")
NUMPY, TORCH, PLAIN = "numpy", "torch", "torch-dataloader"
RATE = 0.001


def main() -> None:
    """Measure and print a table for each activation."""
    arguments = _arguments()
    set_threads(1)
    results = {}
    for activation in arguments.activations:
        epochs = make_epochs(activation, arguments.images, arguments.batch, arguments.optimizer)
        results[activation] = measure(epochs, arguments.rounds)
        print_table(activation, results[activation], arguments.images)
    if arguments.json:
        write_json(arguments.json, {"batch": arguments.batch, "images": arguments.images, "activations": results})


def make_epochs(activation: str, images: int, batch: int, optimizer: str) -> dict[str, Epoch]:
    """Make the three loops on one seeded data set, from the same first weights."""
    import numpy as np
    import torch

    from compresslab.config.training import Recipe
    from compresslab.data.prepared import Split
    from compresslab.data.preprocessing import Preprocessing
    from compresslab.models.numpy import architectures
    from compresslab.models.torch import artifact
    from compresslab.train.loop import TrainingData
    from compresslab.train.numpy.classifier import NumpyLearner, initialized
    from compresslab.train.torch.classifier import TorchLearner, initialize_he, make_optimizer

    torch.set_num_threads(1)
    torch.manual_seed(0)
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (images, *IMAGE_SHAPE), np.uint8)
    labels = generator.integers(0, len(CLASSES), images)
    split, preprocessing = Split(pixels, labels, np.arange(images)), Preprocessing((0.5,) * 3, (0.25,) * 3)
    data = TrainingData(split, split, preprocessing)
    recipe = Recipe.model_validate({"batch": batch, "optimizer": {"name": optimizer, "lr": RATE}})
    network = architectures.make("lenet5", IMAGE_SHAPE, CLASSES, preprocessing, activation=activation)
    modules = [artifact.build("lenet5", IMAGE_SHAPE, len(CLASSES), activation=activation) for _ in (TORCH, PLAIN)]
    for module in modules:
        initialize_he(module, IMAGE_SHAPE, seed=0)
    learners: dict[str, Learner] = {
        NUMPY: NumpyLearner(initialized(network, seed=0), data, recipe),
        TORCH: TorchLearner(modules[0], data, recipe, torch.device("cpu")),
    }
    epochs: dict[str, Epoch] = {name: partial(_epoch, learner, images, batch) for name, learner in learners.items()}
    epochs[PLAIN] = _plain_epoch(modules[1], data, batch, make_optimizer(modules[1], recipe.optimizer))
    return epochs


def measure(epochs: dict[str, Epoch], rounds: int) -> dict[str, dict[str, float]]:
    """Return, for each loop, seconds per epoch and the ratio of time to PyTorch's learner."""
    import numpy as np

    order, seconds = np.random.default_rng(2), {name: np.empty(rounds) for name in epochs}
    for number in range(-1, rounds):  # Round -1 warms up.
        for name in order.permutation(list(epochs)):
            start = time.perf_counter()
            epochs[name](number + 1)
            seconds[name][max(number, 0)] = time.perf_counter() - start
    return {
        name: {"epoch_s": float(np.median(times)), "over_torch": float(np.median(times / seconds[TORCH]))}
        for name, times in seconds.items()
    }


def print_table(activation: str, result: dict[str, dict[str, float]], images: int) -> None:
    """Print one activation: smaller is faster, everywhere."""
    print(f"\nLeNet-5, {activation}: an epoch of {images} images, and its ratio to PyTorch (below 1 = faster)")
    print(f"{'loop':<18}{'s/epoch':>10}{'us/image':>10}{'/ torch':>10}")
    for name, row in result.items():
        us_per_image = row["epoch_s"] / images * 1e6
        print(f"{name:<18}{row['epoch_s']:>10.3f}{us_per_image:>10.1f}{row['over_torch']:>10.2f}")


def _epoch(learner: "Learner", images: int, batch: int, number: int) -> None:
    from compresslab.train.loop import batches

    for positions in batches(images, batch, 0, number):
        learner.step(positions, RATE)
    learner.running()


def _plain_epoch(
    module: "torch.nn.Module", data: "TrainingData", batch: int, optimizer: "torch.optim.Optimizer"
) -> Epoch:
    """Return the loop of PyTorch's tutorials."""
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    images = data.preprocessing.normalize(data.training.images).transpose(0, 3, 1, 2).copy()
    samples = TensorDataset(torch.from_numpy(images), torch.from_numpy(data.training.labels))
    loader = DataLoader(samples, batch_size=batch, shuffle=True)
    loss_function = torch.nn.CrossEntropyLoss()

    def epoch(number: int) -> None:
        del number
        for pixels, labels in loader:
            optimizer.zero_grad()
            loss_function(module(pixels), labels).backward()
            optimizer.step()

    return epoch


def _arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--activations", nargs="+", default=["relu", "swish"], help="activations (default: relu swish)")
    parser.add_argument("--images", type=int, default=4096, help="images of an epoch (default: 4096)")
    parser.add_argument("--batch", type=int, default=64, help="images of a batch (default: 64)")
    parser.add_argument("--optimizer", default="adam", help="adam, adamw or sgd (default: adam)")
    parser.add_argument("--rounds", type=int, default=9, help="rounds of all loops (default: 9)")
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
