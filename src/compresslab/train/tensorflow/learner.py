"""Training of a classifier in TensorFlow: the whole data set as one tensor, the same bits every time.

``hardware.take_device`` comes first, with the recipe's device and threads: TensorFlow cannot change them later.
"""

import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load as from_safetensors
from safetensors.numpy import save as to_safetensors

from compresslab.config.training import Optimization, Recipe
from compresslab.data.prepared import Split
from compresslab.data.preprocessing import Preprocessing
from compresslab.models.tensorflow.framework import device, keras, tf
from compresslab.train import checkpoint
from compresslab.train.initialization import he_normal
from compresslab.train.loop import Score, TrainingData, TrainingResult, log_line, run
from compresslab.train.tensorflow.optimizers import make_optimizer

EVALUATION_BATCH = 1000


def train(
    network: keras.Model,
    data: TrainingData,
    recipe: Recipe,
    seed: int,
    state: Path,
    fingerprint: str,
    log: checkpoint.Log = log_line,
) -> TrainingResult:
    """Initialize ``network`` from ``seed`` and train it in place.

    The network takes normalized float32 (N, H, W, C) and returns logits (N, classes). See ``loop.run`` for state,
    fingerprint and history.
    """
    initialize(network, recipe.initialization, seed)
    return fine_tune(network, data, recipe, seed, state, fingerprint, log)


def fine_tune(
    network: keras.Model,
    data: TrainingData,
    recipe: Optimization,
    seed: int,
    state: Path,
    fingerprint: str,
    log: checkpoint.Log = log_line,
    callback: keras.callbacks.Callback | None = None,
) -> TrainingResult:
    """Train ``network`` on from the weights that it has.

    Of a Keras ``callback``, the start of the training and the ends of the epochs are called.
    """
    # Process-wide and for good: a process that trains does nothing else.
    tf.config.experimental.enable_op_determinism()
    tf.random.set_seed(seed)
    learner = TensorFlowLearner(network, data, recipe, callback)
    # With `auto` a restart may find another device, whose sums have other bits.
    fingerprint = f"{fingerprint} on {device()}"
    result = run(learner, data.training.images, recipe, seed, state, fingerprint, log)
    return replace(result, conditions={"device": device()})


def initialize(network: keras.Model, initialization: str, seed: int) -> None:
    """Set all weights from ``seed``: ``framework`` as Keras draws them, ``he`` as ``he_normal`` does, biases zero."""
    for layer in network.layers:
        for weight in layer.weights:
            role = weight.name.rpartition("/")[2].partition(":")[0]
            if initialization == "he" and role == "kernel":
                weight.assign(he_normal(layer.name, tuple(weight.shape), seed))
            elif initialization == "he":
                weight.assign(tf.zeros_like(weight))
            else:
                weight.assign(_drawn(layer, role, weight.shape, seed))


