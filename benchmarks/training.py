"""How fast the training loop is on one thread, against loops over PyTorch's DataLoader and the one of NumPy.

    python benchmarks/training.py gapcnn lenet5 resnet18 ciresan --json training.json

Loops, each in a process of its own, since how a process keeps its memory cannot be undone:

torch               the learner of the package, as the stages train: on the whole split as one tensor
dataloader          PyTorch's tutorials: a Dataset whose items are normalized one by one, the running loss by `.item()`
dataloader-tensors  the same loop over tensors that are normalized already
numpy               the learner in NumPy, where it has the architecture

Loops take turns, epoch by epoch, in shuffled order. A ratio is the median over rounds of the ratio within a round, with
a bootstrap interval of 95 %, so that a slow moment of the machine hits all alike. An epoch is its updates: a batch
(gathered, normalized), forward, backward, optimizer, running loss. The first round warms up and is not counted.
"""

import argparse
import multiprocessing
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compresslab.artifacts import write_json
from compresslab.engines.contract import set_threads

if TYPE_CHECKING:
    import numpy as np
    import torch

    from compresslab.config.training import Recipe
    from compresslab.measure.intervals import Interval
    from compresslab.train.loop import Learner, TrainingData

Epoch = Callable[[int], object]
"""Trains for the epoch of that number."""

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
RATE = 0.001
OURS, NUMPY = "torch", "numpy"


@dataclass(frozen=True)
class Model:
    """A network to train: its images (H, W, C), its classes, and by default so many images an epoch."""

    architecture: str
    image_shape: tuple[int, int, int]
    classes: int
    images: int
    arguments: Mapping[str, Any] = field(default_factory=dict)


MODELS = {
    "gapcnn": Model("gapcnn", (28, 28, 1), 10, 2048),
    "lenet5": Model("lenet5", (32, 32, 3), 7, 4096),
    "lenet5-swish": Model("lenet5", (32, 32, 3), 7, 4096, {"activation": "swish"}),
    "resnet18": Model("resnet18", (28, 28, 1), 10, 256),
    "ciresan": Model("ciresan", (28, 28, 1), 10, 128),
}


@dataclass(frozen=True)
class Work:
    """What a loop does in an epoch."""

    model: Model
    images: int
    batch: int
    optimizer: str
    clock: str


def main() -> None:
    """Measure and print a table for each model."""
    arguments = _arguments()
    # Before NumPy and PyTorch are loaded, here and, through the environment, in every loop's process.
    set_threads(1)
    results = {}
    for name in arguments.models:
        model = MODELS[name]
        work = Work(model, arguments.images or model.images, arguments.batch, arguments.optimizer, arguments.clock)
        results[name] = measure(name, work, arguments.rounds)
        print_table(name, work, results[name])
    if arguments.json:
        facts = {"batch": arguments.batch, "rounds": arguments.rounds, "clock": arguments.clock}
        write_json(arguments.json, {**facts, "models": results})


def measure(name: str, work: Work, rounds: int) -> dict[str, dict[str, float]]:
    """Return, for each loop, images/s and how many times as fast the package's loop is, with the interval's ends."""
    import numpy as np
    from tqdm import tqdm

    from compresslab.measure.intervals import round_interval

    seconds: dict[str, list[float]] = {loop: [] for loop in _loops(work.model)}
    order = np.random.default_rng(2)
    with ExitStack() as processes, tqdm(total=(rounds + 1) * len(seconds), desc=name, unit=" epochs") as bar:
        epochs = {loop: processes.enter_context(_in_process(loop, work)) for loop in seconds}
        for number in range(rounds + 1):
            for loop in order.permutation(list(seconds)):
                taken = epochs[loop](number + 1)
                bar.update()
                if number:
                    seconds[loop].append(taken)
    ours = np.array(seconds[OURS])
    return {
        loop: _row(work.images, np.array(times), round_interval(np.array(times) / ours))
        for loop, times in seconds.items()
    }


