"""Read the configuration: files, the scale's overlay, the command line; every mistake is told at once."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from compresslab.config.experiment import METHODS, Experiment, Scale
from compresslab.config.problems import ConfigurationError, Problem, did_you_mean
from compresslab.config.semantics import contradictions
from compresslab.config.sources import Settings, from_command_line, read_yaml

MOST_REMOVALS = 5


def load(files: Sequence[Path], scales: Path, command_line: Mapping[str, Any] | None = None) -> Experiment:
    """Merge `files`, then `scales/<scale>.yaml`, then the command line, and validate the result.

    Later sources win key by key. Raises ConfigurationError with every mistake, each with the file and line
    that made it, the values allowed and the nearest known word.
    """
    given = Settings()
    for file in files:
        given = given.overlaid_with(read_yaml(file))
    overrides = from_command_line(command_line or {})
    scale = given.overlaid_with(overrides).values.get("scale", Experiment.model_fields["scale"].default)
    if scale in get_args(Scale):
        given = given.overlaid_with(read_yaml(scales / f"{scale}.yaml"))
    return validated(given.overlaid_with(overrides))


def validated(settings: Settings) -> Experiment:
    """The experiment that the settings describe, or a ConfigurationError."""
    try:
        experiment = Experiment.model_validate(settings.values)
    except ValidationError as error:
        problems = [_explained(details, settings) for details in error.errors()]
        problems += _contradictions_elsewhere(error, settings)
        raise ConfigurationError(_in_order(problems)) from None
    problems = [Problem(path, message, settings.place(path)) for path, message in contradictions(experiment)]
    if problems:
        raise ConfigurationError(_in_order(problems))
    return experiment


def _contradictions_elsewhere(error: ValidationError, settings: Settings) -> list[Problem]:
    """Contradictions among the values that are well-formed, so that one reading shows every mistake."""
    values = deepcopy(settings.values)
    removed: set[str] = set()
    for _ in range(MOST_REMOVALS):
        paths = {_path_to_remove(details) for details in error.errors()}
        if () in paths:
            return []
        removed |= {str(path[-1]) for path in paths}
        for path in paths:
            _remove(values, path)
        try:
            experiment = Experiment.model_validate(values)
        except ValidationError as remaining:
            error = remaining
        else:
            return [
                Problem(path, message, settings.place(path))
                for path, message in contradictions(experiment)
                if not any(f"'{name}'" in message for name in removed)
            ]
    return []


def _path_to_remove(details: ErrorDetails) -> tuple[str | int, ...]:
    """A wrong value goes alone; what lacks a required key goes as a whole."""
    path = _without_tags(details["loc"])
    return path[:-1] if details["type"] == "missing" else path


def _remove(values: Any, path: tuple[str | int, ...]) -> None:
    for key in path[:-1]:
        try:
            values = values[key]
        except (KeyError, IndexError, TypeError):
            return
    if isinstance(values, dict):
        values.pop(path[-1], None)
    elif isinstance(values, list):
        values.clear()


def _explained(error: ErrorDetails, settings: Settings) -> Problem:
    where = _without_tags(error["loc"])
    return Problem(where, _message(error, where), settings.place(where))


def _message(error: ErrorDetails, where: tuple[str | int, ...]) -> str:
    context = error.get("ctx", {})
    given = error["input"]
    match error["type"]:
        case "extra_forbidden":
            known = _keys_at(error["loc"][:-1])
            return f"unknown key{did_you_mean(where[-1], known)}; known here: {', '.join(known)}"
        case "missing":
            return "is required"
        case "literal_error":
            allowed = [word.strip("' ") for word in str(context["expected"]).replace(" or ", ",").split(",")]
            return f"{given!r} is not one of {', '.join(allowed)}{did_you_mean(given, allowed)}"
        case "union_tag_invalid":
            allowed = sorted(METHODS)
            return (
                f"unknown method {context['tag']!r}{did_you_mean(context['tag'], allowed)}; known: {', '.join(allowed)}"
            )
        case "union_tag_not_found":
            return f"needs a method: one of {', '.join(sorted(METHODS))}"
        case "string_pattern_mismatch":
            return f"{given!r} is not a name: use lower-case letters, digits and single hyphens"
        case "value_error":
            return str(context["error"])
        case _:
            text = error["msg"].removeprefix("Input ")
            return f"{given!r} {text}" if text != error["msg"] else f"{text} (given: {given!r})"


def _without_tags(location: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Pydantic puts the method into the path of a variant, and `[key]` behind a bad key; a file holds neither."""
    path: list[str | int] = []
    for part in location:
        is_tag = part in METHODS and len(path) >= 2 and path[-2] == "variants"
        if not is_tag and part != "[key]":
            path.append(part)
    return tuple(path)


def _keys_at(location: tuple[str | int, ...]) -> list[str]:
    """The keys that the configuration knows at a path of pydantic's."""
    kind: Any = Experiment
    for part in location:
        kind = METHODS[part] if part in METHODS else _inside(kind, part)
    fields = kind.model_fields if isinstance(kind, type) and issubclass(kind, BaseModel) else {}
    return [field.alias or name for name, field in fields.items()]


def _inside(kind: Any, part: str | int) -> Any:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        fields = {field.alias or name: field.annotation for name, field in kind.model_fields.items()}
        return _bare(fields.get(str(part)))
    arguments = get_args(kind)
    return _bare(arguments[-1]) if arguments else None


def _bare(kind: Any) -> Any:
    while get_origin(kind) in (Annotated, Union, UnionType):
        if get_origin(kind) is not Annotated and any(option in METHODS.values() for option in get_args(kind)):
            return kind
        kind = next(option for option in get_args(kind) if option is not type(None))
    return kind


def _in_order(problems: list[Problem]) -> list[Problem]:
    """By file and line, as a person would work through them."""

    def line(problem: Problem) -> tuple[str, int, str]:
        file, _, number = problem.place.rpartition(":")
        return (file, int(number) if number.isdigit() else 0, str(problem.where))

    return sorted(problems, key=line)
