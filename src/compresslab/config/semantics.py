"""What a schema cannot say: names that must exist, parents that must fit, choices that exclude each other."""

from collections.abc import Iterator
from pathlib import Path

from compresslab.config.experiment import METHODS, Data, Experiment, Lab, LabLimits, Model
from compresslab.config.inventory import (
    architecture_arguments,
    architectures,
    datasets,
    engine_device,
    engines,
    task_of,
    task_of_architecture,
)
from compresslab.config.method import Method
from compresslab.config.methods.import_ import LARGEST_BYTES
from compresslab.config.methods.import_ import Parameters as Import
from compresslab.config.problems import did_you_mean
from compresslab.config.study import Study
from compresslab.config.training import Optimization, merged

Finding = tuple[tuple[str | int, ...], str]


def contradictions(experiment: Experiment) -> Iterator[Finding]:
    """Yield (path of keys, message) for every choice that cannot hold together with the others."""
    if experiment.data.source == "mirror" and not experiment.data.mirror:
        yield ("data", "source"), "'mirror' needs data.mirror, the directory that holds the copy"
    if len(set(experiment.seeds)) < len(experiment.seeds):
        yield ("seeds",), f"{experiment.seeds} names a seed twice"
    if experiment.benchmark.host in experiment.benchmark.other_hosts:
        yield ("benchmark", "other_hosts"), f"'{experiment.benchmark.host}' is this run's own host"
    yield from _substitution_mistakes(experiment)
    for lab_name, lab in experiment.labs.items():
        for path, message in _mixed_with_trainings(lab, _number_of_seeds(experiment, lab)):
            yield ("labs", lab_name, *path), message
        for path, message in _in_lab(lab, experiment.data):
            yield ("labs", lab_name, *path), message


def _substitution_mistakes(experiment: Experiment) -> Iterator[Finding]:
    """Datasets that are replaced, and those that replace them, must exist."""
    for name, other in experiment.data.instead.items():
        for dataset in (name, other):
            if dataset not in datasets():
                yield ("data", "instead", name), _unknown("dataset", dataset, datasets())


def _in_lab(lab: Lab, data: Data) -> Iterator[Finding]:
    if message := _dataset_mistake(lab.dataset, data):
        yield ("dataset",), message
    for name, model in lab.models.items():
        if model.dataset and (message := _dataset_mistake(model.dataset, data)):
            yield ("models", name, "dataset"), message
        dataset = model.dataset or lab.dataset
        task = _task(dataset, data)
        for path, message in _in_model(name, model, task):
            yield ("models", name, *path), message
        if message := _task_mistake(name, model, dataset, task):
            yield ("models", name), message
    if len(tasks := {_task(model.dataset or lab.dataset, data) for model in lab.models.values()}) > 1:
        yield ("models",), f"a lab asks one thing; its datasets are for {' and '.join(sorted(tasks))}"
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
            elif engine_device(engine) == "cuda" and _computes_integers(lab, variant):
                yield ("engines", variant, index), f"'{engine}' has no integer kernels; '{variant}' needs a CPU's"
    if lab.baseline is not None and lab.baseline not in known:
        yield ("baseline",), _unknown("variant", lab.baseline, known)
    for key, choices in {"comparisons": lab.comparisons, "layer_references": lab.layer_references}.items():
        for variant, references in choices.items():
            for name in (variant, *references):
                if name not in known:
                    yield (key, variant), _unknown("variant", name, known)
    if lab.codec_shift and _task(lab.dataset, data) != "classification":
        yield ("codec_shift",), "codec_shift is for classification; take it out of this lab"
    for index, variant in enumerate(lab.codec_shift.of if lab.codec_shift else []):
        if variant not in known or "/" not in variant:
            full = [name for name in known if "/" in name]
            yield ("codec_shift", "of", index), _unknown("variant", variant, full)
    for name, study in lab.studies.chosen.items():
        for message in _study_mistakes(name, study, lab):
            yield ("studies", name), message


def _computes_integers(lab: Lab, name: str) -> bool:
    """Whether a variant, named `variant` or `model/variant`, promises integers, in any model."""
    return any(
        method.integer
        for model, described in lab.models.items()
        for variant, method in described.variants.items()
        if name in (variant, f"{model}/{variant}")
    )


def _number_of_seeds(experiment: Experiment, lab: Lab) -> int:
    cap = lab.limits.get(experiment.scale, LabLimits()).seeds
    return len(experiment.seeds[:cap])


def _mixed_with_trainings(lab: Lab, seeds: int) -> Iterator[Finding]:
    """A mean over seeds compares trainings; an imported model has none, and would count as that many equal ones."""
    roots = {
        ("models", model, "variants", variant): isinstance(method, Import)
        for model, described in lab.models.items()
        for variant, method in described.variants.items()
        if not method.reads
    }
    if seeds > 1 and len(set(roots.values())) > 1:
        for path in (path for path, imported in roots.items() if imported):
            yield (
                (*path, "method"),
                f"an imported model is the same for all {seeds} seeds that this lab trains with; "
                "move it to a lab of imports only, or run one seed",
            )


def _file_mistake(name: str) -> str | None:
    """What is wrong with a user's file as far as the file system tells."""
    path = Path(name)
    if not path.is_file():
        missing = f"there is no file '{name}'"
        return missing if path.is_absolute() else f"{missing} below {Path.cwd()}"
    if path.stat().st_size > LARGEST_BYTES:
        return f"'{name}' has more than {LARGEST_BYTES / 1e9:g} GB; no file of this size is imported"
    return None


