"""How fast a step of segmentation trains on a GPU, against the same step with PyTorch's own gradients and layout.

    python benchmarks/gpu_training.py --json gpu-training.json

Both train the same network in float32 with deterministic algorithms, on images of 256 x 512 pixels of noise in batches
of 8, with all three losses and other views of every image:

own      as the package trains: with ``train/torch/gradients.py``, and the layout that ``train/torch/layout.py`` chooses
pytorch  without these gradients, and with channels last

They take turns, round by round, in the same process on the same GPU. A ratio above 1 says that the package's own way is
faster: the median over rounds of the ratio within a round, with a bootstrap interval of 95 %. The first round warms up
and is not counted.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from compresslab.artifacts import write_json
from compresslab.config.training import Recipe
from compresslab.data.masks import VOID
from compresslab.data.prepared import Split
from compresslab.data.preprocessing import Preprocessing
from compresslab.measure.intervals import round_interval
from compresslab.models.torch.artifact import build
from compresslab.train.loop import TrainingData, TrainingError
from compresslab.train.torch import learner as learners
from compresslab.train.torch.gradients import own_gradients
from compresslab.train.torch.hardware import deterministic, keep_freed_memory, one_device
from compresslab.train.torch.layout import laid_out
from compresslab.train.torch.learner import TorchLearner, initialize

CLASSES, IMAGES, RATE = 8, 16, 0.001
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "efficient-unet": ("efficient-unet", {}),
    "slim-w12-d3-k3-pixels": (
        "efficient-unet",
        {"base_channels": 12, "depth": 3, "kernel": 3, "reduction": 2, "reading": "pixels"},
    ),
    "fcn": ("fcn", {}),
    "deeplabv3": ("deeplabv3", {}),
    "unet": ("unet", {}),
}
RECIPE = Recipe.model_validate(
    {
        "batch": 8,
        "optimizer": {"name": "adam", "lr": RATE},
        "augmentation": "scenes",
        "loss": {"cross_entropy": 1.0, "dice": 1.0, "lovasz": 0.5},
    }
)


def main() -> None:
    """Print and write a row per network."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument(
        "networks",
        nargs="*",
        default=list(NETWORKS),
        choices=[*NETWORKS, list(NETWORKS)],
        metavar="NETWORK",
        help=", ".join(NETWORKS),
    )
    options.add_argument(
        "--device", default="cuda", help="cuda; on the CPU both ways are nearly the same (%(default)s)"
    )
    options.add_argument("--rounds", type=int, default=12, help="rounds that count (%(default)s)")
    options.add_argument("--steps", type=int, default=6, help="steps in a round (%(default)s)")
    options.add_argument("--size", type=int, nargs=2, default=(256, 512), metavar=("HEIGHT", "WIDTH"))
    options.add_argument("--json", type=Path, help="where to write the rows")
    given = options.parse_args()
    try:
        with one_device(given.device, print) as device, deterministic(threads=2):
            keep_freed_memory()
            rows = [measured(name, device, given) for name in given.networks]
            named = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    except TrainingError as error:
        options.error(str(error))
    if given.json:
        write_json(given.json, {"device": named, "torch": torch.__version__, "size": given.size, "rows": rows})


def measured(name: str, device: torch.device, given: argparse.Namespace) -> dict[str, Any]:
    """Time rounds of both ways in turns; return a step's medians in milliseconds and their ratio with interval."""
    times: dict[str, list[float]] = {way: [] for way in WAYS}
    with ExitStack() as stack:
        steps = {way: stack.enter_context(prepare(name, device, given.size)) for way, prepare in WAYS.items()}
        for number in tqdm(range(given.rounds + 1), name, leave=False):
            for way in times if number % 2 else reversed(times):
                spent = seconds(steps[way], given.steps, device)
                times[way] += [spent] if number else []
    own, pytorch = (np.array(times[way]) for way in ("own", "pytorch"))
    ratio = round_interval(pytorch / own)
    row = {
        "network": name,
        "own_step_ms": 1000 * float(np.median(own)),
        "pytorch_step_ms": 1000 * float(np.median(pytorch)),
    }
    row |= {"ratio": ratio.estimate, "ratio_low": ratio.low, "ratio_high": ratio.high}
    print("  ".join(f"{key} {value:.3g}" if isinstance(value, float) else str(value) for key, value in row.items()))
    return row


@contextmanager
def with_own_gradients(name: str, device: torch.device, size: tuple[int, int]) -> Iterator[Callable[[], None]]:
    """Yield a step as the package trains."""
    network, data = made(name, size)
    with laid_out(network, device), own_gradients(network, device):
        yield step_of(TorchLearner(network.to(device), data, RECIPE, device))


@contextmanager
def with_gradients_of_pytorch(name: str, device: torch.device, size: tuple[int, int]) -> Iterator[Callable[[], None]]:
    """Yield a step of a network with channels last that computes everything by PyTorch's own gradients."""
    network, data = made(name, size)
    network.to(memory_format=torch.channels_last)
    # Images have the network's layout.
    with mock.patch.object(learners, "layout_of", return_value=torch.channels_last):
        learner = TorchLearner(network.to(device), data, RECIPE, device)
    yield step_of(learner)


WAYS = {"own": with_own_gradients, "pytorch": with_gradients_of_pytorch}


def made(name: str, size: tuple[int, int]) -> tuple[nn.Module, TrainingData]:
    """Return the network, always with the same weights, and noise for it to learn, a tenth of it void."""
    architecture, arguments = NETWORKS[name]
    network = build(architecture, (*size, 3), CLASSES, **arguments)
    initialize(network, 0)
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (IMAGES, *size, 3), dtype=np.uint8)
    masks = generator.integers(0, CLASSES, (IMAGES, *size)).astype(np.uint8)
    masks[generator.random(masks.shape) < 0.1] = VOID
    split = Split(images, masks, np.arange(IMAGES))
    return network, TrainingData(split, split, Preprocessing((0.5,) * 3, (0.25,) * 3))


def step_of(learner: TorchLearner) -> Callable[[], None]:
    """Return what trains the learner's network once, on a whole batch."""
    batch = np.arange(RECIPE.batch)
    return lambda: learner.step(batch, RATE)


def seconds(step: Callable[[], None], count: int, device: torch.device) -> float:
    """Return the seconds of one of ``count`` steps, to the end of the last."""
    start = time.perf_counter()
    for _ in range(count):
        step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return (time.perf_counter() - start) / count


if __name__ == "__main__":
    main()
