"""TensorFlow with Keras 2, imported without its start-up lines, and what a process sets once before it computes.

Every module takes ``tf`` and ``keras`` from here: ``keras`` is tf-keras, the Keras that the Model Optimization Toolkit
wraps. Plain ``import keras`` would be Keras 3.
"""

import os

from compresslab.models.quiet import quiet

# TensorFlow reads both while it is imported. Errors come as exceptions too; what it logs beside them is about GPUs
# that are not there.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

with quiet():
    import tensorflow as tf
    import tf_keras as keras

tf.get_logger().setLevel("ERROR")

__all__ = ["configure", "device", "keras", "tf"]


def sees_gpus() -> bool:
    """Whether TensorFlow sees a GPU, which its build may not even where there is one."""
    with quiet():
        return bool(tf.config.list_physical_devices("GPU"))


def configure(device: str, threads: int, position: int = 0) -> None:
    """Use ``threads`` threads, and a GPU or not: ``cpu``, ``cuda``, or ``auto`` for one where there is one.

    Of several GPUs it is the one at ``position``. Call it before anything is computed: TensorFlow starts its threads
    and devices once. Raises ValueError when a GPU is asked for that is not there, or when the process has started with
    other settings.
    """
    with quiet():
        gpus = tf.config.list_physical_devices("GPU")[position:][:1]
    if device == "cuda" and not gpus:
        raise ValueError("device: cuda, but TensorFlow sees no GPU on this host; use device: cpu or auto")
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        # Networks here are chains: there is never a second operation to run beside one.
        tf.config.threading.set_inter_op_parallelism_threads(1)
        tf.config.set_visible_devices([] if device == "cpu" else gpus, "GPU")
        for gpu in [] if device == "cpu" else gpus:
            tf.config.experimental.set_memory_growth(gpu, True)
    except RuntimeError as error:
        raise ValueError(
            f"TensorFlow has started with other threads or devices in this process ({error}); start a new process"
        ) from error


def device() -> str:
    """Return what the process computes on: ``cuda`` or ``cpu``."""
    return "cuda" if tf.config.get_visible_devices("GPU") else "cpu"
