"""What the package holds, read from its file names.

Importing a dataset, an architecture or an engine to learn its name would import its framework. The file
name *is* the name that `config.yaml` uses, and a module counts when it defines the function that makes it one:
reading the folder is enough, and a new module is known at once.
"""

import ast
import keyword
from functools import cache
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parents[1]

IN_EVERY_LAB = ("costs", "cost_layers", "latency", "speed")
"""Tables that have rows whatever a lab studies."""

SHAPE = "image_shape"
"""First argument of every architecture."""


def datasets(source: str = "upstream") -> list[str]:
    """Names of the datasets that a source has: modules that can read the raw files, or generate a stand-in."""
    return _modules(f"data/{_folder_of(source)}", "def read(")


def dataset_module(name: str, source: str) -> str:
    """Module behind a dataset: `compresslab.data.datasets.mnist`."""
    return f"compresslab.data.{_folder_of(source)}.{module_name(name)}"


def raw_name(name: str) -> str:
    """Dataset whose raw files a dataset reads: its `RAW`, read without importing it, or the dataset itself."""
    module = PACKAGE / "data" / "datasets" / f"{module_name(name)}.py"
    if not module.is_file():
        return name
    for statement in ast.parse(module.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "RAW":
            return str(ast.literal_eval(statement.value))
    return name


@cache
def task_of(name: str, source: str) -> str:
    """What a dataset asks of a network, its `TASK`: `classification`, or `segmentation` where it says so."""
    return _task(f"data/{_folder_of(source)}/{module_name(name)}.py")


@cache
def task_of_architecture(name: str, framework: str) -> str:
    """What an architecture answers, its `TASK`: `classification`, or `segmentation` where it says so."""
    return _task(f"models/{framework}/{module_name(name)}.py")


def engines() -> list[str]:
    """Names of the engines: modules of `compresslab/engines` that can open a model."""
    return _modules("engines", "def open_model(")


@cache
def engine_device(name: str) -> str:
    """What an engine computes on, its `DEVICE`: `cpu`, or `cuda` where it says so; read without importing it."""
    return str(_constants(f"engines/{module_name(name)}.py", "DEVICE").get("DEVICE", "cpu"))


@cache
def architectures(framework: str) -> list[str]:
    """Names of the architectures of one framework: modules whose `build` starts from the shape of an image."""
    return [name for name in _modules(f"models/{framework}", "def build(") if _built_from(framework, name)[0] == SHAPE]


def architecture_module(name: str, framework: str = "torch") -> str:
    """Module of an architecture in a framework, which is loaded by name: `compresslab.models.torch.lenet5`."""
    return f"compresslab.models.{framework}.{module_name(name)}"


def architecture_arguments(framework: str, name: str) -> list[str]:
    """Names of an architecture's own settings: what its `build` takes beside image shape and classes."""
    return [argument for argument in _built_from(framework, name) if argument not in (SHAPE, "classes")]


def methods() -> list[str]:
    """Names of the methods: modules of `compresslab/config/methods` that define parameters."""
    return _modules("config/methods", "class Parameters(")


def studies() -> list[str]:
    """Names of the studies: modules of `compresslab/config/studies` that define settings."""
    return _modules("config/studies", "class Settings(")


def study_module(name: str) -> str:
    """Module that measures a study: `compresslab.measure.studies.sparse_products`."""
    return f"compresslab.measure.studies.{module_name(name)}"


def figures() -> list[str]:
    """Names of the figures: modules of `compresslab/report/figures` that draw one."""
    return _modules("report/figures", "def draw(")


@cache
def figure_needs(name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Tables that a figure reads, and what else it needs: its `TABLES` and `KINDS`, read without importing it."""
    constants = _constants(f"report/figures/{module_name(name)}.py", "TABLES", "KINDS")
    return constants["TABLES"], constants["KINDS"]


@cache
def figure_shows(name: str, empty: frozenset[str]) -> bool:
    """Whether a figure can show something when these tables are empty.

    One of its tables that are not is enough, but not one that every lab fills: unless its ``ENOUGH`` names that.
    """
    constants = _constants(f"report/figures/{module_name(name)}.py", "TABLES", "ENOUGH")
    telling = constants.get("ENOUGH", tuple(table for table in constants["TABLES"] if table not in IN_EVERY_LAB))
    return not constants["TABLES"] or not empty.issuperset(telling or constants["TABLES"])


def module_name(name: str) -> str:
    """`torch-compile` in the configuration is `torch_compile` in Python, and `import`, a word of Python, `import_`."""
    return name.replace("-", "_") + ("_" if keyword.iskeyword(name) else "")


def _constants(file: str, *wanted: str) -> dict[str, Any]:
    """The named constants of a module, read without importing it."""
    constants: dict[str, Any] = {}
    for statement in ast.parse((PACKAGE / file).read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            names = [target.id for target in targets if isinstance(target, ast.Name)]
            if len(names) == 1 and names[0] in wanted:
                constants[names[0]] = ast.literal_eval(statement.value)
    return constants


def _task(file: str) -> str:
    """The task that a module names, read without importing it; a file that is not there is told of elsewhere."""
    there = (PACKAGE / file).is_file()
    return str(_constants(file, "TASK").get("TASK", "classification")) if there else "classification"


def _built_from(framework: str, name: str) -> list[str]:
    """Names of the arguments of an architecture's `build`."""
    source = (PACKAGE / "models" / framework / f"{module_name(name)}.py").read_text(encoding="utf-8")
    (build,) = (node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef) and node.name == "build")
    return [argument.arg for argument in [*build.args.args, *build.args.kwonlyargs]]


@cache
def _modules(folder: str, definition: str) -> list[str]:
    files = (PACKAGE / folder).glob("[a-z]*.py")
    return sorted(
        file.stem.rstrip("_").replace("_", "-")
        for file in files
        if f"\n{definition}" in file.read_text(encoding="utf-8")
    )


def _folder_of(source: str) -> str:
    return "embedded" if source == "embedded" else "datasets"
