"""What the three TensorFlow engines share: a Keras network on the CPU, called in one way or another."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from compresslab.data.preprocessing import Preprocessing
from compresslab.engines.contract import predict_in_chunks
from compresslab.models.tensorflow.artifact import load
from compresslab.models.tensorflow.framework import configure, keras, tf
from compresslab.models.tensorflow.layers import layer_outputs, tracer

Caller = Callable[[keras.Model], Callable[[Any], Any]]
"""Makes of a network what is called with a batch: the network itself, or a compiled form of it."""


class KerasEngine:
    """A network for inference; ``caller`` says how it is executed."""

    def __init__(self, network: keras.Model, preprocessing: Preprocessing, caller: Caller) -> None:
        self._network = network
        self._preprocessing = preprocessing
        self._caller = caller
        self._call = caller(network)

    def prepare(self, images: np.ndarray) -> Any:
        """Turn uint8 images (N, H, W, C) into a normalized float32 tensor (N, H, W, C)."""
        return tf.constant(self._preprocessing.normalize(images))

    def run(self, native: Any) -> np.ndarray:
        """Return float32 logits (N, classes)."""
        logits: np.ndarray = self._call(native).numpy()
        return logits

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Return float32 logits (N, classes) of uint8 images (N, H, W, C), computed in chunks."""
        return predict_in_chunks(self, images)

    def trace(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Return the float32 output of every layer after its activation; feature maps are (N, H, W, C)."""
        outputs = self._caller(tracer(self._network))(self.prepare(images))
        # Keras gives them back in alphabetical order.
        return {name: outputs[name].numpy() for name in layer_outputs(self._network)}


def open_network(path: Path, threads: int, caller: Caller) -> KerasEngine:
    """Open a ``.safetensors`` network on the CPU for ``threads`` threads.

    Raises ArtifactError when it cannot be used, ValueError when TensorFlow has started with other threads.
    """
    configure("cpu", threads)
    model = load(path)
    return KerasEngine(model.network, model.preprocessing, caller)


def compiled(network: keras.Model, jit_compile: bool) -> Callable[[Any], Any]:
    """Trace ``network`` once, for any batch size.

    The traced function is called itself: choosing among traces would take longer (0.13 ms) than a call of it.
    """
    specification = tf.TensorSpec(network.inputs[0].shape, tf.float32)
    function = tf.function(
        lambda images: network(images, training=False),
        input_signature=[specification],
        jit_compile=jit_compile or None,
        autograph=False,
    )
    concrete: Callable[[Any], Any] = function.get_concrete_function()
    return concrete
