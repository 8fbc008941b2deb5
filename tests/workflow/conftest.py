"""One small run of everything, shared by the tests that look at what it left behind."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from running import ONE_LAB, SMALLER, WATCH, Run, snakemake


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory, copy_project: Callable[[Path], Path]) -> Run:
    """Everything that the workflow makes, from embedded data to reports; tests only read it."""
    folder = tmp_path_factory.mktemp("tiny")
    project = copy_project(folder / "compresslab")
    (project / "config.yaml").write_text(ONE_LAB)
    (project / "src" / "sitecustomize.py").write_text(WATCH)
    loaded = folder / "loaded"
    loaded.mkdir()
    said = snakemake(project, *SMALLER, LOADED_MODULES=str(loaded))
    return Run(project, said, loaded)


@pytest.fixture
def run_to_spoil(tiny_run: Run, tmp_path: Path) -> Path:
    """A copy of the project with its finished run, to be damaged."""
    copy = tmp_path / "compresslab"
    shutil.copytree(tiny_run.project, copy, symlinks=True)
    return copy
