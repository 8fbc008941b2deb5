"""The study of sparse products: the right matrices, the right zeros, the right bytes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from compresslab.config.studies.sparse_products import Settings
from compresslab.data.preprocessing import Preprocessing
from compresslab.measure.cost import sparse_bytes
from compresslab.measure.in_turns import Effort
from compresslab.measure.studies.sparse_products import (
    BATCHES,
    SPARSITIES_PERCENT,
    products,
    study,
    without_smallest,
)
from compresslab.models.numpy.forward import forward, patches
from compresslab.models.numpy.network import Layer, Network, save
from compresslab.tables.schemas import TABLES


@pytest.fixture
def network() -> Network:
    random = np.random.default_rng(0)

    def weighted(*shape: int) -> dict[str, np.ndarray]:
        return {"weight": random.standard_normal(shape, np.float32), "bias": np.zeros(shape[-1], np.float32)}

    layers = (
        Layer("conv1", "conv2d", "relu", arrays=weighted(3, 3, 1, 4)),
        Layer("pool1", "max_pool", size=2, stride=2),
        Layer("fc1", "linear", arrays=weighted(36, 5)),
    )
    return Network("float", (8, 8, 1), Preprocessing((0.0,), (1.0,)), tuple("abcde"), layers)


def test_a_product_is_what_the_layer_computes(network: Network) -> None:
    image = np.random.default_rng(1).standard_normal((1, 8, 8, 1), np.float32)
    first, second = products(network)
    assert [(product.layer, product.columns_per_image) for product in (first, second)] == [("conv1", 36), ("fc1", 1)]
    steps = {step.layer.name: step for step in forward(network, image)}
    columns = patches(image, (3, 3), 1).reshape(36, 9).T
    expected = steps["conv1"].preactivation.reshape(36, 4).T
    np.testing.assert_allclose(first.weights @ columns, expected, atol=1e-5)
    np.testing.assert_allclose(second.weights @ steps["pool1"].output.ravel(), steps["fc1"].output[0], atol=1e-5)


def test_every_layer_batch_and_sparsity_is_a_row_of_the_table(network: Network, tmp_path: Path) -> None:
    save(network, tmp_path / "model.npz")
    settings = Settings(of="lenet5/numpy-fp32")
    models = {"lenet5/numpy-fp32": tmp_path / "model.npz"}
    frame = pd.DataFrame(study(settings, models, Effort(rounds=2, seconds=1e-5)))
    assert len(frame) == 2 * len(BATCHES) * len(SPARSITIES_PERCENT)
    assert (set(frame["model"]), set(frame["variant"])) == ({"lenet5"}, {"numpy-fp32"})
    identity = dict.fromkeys(("lab", "host"), "x")
    valid = TABLES["sparse_products"].validated(frame.assign(**identity))
    assert (valid["sparse_bytes"] <= valid["dense_bytes"]).all()
    assert (valid["sparse_to_dense_ratio_low"] <= valid["sparse_to_dense_ratio"]).all()
    assert (valid["sparse_to_dense_ratio"] <= valid["sparse_to_dense_ratio_high"]).all()
    sparsest = valid[valid["sparsity_percent"] == 99]
    assert (sparsest["sparse_bytes"] < sparsest["dense_bytes"] / 3).all()


@given(st.integers(1, 40), st.integers(1, 40), st.floats(0, 1), st.integers(0, 9))
def test_sparse_bytes_are_those_of_scipy_or_of_the_dense_matrix(
    rows: int, columns: int, share: float, seed: int
) -> None:
    dense = np.random.default_rng(seed).standard_normal((rows, columns)).astype(np.float32)
    pruned = without_smallest(dense, share)
    assert np.count_nonzero(pruned == 0) >= round(share * dense.size)
    sparse = csr_array(pruned)
    # SciPy's indices have 32 bits each; for so few columns 16 are enough.
    in_rows = sparse.data.nbytes + sparse.indices.nbytes // 2 + sparse.indptr.nbytes
    assert sparse_bytes(pruned) == min(dense.nbytes, in_rows)


def test_zero_points_are_the_zeros_of_quantized_weights() -> None:
    codes = np.full((100, 300), 7, np.int8)
    codes[0, :3] = 5
    assert sparse_bytes(codes, 7) == 3 * (1 + 2) + 4 * 101
    assert sparse_bytes(codes) == codes.nbytes
