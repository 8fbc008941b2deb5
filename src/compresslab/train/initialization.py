"""First weights that do not depend on the framework: the same layer gets the same bits everywhere.

Frameworks can only be compared on the same work when they start from the same point. PyTorch, TensorFlow and NumPy
each ask here for the weights of a layer by its name and shape.
"""

import math
import zlib

import numpy as np


def he_normal(layer: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Draw float32 weights of mean 0 and variance 2 / fan-in (He et al. 2015), from ``seed`` and the layer's name.

    ``shape`` is (kh, kw, in, out) for a convolution and (in, out) for a linear layer; the inputs of a flattened feature
    map are in (H, W, C) order. Biases start at zero and are not drawn.
    """
    generator = np.random.default_rng([seed, zlib.crc32(layer.encode())])
    fan_in = math.prod(shape[:-1])
    return (generator.standard_normal(shape) * math.sqrt(2 / fan_in)).astype(np.float32)
