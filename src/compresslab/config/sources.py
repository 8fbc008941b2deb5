"""YAML files and command-line settings as one tree of values that remembers where each value came from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from compresslab.config.problems import ConfigurationError, Problem

COMMAND_LINE = "command line"


@dataclass
class Settings:
    """Plain values, and for every path of keys the `file:line` that set it."""

    values: dict[str, Any] = field(default_factory=dict)
    places: dict[tuple[str | int, ...], str] = field(default_factory=dict)

    def overlaid_with(self, other: "Settings") -> "Settings":
        """Merge mappings key by key; any other value (lists too) is replaced by the other's."""
        replaced = [path for path in other.places if not isinstance(_at(other.values, path), Mapping)]
        kept = {
            path: place for path, place in self.places.items() if not any(path[: len(top)] == top for top in replaced)
        }
        return Settings(_merged(self.values, other.values), {**kept, **other.places})

    def place(self, path: Sequence[str | int]) -> str:
        """Where the value at `path` was written, or the nearest place above it."""
        keys = tuple(path)
        while keys and keys not in self.places:
            keys = keys[:-1]
        return self.places.get(keys, "")


def read_yaml(path: Path) -> Settings:
    """Read one YAML file. What cannot be read, a syntax error, a repeated key: a ConfigurationError with its line."""
    path = Path(path)
    try:
        tree = YAML(typ="rt", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError([Problem((), f"{path} does not exist")]) from None
    except OSError as error:
        raise ConfigurationError([Problem((), f"cannot be read ({error.strerror})", str(path))]) from None
    except UnicodeDecodeError as error:
        raise ConfigurationError([Problem((), f"not UTF-8 text ({error.reason})", str(path))]) from None
    except MarkedYAMLError as error:
        raise ConfigurationError([_syntax_problem(path, error)]) from None
    except YAMLError as error:
        raise ConfigurationError([Problem((), f"not valid YAML: {' '.join(str(error).split())}", str(path))]) from None
    except RecursionError:
        raise ConfigurationError([Problem((), "not valid YAML: nested too deeply", str(path))]) from None
    if tree is None:
        return Settings()
    if not isinstance(tree, CommentedMap):
        raise ConfigurationError([Problem((), "expected 'key: value' lines at the top level", f"{path}:1")])
    settings = Settings()
    settings.values = _plain(tree, (), str(path), settings.places)
    return settings


def from_command_line(config: Mapping[str, Any]) -> Settings:
    """Settings of `--config`; `data-source=mirror` is short for `data={source: mirror}`."""
    values: dict[str, Any] = {}
    for key, value in config.items():
        section, dash, name = str(key).partition("-")
        values = _merged(values, {section: {name: value}} if dash else {key: value})
    settings = Settings(values)
    _mark(values, (), settings.places)
    return settings


def _plain(node: Any, path: tuple[str | int, ...], file: str, places: dict[tuple[str | int, ...], str]) -> Any:
    if isinstance(node, CommentedMap):
        for key in node:
            places[(*path, key)] = f"{file}:{_line(node, key)}"
        return {key: _plain(value, (*path, key), file, places) for key, value in node.items()}
    if isinstance(node, CommentedSeq):
        for index in range(len(node)):
            places[(*path, index)] = f"{file}:{node.lc.item(index)[0] + 1}"
        return [_plain(value, (*path, index), file, places) for index, value in enumerate(node)]
    if isinstance(node, bool) or node is None:
        return node
    for plain in (int, float, str):
        if isinstance(node, plain):
            return plain(node)
    return node


def _line(node: CommentedMap, key: Any) -> int:
    """The line of a key, counted from 1: its own, or that in the block which `<<` merged in."""
    if key in node.lc.data:
        return int(node.lc.data[key][0]) + 1
    return next(_line(merged, key) for merged in node.merge if key in merged)


def _mark(node: Any, path: tuple[str | int, ...], places: dict[tuple[str | int, ...], str]) -> None:
    if isinstance(node, Mapping):
        for key, value in node.items():
            places[(*path, key)] = COMMAND_LINE
            _mark(value, (*path, key), places)


def _merged(below: Any, above: Any) -> Any:
    if isinstance(below, Mapping) and isinstance(above, Mapping):
        return {key: _merged(below.get(key), above[key]) if key in above else below[key] for key in {**below, **above}}
    return above


def _at(values: Any, path: Sequence[str | int]) -> Any:
    for key in path:
        values = values[key]
    return values


def _syntax_problem(path: Path, error: MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    line = f":{mark.line + 1}" if mark else ""
    what = (error.problem or str(error)).splitlines()[0]
    return Problem((), f"not valid YAML: {what}", f"{path}{line}")
