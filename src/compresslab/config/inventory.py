"""What the package holds, read from its file names.

Importing a dataset, an architecture or an engine to learn its name would import its framework. The file
name *is* the name that `config.yaml` uses, and a module counts when it defines the function that makes it one:
reading the folder is enough, and a new module is known at once.
"""

import ast
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


def datasets(source: str = "upstream") -> list[str]:
    """Names of the datasets that a source has: modules that can read the raw files, or generate a stand-in."""
    return _modules(f"data/{_folder_of(source)}", "def read(")


def dataset_module(name: str, source: str) -> str:
    """Module behind a dataset: `compresslab.data.datasets.mnist`."""
    return f"compresslab.data.{_folder_of(source)}.{module_name(name)}"


def engines() -> list[str]:
    """Names of the engines: modules of `compresslab/engines` that can open a model."""
    return _modules("engines", "def open_model(")


def architectures(framework: str) -> list[str]:
    """Names of the architectures of one framework: modules of `compresslab/models/<framework>` that build one."""
    return _modules(f"models/{framework}", "def build(image_shape")


def methods() -> list[str]:
    """Names of the methods: modules of `compresslab/config/methods` that define parameters."""
    return _modules("config/methods", "class Parameters(")


def figures() -> list[str]:
    """Names of the figures: modules of `compresslab/report/figures` that draw one."""
    return _modules("report/figures", "def draw(")


def figure_needs(name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Tables that a figure reads, and what else it needs: its `TABLES` and `KINDS`, read without importing it."""
    source = (PACKAGE / "report" / "figures" / f"{module_name(name)}.py").read_text(encoding="utf-8")
    constants: dict[str, tuple[str, ...]] = {}
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            names = [target.id for target in targets if isinstance(target, ast.Name)]
            if names in (["TABLES"], ["KINDS"]):
                constants[names[0]] = ast.literal_eval(statement.value)
    return constants["TABLES"], constants["KINDS"]


def module_name(name: str) -> str:
    """`torch-compile` in the configuration is `torch_compile` in Python."""
    return name.replace("-", "_")


@cache
def _modules(folder: str, definition: str) -> list[str]:
    files = (PACKAGE / folder).glob("[a-z]*.py")
    return sorted(
        file.stem.replace("_", "-") for file in files if f"\n{definition}" in file.read_text(encoding="utf-8")
    )


def _folder_of(source: str) -> str:
    return "embedded" if source == "embedded" else "datasets"
