"""Architectures of NumPy networks by their names, which are those of the modules beside this one."""

import importlib
from typing import Any

from compresslab.data.preprocessing import Preprocessing
from compresslab.models.numpy.network import Network


def make(
    architecture: str,
    image_shape: tuple[int, int, int],
    classes: tuple[str, ...],
    preprocessing: Preprocessing,
    **arguments: Any,
) -> Network:
    """Make a float network whose weights are zero; ``arguments`` are the architecture's own.

    Raises ValueError when there is no such architecture, or when the images or arguments do not suit it.
    """
    name = f"{__package__}.{architecture.replace('-', '_')}"
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise ValueError(f"there is no NumPy architecture {architecture!r} in compresslab/models/numpy") from error
    layers = module.build(image_shape, len(classes), **arguments)
    return Network("float", image_shape, preprocessing, classes, layers)