def _study_mistakes(name: str, study: Study, lab: Lab) -> Iterator[str]:
    """A study looks into variants that exist, and that hold what it reads."""
    made = {
        f"{model}/{variant}": method.makes
        for model, described in lab.models.items()
        for variant, method in described.variants.items()
    }
    fitting = [variant for variant, kind in made.items() if kind in study.reads]
    for variant in study.variants:
        if variant not in made:
            yield _unknown("variant", variant, fitting)
        elif variant not in fitting:
            hint = ", ".join(fitting) or "none here"
            yield f"study '{name}' cannot look into '{variant}'; those that fit: {hint}"
    for architecture in study.built_architectures:
        if architecture not in architectures("torch"):
            yield _unknown("architecture", architecture, architectures("torch"))


def _dataset_mistake(name: str, data: Data) -> str | None:
    if name not in datasets():
        return _unknown("dataset", name, datasets())
    read, source = data.instead.get(name, name), data.source
    if read in datasets() and read not in datasets(source):
        return f"'{read}' has no {source} data; those that have: {', '.join(datasets(source))}"
    return None


def _task(dataset: str, data: Data) -> str:
    return task_of(data.instead.get(dataset, dataset), data.source)


def _task_mistake(name: str, model: Model, dataset: str, task: str) -> str | None:
    """An architecture must answer what the dataset asks."""
    architecture = model.architecture or name
    for framework in dict.fromkeys(built for method in model.variants.values() if (built := method.builds)):
        answers = task_of_architecture(architecture, framework)
        if architecture in architectures(framework) and answers != task:
            fitting = [other for other in architectures(framework) if task_of_architecture(other, framework) == task]
            return (
                f"'{architecture}' is for {answers}, but the dataset '{dataset}' is for {task}; "
                f"{framework} has: {', '.join(fitting) or 'none'}"
            )
    return None


def _in_model(name: str, model: Model, task: str) -> Iterator[Finding]:
    yield from _architecture_mistakes(name, model)
    for variant, method in model.variants.items():
        for message in _parent_mistakes(variant, method, model.variants):
            yield ("variants", variant, "from"), message
        for message in _unfit_architecture(name, model, method):
            yield ("variants", variant, "method"), message
        if isinstance(method, Import) and (wrong := _file_mistake(method.file)):
            yield ("variants", variant, "file"), wrong
    # Variants that share a setting of the recipe share its mistake.
    yield from dict.fromkeys(_training_mistakes(model, task))


def _training_mistakes(model: Model, task: str) -> Iterator[Finding]:
    """Every setting must be known to framework and task, and all of a training must hold together."""
    for variant, method in model.variants.items():
        if not isinstance(method, Optimization):
            continue
        settings = merged(method, model.train)
        for name, known in method.known.items():
            if name in settings and settings[name] not in known:
                place = ("variants", variant) if name in method.model_fields_set else ("train",)
                yield (*place, name), _unknown_setting(method, name, settings[name])
        training = method.model_copy(update=settings)
        for name, message in training.unknown_in(task):
            place = ("variants", variant) if name in method.model_fields_set else ("train",)
            yield (*place, name), message
        if message := training.contradiction():
            yield ("variants", variant), message


def _unknown_setting(method: Method, name: str, value: object) -> str:
    """Say which methods of the same kind, from data or from a parent, know what this one does not."""
    alike = {
        other: known
        for other, parameters in METHODS.items()
        if (known := getattr(parameters, "known", None)) is not None and bool(parameters.reads) == bool(method.reads)
    }
    knowing = [other for other, known in alike.items() if value in known.get(name, (value,))]
    verb = "do" if len(knowing) > 1 else "does"
    return f"method '{method.method}' knows no {name} '{value}'; {', '.join(knowing)} {verb}"


def _architecture_mistakes(name: str, model: Model) -> Iterator[Finding]:
    """Every framework that the model is trained in must have its architecture, with these arguments."""
    architecture = model.architecture or name
    frameworks = dict.fromkeys(built for method in model.variants.values() if (built := method.builds))
    for framework in frameworks:
        names = architectures(framework)
        if architecture not in names:
            hint = did_you_mean(architecture, names)
            message = f"unknown architecture '{architecture}'{hint}; {framework} has: {', '.join(names) or 'none'}"
            yield (("architecture",) if model.architecture else ()), message
            continue
        known = architecture_arguments(framework, architecture)
        for argument in model.arguments:
            if argument not in known:
                taken = f"{architecture} of {framework} takes: {', '.join(known) or 'none'}"
                yield ("arguments", argument), f"unknown argument '{argument}'{did_you_mean(argument, known)}; {taken}"


def _unfit_architecture(name: str, model: Model, method: Method) -> Iterator[str]:
    """A method that changes an architecture's settings needs an architecture that has them."""
    architecture = model.architecture or name
    if architecture not in architectures(method.makes):
        return
    for argument in method.needs_arguments:
        if argument not in architecture_arguments(method.makes, architecture):
            yield f"method '{method.method}' needs an architecture that takes {argument}; {architecture} does not"


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
    return f"unknown {kind} '{word}'{did_you_mean(word, known)}; known: {', '.join(known) or 'none'}"
