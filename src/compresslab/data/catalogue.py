"""The datasets that the workflow knows, found by the names of their modules.

Nothing is listed by hand and nothing is imported until it is asked for: dropping a module into ``datasets/`` adds a
dataset, and touches no other one's jobs.
"""

import importlib
from typing import cast

from compresslab.config.inventory import dataset_module, datasets
from compresslab.config.problems import did_you_mean
from compresslab.data.card import Source
from compresslab.data.dataset import Dataset
from compresslab.data.errors import DataError


def open_dataset(dataset: str, source: Source) -> Dataset:
    """Import the module behind a dataset; DataError, with the names there are, for an unknown one."""
    names = datasets(source)
    if dataset not in names:
        raise DataError(
            f"no dataset {dataset!r} from source {source}: there are {', '.join(names)}{did_you_mean(dataset, names)}"
        )
    return cast(Dataset, importlib.import_module(dataset_module(dataset, source)))
