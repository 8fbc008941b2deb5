"""The two ways to install, the pip lock and the conda environments, are the same software, and enough of it."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import get_args

import grimp
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from compresslab.config.inventory import dataset_module, datasets, module_name
from compresslab.config.load import load
from compresslab.config.plan import Plan
from compresslab.data.card import Source

PROJECT = Path(__file__).resolve().parents[2]
ENVIRONMENTS = sorted((PROJECT / "envs").glob("*.yaml"))
RULES = sorted((PROJECT / "workflow" / "rules").glob("*.smk"))

# Environments that follow from what a variant holds.
FRAMEWORKS = ("numpy", "torch", "tensorflow", "litert", "onnx")

# Engines that the demo page opens by name.
PAGE_ENGINES = ("onnxruntime", "litert", "numpy", "numpy-integer", "numpy-dequantized")

# Names that conda-forge gives to the registry's packages.
REGISTRY_NAMES = {"pytorch": "torch", "matplotlib-base": "matplotlib"}

# Pins that cannot be the lock's: (environment, package) and the reason.
DIFFERENT_FROM_LOCK: dict[tuple[str, str], str] = {}


def requirements(name: str) -> dict[str, Requirement]:
    lines = (PROJECT / "envs" / name).read_text(encoding="utf-8").splitlines()
    parsed = [Requirement(text) for line in lines if (text := line.partition("#")[0].strip())]
    return {canonicalize_name(requirement.name): requirement for requirement in parsed}


def lock() -> dict[str, str]:
    """Version of every locked package."""
    pins = requirements("requirements.txt").items()
    return {name: str(pin.specifier).removeprefix("==") for name, pin in pins}


def required_by(package: str) -> dict[str, Requirement]:
    """What an installed package requires on this platform, but for the parts of CUDA that not every build needs."""
    needed = map(Requirement, metadata.requires(package) or [])
    return {
        canonicalize_name(requirement.name): requirement
        for requirement in needed
        if not (requirement.marker and not requirement.marker.evaluate({"extra": ""}))
        and not re.match(r"nvidia-|cuda-|triton|setuptools", requirement.name)
    }


def with_requirements(packages: set[str]) -> set[str]:
    """The packages and all that an installer brings along with them."""
    found: set[str] = set()
    waiting = list(packages)
    while waiting:
        package = waiting.pop()
        if package not in found:
            found.add(package)
            waiting.extend(required_by(package))
    return found


def dependencies(environment: Path) -> Iterator[tuple[str, str]]:
    """Registry name and version of every line of a conda environment; the version is empty where no pin is given."""
    for line in yaml.safe_load(environment.read_text(encoding="utf-8"))["dependencies"]:
        if isinstance(line, dict):
            yield from (
                (canonicalize_name(name), version) for name, _, version in (x.partition("==") for x in line["pip"])
            )
        else:
            name, _, version = line.partition("=")
            yield canonicalize_name(REGISTRY_NAMES.get(name, name)), version


class TestLock:
    def test_pins_every_package_exactly(self) -> None:
        loose = [name for name, version in lock().items() if not re.fullmatch(r"[0-9][0-9a-z.]*", version)]
        assert not loose

    def test_names_no_address_path_or_option(self) -> None:
        lines = (PROJECT / "envs" / "requirements.txt").read_text(encoding="utf-8").splitlines()
        assert [line for line in lines if not re.fullmatch(r"#.*|[\w.-]+==[\w.]+", line)] == []

    def test_has_every_chosen_package_within_its_bounds(self) -> None:
        pins = lock()
        unmet = [
            str(chosen)
            for name, chosen in requirements("requirements.in").items()
            if name not in pins or not chosen.specifier.contains(pins[name])
        ]
        assert not unmet, f"run `make lock`: {unmet}"

    def test_is_closed_under_what_its_packages_require(self) -> None:
        pins = lock()
        missing = {f"{name} requires {needed}" for name in pins for needed in required_by(name) if needed not in pins}
        assert not missing

    def test_fits_what_its_packages_require(self) -> None:
        """So an installer takes it as it is."""
        pins = lock()
        unmet = {
            (name, needed)
            for name in pins
            for needed, requirement in required_by(name).items()
            if needed in pins and not requirement.specifier.contains(pins[needed], prereleases=True)
        }
        assert not unmet

    def test_is_what_the_tests_run_with(self) -> None:
        installed = {name: metadata.version(name).partition("+")[0] for name in requirements("requirements.in")}
        assert installed == {name: lock()[name] for name in installed}, "run `make setup`"


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda path: path.stem)
class TestCondaEnvironment:
    def test_takes_conda_forge_only(self, environment: Path) -> None:
        assert yaml.safe_load(environment.read_text(encoding="utf-8"))["channels"] == ["conda-forge", "nodefaults"]

    def test_pins_what_the_lock_pins(self, environment: Path) -> None:
        pins = lock()
        different = {
            name: (version, pins.get(name, "not in the lock"))
            for name, version in dependencies(environment)
            if name not in {"python", "pip"}
            and version != pins.get(name)
            and (environment.stem, name) not in DIFFERENT_FROM_LOCK
        }
        assert not different

    def test_has_the_oldest_python_that_the_package_takes(self, environment: Path) -> None:
        project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        assert f">={dict(dependencies(environment))['python']}" == project["requires-python"]

    def test_names_pip_when_pip_installs_a_part(self, environment: Path) -> None:
        """Otherwise conda adds pip by itself and warns."""
        lines = yaml.safe_load(environment.read_text(encoding="utf-8"))["dependencies"]
        assert any(isinstance(line, dict) for line in lines) == ("pip" in lines)


@cache
def import_graph() -> grimp.ImportGraph:
    return grimp.build_graph(
        "compresslab", include_external_packages=True, exclude_type_checking_imports=True, cache_dir=None
    )


@cache
def packages_of_modules() -> dict[str, list[str]]:
    return {
        module: [canonicalize_name(name) for name in names]
        for module, names in metadata.packages_distributions().items()
    }


def third_party(entry: str) -> set[str]:
    """The packages that a module of compresslab imports, itself or through others."""
    return set(distributions(import_graph().find_upstream_modules(entry)))


def distributions(modules: set[str]) -> Iterator[str]:
    for module in sorted(modules):
        top = module.partition(".")[0]
        if top not in sys.stdlib_module_names and top != "compresslab":
            yield packages_of_modules().get(top, [f"{top} (not installed)"])[0]


def imported_names(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    return names | {
        node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module and not node.level
    }


def test_every_import_is_a_chosen_package() -> None:
    """Nothing is used that is installed by accident, as a dependency of a dependency."""
    chosen = requirements("requirements.in")
    tests = [*(PROJECT / "tests").rglob("*.py")]
    modules_of_tests = {file.stem for file in tests}
    files = [*(PROJECT / "src").rglob("*.py"), *tests]
    accidental = {
        f"{name} in {file.relative_to(PROJECT)}"
        for file in files
        for name in distributions(imported_names(file) - modules_of_tests)
        if name not in chosen
    }
    assert not accidental


def stages_of_rules() -> Iterator[tuple[str, str]]:
    """Environment and stage of every rule; a rule whose environment follows the variant runs in any of them."""
    for file in RULES:
        for rule in re.split(r"(?m)^(?=rule )", file.read_text(encoding="utf-8")):
            for stage in re.findall(r"compresslab\.stages\.\w+", rule):
                named = re.findall(r"envs/(\w+)\.yaml", rule)
                yield from ((environment, stage) for environment in named or FRAMEWORKS)


def modules_loaded_by_name() -> Iterator[tuple[str, str]]:
    """Environment and module of what stages load by a name in the configuration, which no import shows."""
    for source in get_args(Source):
        yield from (("numpy", dataset_module(name, source)) for name in datasets(source))
    plan = Plan(load([PROJECT / "config.yaml"], PROJECT / "workflow" / "scales"))
    for variant in plan.variants.values():
        environment = Path(plan.environment_file(variant.id)).stem
        natural, *others = [plan.code_of_engine(variant.id, engine) for engine in plan.engines(variant)]
        yield from ((environment, module) for module in [plan.counter(variant), *natural])
        yield from (("measure", module) for engine in [natural, *others] for module in engine)
    yield "measure", "compresslab.measure.worker"
    yield from (("demo", f"compresslab.engines.{module_name(engine)}") for engine in PAGE_ENGINES)


def modules_of_the_workflow() -> Iterator[tuple[str, str]]:
    """What the rules themselves import, wherever Snakemake runs."""
    for file in [*RULES, PROJECT / "workflow" / "Snakefile"]:
        imported = re.findall(r"from (compresslab\S*) import", file.read_text(encoding="utf-8"))
        yield from (("snakemake", module) for module in imported)


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda path: path.stem)
def test_an_environment_has_what_its_stages_import(environment: Path) -> None:
    """What Snakemake would otherwise show as an ImportError, hours into a run."""
    present = with_requirements({name for name, _ in dependencies(environment)} - {"python"})
    loaded = {*stages_of_rules(), *modules_loaded_by_name(), *modules_of_the_workflow()}
    modules = {module for name, module in loaded if name == environment.stem}
    missing = {module: lacking for module in modules if (lacking := third_party(module) - present)}
    assert modules
    assert not missing
