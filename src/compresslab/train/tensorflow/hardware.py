"""What a training in TensorFlow takes of its host: threads, and no GPU or one that nobody else has."""

from compresslab.models.tensorflow import framework
from compresslab.train import gpus


def take_device(device: str, threads: int) -> None:
    """Configure this process as ``framework.configure`` does; a GPU is its own until it ends.

    Raises ValueError as that does.
    """
    position = gpus.one_until_the_end() if device != "cpu" and framework.sees_gpus() else 0
    framework.configure(device, threads, position)
