"""What a schema cannot say: names that must exist, parents that must fit, choices that exclude each other."""

from collections.abc import Iterator

from compresslab.config.experiment import Experiment, Lab, Model
from compresslab.config.inventory import architectures, datasets, engines
from compresslab.config.method import Method
from compresslab.config.problems import did_you_mean

Finding = tuple[tuple[str | int, ...], str]


def contradictions(experiment: Experiment) -> Iterator[Finding]:
    """Yield (path of keys, message) for every choice that cannot hold together with the others."""
    if experiment.data.source == "mirror" and not experiment.data.mirror:
        yield ("data", "source"), "'mirror' needs data.mirror, the directory that holds the copy"
    if len(set(experiment.seeds)) < len(experiment.seeds):
        yield ("seeds",), f"{experiment.seeds} names a seed twice"
    if experiment.benchmark.host in experiment.benchmark.other_hosts:
        yield ("benchmark", "other_hosts"), f"'{experiment.benchmark.host}' is this run's own host"
    for lab_name, lab in experiment.labs.items():
        for path, message in _in_lab(lab, experiment.data.source):
            yield ("labs", lab_name, *path), message


def _in_lab(lab: Lab, source: str) -> Iterator[Finding]:
    if lab.dataset not in datasets():
        yield ("dataset",), _unknown("dataset", lab.dataset, datasets())
    elif lab.dataset not in datasets(source):
        yield ("dataset",), f"'{lab.dataset}' has no {source} data; those that have: {', '.join(datasets(source))}"
    for name, model in lab.models.items():
        for path, message in _in_model(name, model):
            yield ("models", name, *path), message
    variants = [variant for model in lab.models.values() for variant in model.variants]
    known = sorted(
        {*variants, *(f"{name}/{variant}" for name, model in lab.models.items() for variant in model.variants)}
    )
    for variant, names in lab.engines.items():
        if variant not in known:
            yield ("engines", variant), _unknown("variant", variant, known)
        for index, engine in enumerate(names):
            if engine not in engines():
                yield ("engines", variant, index), _unknown("engine", engine, engines())
    if lab.baseline is not None and lab.baseline not in known:
        yield ("baseline",), _unknown("variant", lab.baseline, known)
    for variant, references in lab.layer_references.items():
        for name in (variant, *references):
            if name not in known:
                yield ("layer_references", variant), _unknown("variant", name, known)


def _in_model(name: str, model: Model) -> Iterator[Finding]:
    architecture = model.architecture or name
    if architecture not in architectures("torch"):
        key = ("architecture",) if model.architecture else ()
        yield key, _unknown("architecture", architecture, architectures("torch"))
    for variant, method in model.variants.items():
        for message in _parent_mistakes(variant, method, model.variants):
            yield ("variants", variant, "from"), message


def _parent_mistakes(variant: str, method: Method, variants: dict[str, Method]) -> Iterator[str]:
    if not method.reads:
        if method.parent is not None:
            yield f"method '{method.method}' starts from data and takes no parent"
        return
    makers = [name for name, other in variants.items() if other.makes in method.reads]
    if method.parent is None:
        yield f"method '{method.method}' needs a parent; those that fit: {', '.join(makers) or 'none here'}"
    elif method.parent not in variants:
        yield _unknown("variant", method.parent, list(variants))
    elif _descends_from_itself(variant, variants):
        yield f"'{variant}' descends from itself"
    elif variants[method.parent].makes not in method.reads:
        made = variants[method.parent].makes
        fitting = ", ".join(makers) or "none here"
        yield f"method '{method.method}' cannot start from '{method.parent}' ({made}); those that fit: {fitting}"


def _descends_from_itself(variant: str, variants: dict[str, Method]) -> bool:
    seen = {variant}
    parent = variants[variant].parent
    while parent is not None and parent in variants:
        if parent in seen:
            return True
        seen.add(parent)
        parent = variants[parent].parent
    return False


def _unknown(kind: str, word: str, known: list[str]) -> str:
    return f"unknown {kind} '{word}'{did_you_mean(word, known)}; known: {', '.join(known)}"
