"""Training of a classifier in nothing but NumPy, on one thread of the CPU or as many as its BLAS was given."""

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from compresslab.config.training import Optimization, Recipe
from compresslab.data.prepared import Split
from compresslab.data.preprocessing import Preprocessing
from compresslab.models.numpy.network import WEIGHTED, Layer, Network
from compresslab.train import checkpoint
from compresslab.train.initialization import he_normal
from compresslab.train.loop import Score, TrainingData, TrainingError, TrainingResult, log_line, run
from compresslab.train.numpy.loss import Loss, cross_entropy
from compresslab.train.numpy.optimizers import make_optimizer
from compresslab.train.numpy.parameters import Parameters
from compresslab.train.numpy.passes import Passes

EVALUATION_BATCH = 128


def train(
    network: Network,
    data: TrainingData,
    recipe: Recipe,
    seed: int,
    state: Path,
    fingerprint: str,
    log: checkpoint.Log = log_line,
) -> tuple[Network, TrainingResult]:
    """Return ``network``, a float one, with weights drawn from ``seed`` and trained.

    Both of the recipe's initializations are He's here. The threads are those that BLAS was given before NumPy was
    imported. See ``loop.run`` for state, fingerprint and history. Raises TrainingError when a GPU is asked for.
    """
    if recipe.device == "cuda":
        raise TrainingError("device: cuda, but NumPy trains on the CPU; use device: cpu or auto")
    learner = NumpyLearner(initialized(network, seed), data, recipe)
    result = run(learner, data.training.images, recipe, seed, state, fingerprint, log)
    return learner.network(), result


def initialized(network: Network, seed: int) -> Network:
    """Return ``network`` with weights of ``he_normal`` and biases that are zero."""
    return replace(network, layers=tuple(_initialized(layer, seed) for layer in network.layers))


class NumpyLearner:
    """A float network that is being trained, with its optimizer and both data."""

    def __init__(self, network: Network, data: TrainingData, recipe: Optimization) -> None:
        self._network = network
        self._parameters = Parameters(network)
        self._optimizer = make_optimizer(recipe.optimizer, self._parameters.values)
        self._smoothing = recipe.label_smoothing
        self._training = _Samples(data.training, data.preprocessing)
        self._validation = _Samples(data.validation, data.preprocessing)
        self._passes: dict[int, Passes] = {}
        self._mean = _Mean()

    def show(self, images: np.ndarray) -> None:
        """Take other views of the training images, uint8 (N, H, W, C)."""
        self._training.show(images)

    def step(self, positions: np.ndarray, learning_rate: float) -> None:
        """Update the weights once, by the training images at ``positions`` (int64)."""
        with _quiet():
            passes = self._for(len(positions))
            loss = self._look(passes, self._training, positions)
            passes.backward(loss.gradient)
            self._optimizer.update(self._parameters.values, self._parameters.gradient, learning_rate)
        self._mean.add(loss, len(positions))

    def running(self) -> Score:
        """Return the score over the steps since the last call."""
        score, self._mean = self._mean.score(), _Mean()
        return score

    def validate(self) -> Score:
        """Return the score on the validation split."""
        mean = _Mean()
        with _quiet():
            for positions in self._validation.parts(EVALUATION_BATCH):
                mean.add(self._look(self._for(len(positions)), self._validation, positions), len(positions))
        return mean.score()

    def network(self) -> Network:
        """Return the network as it is now."""
        return self._parameters.network()

    def snapshot(self) -> bytes:
        """Return the parameters and the optimizer's state as an ``.npz``."""
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, parameters=self._parameters.values, **self._optimizer.state)
        return buffer.getvalue()

    def restore(self, snapshot: bytes) -> None:
        """Go back to where a snapshot was taken; it is read without pickles, which executes nothing."""
        with np.load(io.BytesIO(snapshot), allow_pickle=False) as saved:
            for name, array in {"parameters": self._parameters.values, **self._optimizer.state}.items():
                array[...] = saved[name]

    def _for(self, images: int) -> Passes:
        if images not in self._passes:
            self._passes[images] = Passes(self._network, self._parameters, images)
        return self._passes[images]

    def _look(self, passes: Passes, samples: "_Samples", positions: np.ndarray) -> Loss:
        samples.enter(positions, passes.entering)
        return cross_entropy(passes.forward(), samples.labels[positions], self._smoothing)


class _Samples:
    """A split, its uint8 images laid out so that a batch is one gathering and one transposition."""

    def __init__(self, split: Split, preprocessing: Preprocessing) -> None:
        self.show(split.images)
        self.labels = split.labels.astype(np.int64)
        self._mean, self._std = (
            np.asarray(values, np.float32)[:, np.newaxis, np.newaxis, np.newaxis]
            for values in (preprocessing.mean, preprocessing.std)
        )

    def show(self, images: np.ndarray) -> None:
        """Take ``images``, uint8 (N, H, W, C), as the split's."""
        # Channels first, as the passes have them; uint8, which is four times faster to gather than float32.
        self._pixels = images.transpose(0, 3, 1, 2).reshape(len(images), -1)

    def parts(self, size: int) -> Iterator[np.ndarray]:
        """Yield all positions in order, at most ``size`` at a time."""
        for start in range(0, len(self.labels), size):
            yield np.arange(start, min(start + size, len(self.labels)))

    def enter(self, positions: np.ndarray, entering: np.ndarray) -> None:
        """Write the images at ``positions`` to ``entering`` (C, H, W, N), bit for bit as ``normalize`` makes them."""
        entering.reshape(-1, len(positions))[...] = self._pixels[positions].T
        entering /= np.float32(255)
        entering -= self._mean
        entering /= self._std


class _Mean:
    """Loss and accuracy over many batches."""

    def __init__(self) -> None:
        self._loss, self._correct, self._count = 0.0, 0, 0

    def add(self, loss: Loss, images: int) -> None:
        self._loss += loss.mean * images
        self._correct += loss.correct
        self._count += images

    def score(self) -> Score:
        return Score(self._loss / self._count, 100 * self._correct / self._count)


def _quiet() -> np.errstate:
    """Let a training diverge without warnings: the loop says so, once, when the loss is no longer finite."""
    return np.errstate(over="ignore", invalid="ignore", divide="ignore")


def _initialized(layer: Layer, seed: int) -> Layer:
    if layer.kind not in WEIGHTED:
        return layer
    weight = he_normal(layer.name, layer.weight.shape, seed)
    return replace(layer, arrays={"weight": weight, "bias": np.zeros_like(layer.bias)})