def print_table(name: str, work: Work, result: Mapping[str, Mapping[str, float]]) -> None:
    """Print one model: a ratio above 1 says that the package's loop is faster."""
    print(f"\n{name}: epochs of {work.images} images in batches of {work.batch}, {work.optimizer}, one thread")
    print(f"{'loop':<20}{'images/s':>10}{'ms/step':>10}{'torch is ... times as fast':>32}")
    for loop, row in result.items():
        ms_per_step = 1000 * work.batch / row["images_per_s"]
        ratio = f"{row['ratio']:.2f} ({row['ratio_low']:.2f} to {row['ratio_high']:.2f})"
        print(f"{loop:<20}{row['images_per_s']:>10.0f}{ms_per_step:>10.2f}{ratio:>32}")


def _row(images: int, seconds: "np.ndarray", ratio: "Interval") -> dict[str, float]:
    import numpy as np

    ends = {"ratio": ratio.estimate, "ratio_low": ratio.low, "ratio_high": ratio.high}
    return {"images_per_s": images / float(np.median(seconds)), **ends}


def _loops(model: Model) -> list[str]:
    from compresslab.config.inventory import architectures

    return [name for name in LOOPS if name != NUMPY or model.architecture in architectures("numpy")]


@contextmanager
def _in_process(loop: str, work: Work) -> Iterator[Callable[[int], float]]:
    """Start a process for the loop; yield a call that trains there for an epoch, by its number, and returns seconds."""
    spawning = multiprocessing.get_context("spawn")
    here, there = spawning.Pipe()
    process = spawning.Process(target=_serve, args=(there, loop, work), daemon=True)
    process.start()
    # The other end is the process's alone, so that its death is the end of the connection.
    there.close()

    def epoch(number: int) -> float:
        here.send(number)
        return float(here.recv())

    try:
        yield epoch
    finally:
        process.terminate()
        process.join()


def _serve(connection: Connection, loop: str, work: Work) -> None:
    import numpy as np

    from compresslab.config.training import Recipe
    from compresslab.data.prepared import Split
    from compresslab.data.preprocessing import Preprocessing
    from compresslab.train.loop import TrainingData

    model, generator = work.model, np.random.default_rng(0)
    pixels = generator.integers(0, 256, (work.images, *model.image_shape), np.uint8)
    split = Split(pixels, generator.integers(0, model.classes, work.images), np.arange(work.images))
    channels = model.image_shape[2]
    data = TrainingData(split, split, Preprocessing((0.5,) * channels, (0.25,) * channels))
    recipe = Recipe.model_validate({"batch": work.batch, "optimizer": {"name": work.optimizer, "lr": RATE}})
    with ExitStack() as stack:
        epoch = LOOPS[loop](model, data, recipe, stack)
        while True:
            number = connection.recv()
            start = CLOCKS[work.clock]()
            epoch(number)
            connection.send(CLOCKS[work.clock]() - start)


def _ours(model: Model, data: "TrainingData", recipe: "Recipe", stack: ExitStack) -> Epoch:
    import torch

    from compresslab.train.torch.hardware import deterministic, keep_freed_memory
    from compresslab.train.torch.layout import laid_out
    from compresslab.train.torch.learner import TorchLearner

    module, device = _module(model), torch.device("cpu")
    keep_freed_memory()
    stack.enter_context(deterministic(threads=1))
    stack.enter_context(laid_out(module, device))
    return _epochs(TorchLearner(module, data, recipe, device), data, recipe)


def _numpy(model: Model, data: "TrainingData", recipe: "Recipe", stack: ExitStack) -> Epoch:
    from compresslab.models.numpy import architectures
    from compresslab.train.numpy.learner import NumpyLearner, initialized

    del stack
    classes = tuple(map(str, range(model.classes)))
    network = architectures.make(model.architecture, model.image_shape, classes, data.preprocessing, **model.arguments)
    return _epochs(NumpyLearner(initialized(network, seed=0), data, recipe), data, recipe)