class TensorFlowLearner:
    """A network with its optimizer and both data, its steps compiled to graphs."""

    def __init__(
        self,
        network: keras.Model,
        data: TrainingData,
        recipe: Optimization,
        callback: keras.callbacks.Callback | None = None,
    ) -> None:
        self._network = network
        self._training = _Samples(data.training, data.preprocessing)
        self._validation = _Samples(data.validation, data.preprocessing)
        self._callback = callback
        if callback is not None:
            callback.set_model(network)
            callback.on_train_begin()
        self._smoothing = recipe.label_smoothing
        # A clustered layer replaces its kernel by a tensor when it is called: the lists are taken before.
        self._weights = list(network.trainable_variables)
        self._optimizer = make_optimizer(self._weights, recipe.optimizer)
        self._state = [*network.variables, *self._optimizer.state]
        self._mean = _Mean()
        positions, number = tf.TensorSpec([None], tf.int64), tf.TensorSpec([], tf.float64)
        self._update = tf.function(self._updated, input_signature=[positions, number], autograph=False)
        self._evaluate = tf.function(self._evaluated, input_signature=[positions], autograph=False)

    def show(self, images: np.ndarray) -> None:
        """Take other views of the training images, uint8 (N, H, W, C)."""
        self._training.images.assign(images)

    def step(self, positions: np.ndarray, learning_rate: float) -> None:
        """Update the weights once, by the training images at ``positions`` (int64)."""
        self._update(tf.constant(positions, tf.int64), tf.constant(learning_rate, tf.float64))

    def running(self) -> Score:
        """Return the score over the steps since the last call."""
        return self._mean.taken()

    def validate(self) -> Score:
        """Return the score on the validation split, after what the callback does at the end of an epoch."""
        if self._callback is not None:
            self._callback.on_epoch_end(0)
        count = len(self._validation)
        for start in range(0, count, EVALUATION_BATCH):
            self._evaluate(tf.range(start, min(start + EVALUATION_BATCH, count), dtype=tf.int64))
        return self._mean.taken()

    def snapshot(self) -> bytes:
        """Return all variables of network, wrappers and optimizer; batches and random numbers need no state."""
        return to_safetensors({str(number): np.asarray(variable) for number, variable in enumerate(self._state)})

    def restore(self, snapshot: bytes) -> None:
        """Go back to where a snapshot was taken."""
        values = from_safetensors(snapshot)
        for number, variable in enumerate(self._state):
            variable.assign(values[str(number)])

    def _updated(self, positions: Any, rate: Any) -> None:
        images, labels = self._training.batch(positions)
        with tf.GradientTape() as tape:
            logits = self._network(images, training=True)
            loss = self._loss(logits, labels)
        self._optimizer.apply(tape.gradient(loss, self._weights), rate)
        self._mean.add(loss, logits, labels)

    def _evaluated(self, positions: Any) -> None:
        images, labels = self._validation.batch(positions)
        logits = self._network(images, training=False)
        self._mean.add(self._loss(logits, labels), logits, labels)

    def _loss(self, logits: Any, labels: Any) -> Any:
        """Return the mean cross-entropy; smoothing gives every class its share, the right one too, as in PyTorch."""
        classes = logits.shape[-1]
        targets = tf.one_hot(labels, classes) * (1 - self._smoothing) + self._smoothing / classes
        return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(targets, logits))


class _Samples:
    """A split on the training device: uint8 images (N, H, W, C) and int64 labels (N,)."""

    def __init__(self, split: Split, preprocessing: Preprocessing) -> None:
        # A variable, since a compiled step keeps a constant for good.
        self.images = tf.Variable(split.images, trainable=False)
        self._labels = tf.constant(split.labels.astype(np.int64))
        self._mean = tf.constant(preprocessing.mean, tf.float32)
        self._std = tf.constant(preprocessing.std, tf.float32)

    def __len__(self) -> int:
        return len(self._labels)

    def batch(self, positions: Any) -> tuple[Any, Any]:
        """Return normalized images (bit for bit those of ``Preprocessing.normalize``) and labels."""
        # The images stay uint8 until here: four times less memory, and faster to gather than float32.
        images = tf.cast(tf.gather(self.images, positions), tf.float32)
        return (images / 255 - self._mean) / self._std, tf.gather(self._labels, positions)


class _Mean:
    """Loss and accuracy over many batches; sums stay on the device, so that no batch waits for them."""

    def __init__(self) -> None:
        self._loss = tf.Variable(0, dtype=tf.float64, trainable=False)
        self._correct = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._count = tf.Variable(0, dtype=tf.int64, trainable=False)

    def add(self, loss: Any, logits: Any, labels: Any) -> None:
        count = tf.size(labels, tf.int64)
        self._loss.assign_add(tf.cast(loss, tf.float64) * tf.cast(count, tf.float64))
        self._correct.assign_add(tf.math.count_nonzero(tf.argmax(logits, 1) == labels))
        self._count.assign_add(count)

    def taken(self) -> Score:
        """Return the score and start anew."""
        count = int(self._count)
        score = Score(float(self._loss) / count, 100 * int(self._correct) / count)
        for variable in (self._loss, self._correct, self._count):
            variable.assign(tf.zeros_like(variable))
        return score


def _drawn(layer: Any, role: str, shape: Any, seed: int) -> Any:
    """Draw a weight by the layer's own initializer, seeded by ``seed`` and the layer's name."""
    initializer = getattr(layer, f"{role}_initializer")
    settings = initializer.get_config()
    if "seed" in settings:
        settings["seed"] = zlib.crc32(f"{seed} {layer.name}".encode()) % 2**31
    return type(initializer).from_config(settings)(shape)
