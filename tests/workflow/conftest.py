"""One small run of everything, shared by the tests that look at what it left behind."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from running import ONE_LAB, SMALLER, Run, watched_run


@pytest.hookimpl(tryfirst=True)  # Before xdist reads the groups.
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Side by side, tests of one file stay together, and so do all that look at the small run: it runs once."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            shared = "tiny_run" in getattr(item, "fixturenames", ())
            item.add_marker(pytest.mark.xdist_group("tiny_run" if shared else item.path.stem))


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory, copy_project: Callable[[Path], Path]) -> Run:
    """Everything that the workflow makes, from embedded data to reports; tests only read it."""
    return watched_run(copy_project(tmp_path_factory.mktemp("tiny") / "compresslab"), ONE_LAB, *SMALLER)


@pytest.fixture
def run_to_spoil(tiny_run: Run, tmp_path: Path) -> Path:
    """A copy of the project with its finished run, to be damaged."""
    copy = tmp_path / "compresslab"
    shutil.copytree(tiny_run.project, copy, symlinks=True)
    return copy