def _epochs(learner: "Learner", data: "TrainingData", recipe: "Recipe") -> Epoch:
    from compresslab.train.loop import batches

    def epoch(number: int) -> None:
        for positions in batches(len(data.training.labels), recipe.batch, 0, number):
            learner.step(positions, RATE)
        learner.running()

    return epoch


def _dataloader(model: Model, data: "TrainingData", recipe: "Recipe", stack: ExitStack) -> Epoch:
    """Items as torchvision's ToTensor and Normalize make them, which the tutorials use."""
    import torch
    from torch.utils.data import Dataset

    del stack
    images, labels = data.training.images, data.training.labels
    mean, std = (torch.tensor(values)[:, None, None] for values in (data.preprocessing.mean, data.preprocessing.std))

    class Images(Dataset[tuple[torch.Tensor, int]]):
        def __len__(self) -> int:
            return len(labels)

        def __getitem__(self, position: int) -> tuple[torch.Tensor, int]:
            pixels = torch.from_numpy(images[position].transpose(2, 0, 1)).contiguous()
            return pixels.float().div(255).sub_(mean).div_(std), int(labels[position])

    return _plain_epochs(_module(model), Images(), recipe)


def _dataloader_tensors(model: Model, data: "TrainingData", recipe: "Recipe", stack: ExitStack) -> Epoch:
    import torch
    from torch.utils.data import TensorDataset

    del stack
    images = data.preprocessing.normalize(data.training.images).transpose(0, 3, 1, 2).copy()
    return _plain_epochs(_module(model), TensorDataset(*map(torch.from_numpy, (images, data.training.labels))), recipe)


def _plain_epochs(module: "torch.nn.Module", samples: Any, recipe: "Recipe") -> Epoch:
    """Return the loop of PyTorch's tutorials, with everything as PyTorch has it by default."""
    import torch
    from torch.utils.data import DataLoader

    torch.set_num_threads(1)
    loader = DataLoader(samples, batch_size=recipe.batch, shuffle=True)
    name = {"adam": "Adam", "adamw": "AdamW", "sgd": "SGD"}[recipe.optimizer.name]
    optimizer = getattr(torch.optim, name)(module.parameters(), lr=RATE)
    loss_function = torch.nn.CrossEntropyLoss()

    def epoch(number: int) -> float:
        del number
        running = 0.0
        for pixels, labels in loader:
            optimizer.zero_grad()
            loss = loss_function(module(pixels), labels)
            loss.backward()
            optimizer.step()
            running += loss.item()
        return running

    return epoch


def _module(model: Model) -> "torch.nn.Module":
    import torch

    from compresslab.models.torch.artifact import build

    torch.manual_seed(0)
    return build(model.architecture, model.image_shape, model.classes, **model.arguments).train()


LOOPS = {OURS: _ours, "dataloader": _dataloader, "dataloader-tensors": _dataloader_tensors, NUMPY: _numpy}


def _arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "models", nargs="*", default=["gapcnn", "lenet5"], choices=[*MODELS, ["gapcnn", "lenet5"]],
        metavar="MODEL", help=f"any of {', '.join(MODELS)} (default: gapcnn lenet5)",
    )  # fmt: skip
    parser.add_argument("--images", type=int, help="images of an epoch (default: fewer for larger models)")
    parser.add_argument("--batch", type=int, default=64, help="images of a batch (default: 64)")
    parser.add_argument("--optimizer", default="adam", choices=["adam", "adamw", "sgd"], help="default: adam")
    parser.add_argument("--rounds", type=int, default=9, help="rounds of all loops (default: 9)")
    parser.add_argument(
        "--clock", default="wall", choices=CLOCKS, help="cpu: the process's own time, where others use the machine, too"
    )
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
