"""A copy of the project to run in, without what runs have made of it."""

import shutil
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
MADE_BY_RUNS = {".git", ".venv", ".snakemake", "results", "data"}
CACHES = shutil.ignore_patterns("__pycache__", ".*_cache")


def private_copy(target: Path) -> Path:
    """Copy the project to ``target`` and return that."""

    def ignored(folder: str, names: list[str]) -> set[str]:
        # The package has a room called data, too: only the project's own folder of that name is left out.
        made_by_runs = MADE_BY_RUNS.intersection(names) if Path(folder) == PROJECT else set()
        return made_by_runs | set(CACHES(folder, names))

    return Path(shutil.copytree(PROJECT, target, ignore=ignored))
