"""What every test shares: one thread per library, the mirror of the real datasets, a private copy of the project."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from compresslab.engines.contract import set_threads

# Before a test imports a framework: tests run side by side, and thread pools that outnumber the cores crawl.
set_threads(1)

PROJECT = Path(__file__).resolve().parent.parent
MADE_BY_RUNS = {".git", ".venv", ".snakemake", "build", "data", "results"}
CACHES = shutil.ignore_patterns("__pycache__", ".*_cache", ".hypothesis", "*.egg-info")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what runs Snakemake, and skip what needs the real datasets when no mirror of them is named."""
    mirror = os.environ.get("COMPRESSLAB_MIRROR")
    without_mirror = pytest.mark.skip(reason="needs the real datasets: set COMPRESSLAB_MIRROR to a mirror directory")
    for item in items:
        if PROJECT / "tests" / "workflow" in item.path.parents:
            item.add_marker("workflow")
        if not mirror and item.get_closest_marker("real_data"):
            item.add_marker(without_mirror)


@pytest.fixture(scope="session")
def mirror() -> Path:
    """The directory that holds the real datasets; only for tests marked `real_data`."""
    return Path(os.environ["COMPRESSLAB_MIRROR"])


@pytest.fixture(scope="session")
def copy_project() -> Callable[[Path], Path]:
    """A function that copies the project, without data or results, to a path of its own."""

    def ignored(directory: str, names: list[str]) -> set[str]:
        made_by_runs = MADE_BY_RUNS.intersection(names) if Path(directory) == PROJECT else set()
        return made_by_runs | set(CACHES(directory, names))

    return lambda target: shutil.copytree(PROJECT, target, ignore=ignored, symlinks=True)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, copy_project: Callable[[Path], Path]) -> Path:
    """A copy of the project to run and to edit; child processes import the package from it."""
    copy = copy_project(tmp_path / "compresslab")
    monkeypatch.setenv("PYTHONPATH", str(copy / "src"))
    return copy
