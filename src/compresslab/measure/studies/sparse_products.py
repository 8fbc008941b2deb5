"""How sparse must weights be before a sparse product pays? Every layer of a network, at growing sparsity.

Each weighted layer is the matrix product that inference makes of it: weights (out, in) times inputs (in, n), where n
is the batch, times the output's pixels for a convolution. The smallest weights become zero; SciPy's compressed sparse
rows (CSR) then stand against NumPy's dense product of the very same matrix, in turns, on one thread.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from compresslab.config.studies.sparse_products import Settings
from compresslab.measure.cost import sparse_bytes
from compresslab.measure.in_turns import Effort, in_turns, interval_columns
from compresslab.models.numpy.network import WEIGHTED, Network, load

BATCHES = (1, 256)
SPARSITIES_PERCENT = (0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 98, 99)


@dataclass(frozen=True)
class Product:
    """The matrix product behind a layer: float32 weights (out, in) and the columns that one image brings."""

    layer: str
    weights: np.ndarray
    columns_per_image: int


def study(settings: Settings, models: Mapping[str, Path], effort: Effort) -> Iterator[Mapping[str, Any]]:
    """Yield one row of ``sparse_products.csv`` per layer, batch and sparsity, without lab and host."""
    model, _, variant = settings.of.partition("/")
    for product in products(load(models[settings.of])):
        for batch in BATCHES:
            inputs = _inputs(product.weights.shape[1], batch * product.columns_per_image)
            for percent in SPARSITIES_PERCENT:
                weights = without_smallest(product.weights, percent / 100)
                yield {
                    "model": model,
                    "variant": variant,
                    "layer": product.layer,
                    "batch": batch,
                    "sparsity_percent": percent,
                    "dense_bytes": weights.nbytes,
                    "sparse_bytes": sparse_bytes(weights),
                    **_timed(weights, inputs, effort),
                }


def products(network: Network) -> list[Product]:
    """The products of all weighted layers; a convolution reads its patches (kh * kw * in) as columns."""
    found = []
    for layer in network.layers:
        if layer.kind in WEIGHTED:
            outputs = layer.weight.shape[-1]
            weights = np.ascontiguousarray(layer.weight.reshape(-1, outputs).T)
            found.append(Product(layer.name, weights, prod(network.shapes[layer.name][:-1])))
    return found


def without_smallest(weights: np.ndarray, share: float) -> np.ndarray:
    """Return a copy of ``weights`` whose smallest values, ``share`` (0 to 1) of all, are zero."""
    pruned = weights.copy()
    smallest = np.argsort(np.abs(weights), axis=None, kind="stable")[: round(share * weights.size)]
    pruned.ravel()[smallest] = 0
    return pruned


def _inputs(rows: int, columns: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((rows, columns), dtype=np.float32)


def _timed(weights: np.ndarray, inputs: np.ndarray, effort: Effort) -> dict[str, float]:
    sparse = csr_array(weights)
    # A single column is a vector: both libraries have a faster product for it.
    operand = inputs[:, 0] if inputs.shape[1] == 1 else inputs
    times = in_turns({"dense": lambda _: weights @ operand, "sparse": lambda _: sparse @ operand}, effort)
    return (
        interval_columns("dense", "_ms", times["dense"].median())
        | interval_columns("sparse", "_ms", times["sparse"].median())
        | interval_columns("sparse_to_dense_ratio", "", times["sparse"].ratio_to(times["dense"]))
    )
