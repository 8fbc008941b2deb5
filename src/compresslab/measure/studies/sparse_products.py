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

from compresslab.measure.cost import sparse_bytes
from compresslab.measure.intervals import Interval, paired_ratio, round_quantile_interval
from compresslab.measure.steady import sample
from compresslab.models.numpy.network import WEIGHTED, Network, load

READS = ("numpy",)
"""What the variant that is studied may hold."""

BATCHES = (1, 256)
SPARSITIES_PERCENT = (0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 98, 99)


@dataclass(frozen=True)
class Effort:
    """How long each product is timed in every round, dense and sparse in turns: ten calls and ``seconds``, at least.

    ``longest_s`` ends the calls of a slow product before.
    """

    rounds: int = 5
    seconds: float = 0.02
    longest_s: float = 0.2


@dataclass(frozen=True)
class Product:
    """The matrix product behind a layer: float32 weights (out, in) and the columns that one image brings."""

    layer: str
    weights: np.ndarray
    columns_per_image: int


def study(path: Path, effort: Effort) -> Iterator[Mapping[str, Any]]:
    """Yield one row of ``sparse_products.csv`` per layer, batch and sparsity, without its identity columns."""
    for product in products(load(path)):
        for batch in BATCHES:
            inputs = _inputs(product.weights.shape[1], batch * product.columns_per_image)
            for percent in SPARSITIES_PERCENT:
                weights = without_smallest(product.weights, percent / 100)
                yield {
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
    sides = {"dense": lambda _: weights @ operand, "sparse": lambda _: sparse @ operand}
    times: dict[str, list[np.ndarray]] = {side: [] for side in sides}
    for _ in range(effort.rounds):
        for side, call in sides.items():
            call(0)
            taken = sample(call, calls=10, seconds=effort.seconds, longest_s=effort.longest_s)
            times[side].append(taken / 1e6)
    samples = {side: np.concatenate(parts) for side, parts in times.items()}
    rounds = {side: np.repeat(np.arange(effort.rounds), [len(part) for part in parts]) for side, parts in times.items()}
    columns = {side: round_quantile_interval(samples[side], rounds[side]) for side in sides}
    ratio = paired_ratio(samples["sparse"], rounds["sparse"], samples["dense"], rounds["dense"])
    return (
        _columns("dense", "_ms", columns["dense"])
        | _columns("sparse", "_ms", columns["sparse"])
        | _columns("sparse_to_dense_ratio", "", ratio)
    )


def _columns(name: str, unit: str, interval: Interval) -> dict[str, float]:
    """``name``, ``name_low`` and ``name_high``, each with its unit."""
    values = {"": interval.estimate, "_low": interval.low, "_high": interval.high}
    return {f"{name}{end}{unit}": value for end, value in values.items()}
