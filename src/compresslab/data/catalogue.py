"""The datasets that the workflow knows, found by the names of their modules.

Nothing is listed by hand and nothing is imported until it is asked for: dropping a module into ``datasets/`` adds a
dataset, and touches no other one's jobs.
"""

import importlib
import pkgutil
from difflib import get_close_matches
from pathlib import Path
from typing import cast

from compresslab.data.card import Source
from compresslab.data.dataset import Dataset
from compresslab.data.errors import DataError

_HERE = Path(__file__).parent


def dataset_names(source: Source = "upstream") -> tuple[str, ...]:
    """Names of the datasets that can come from ``source``, sorted; no dataset module is imported."""
    modules = pkgutil.iter_modules([str(_HERE / _package(source))])
    return tuple(sorted(module.name.replace("_", "-") for module in modules))


def entry_module(dataset: str, source: Source) -> str:
    """Name of the module behind a dataset: ``compresslab.data.datasets.mnist``.

    Raises DataError, with the names there are, for an unknown dataset.
    """
    names = dataset_names(source)
    if dataset not in names:
        nearest = get_close_matches(dataset, names, n=1)
        hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
        raise DataError(f"no dataset {dataset!r} from source {source}: there are {', '.join(names)}{hint}")
    return f"compresslab.data.{_package(source)}.{dataset.replace('-', '_')}"


def open_dataset(dataset: str, source: Source) -> Dataset:
    """Import the module behind a dataset; raises DataError for an unknown one."""
    return cast(Dataset, importlib.import_module(entry_module(dataset, source)))


def _package(source: Source) -> str:
    return "embedded" if source == "embedded" else "datasets"
