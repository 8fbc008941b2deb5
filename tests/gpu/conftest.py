"""Tests on a real GPU. Without one all of them are skipped, and say why."""

from pathlib import Path

import pytest
import torch

from compresslab.engines import torch_cuda
from compresslab.train import gpus

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = torch_cuda.unavailable()
    for item in items:
        if reason and HERE in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def gpu() -> torch.device:
    """The GPU that this process holds until it ends."""
    device = torch.device("cuda", gpus.one_until_the_end())
    torch.cuda.set_device(device)
    return device
