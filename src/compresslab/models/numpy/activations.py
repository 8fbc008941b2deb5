"""The float activations, as PyTorch defines them."""

import math

import numpy as np

ACTIVATIONS = ("none", "relu", "selu", "gelu", "swish")

CURVES = ("selu", "gelu", "swish")
"""Activations that integers cannot clamp: they need a table or a piecewise-linear approximation."""

SELU_SCALE = 1.0507009873554804934193349852946
SELU_ALPHA = 1.6732632423543772848170429916717
GELU_CUBIC = 0.044715
GELU_SLOPE = math.sqrt(2 / math.pi)


def activate(values: np.ndarray, activation: str) -> np.ndarray:
    """Return ``activation`` of ``values``, in their floating-point dtype.

    SELU is of Klambauer et al. 2017; GELU is the tanh form of Hendrycks & Gimpel 2016 (PyTorch's
    ``approximate="tanh"``); Swish is ``x sigmoid(x)`` of Ramachandran et al. 2017 (PyTorch's ``SiLU``).
    """
    match activation:
        case "none":
            return values
        case "relu":
            return np.maximum(values, 0)
        case "selu":
            negative = SELU_ALPHA * np.expm1(np.minimum(values, 0))
            return SELU_SCALE * (np.maximum(values, 0) + negative)
        case "gelu":
            inner = GELU_SLOPE * (values + GELU_CUBIC * values**3)
            return 0.5 * values * (1 + np.tanh(inner))
        case "swish":
            # The sigmoid by tanh: exp(-x) would overflow.
            half = 0.5 * values
            return half * (1 + np.tanh(half))
    raise ValueError(f"unknown activation {activation!r}; known are {', '.join(ACTIVATIONS)}")
