"""What a job is told of its code: all that its stage imports, changed only by what changes what the code does."""

import ast
import importlib
import os
import shutil
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compresslab.lineage import code, records
from compresslab.lineage.clock import give_present_time
from compresslab.lineage.syntax import module_hash

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "compresslab"
STAGES = sorted(
    f"compresslab.stages.{path.stem}" for path in (PACKAGE / "stages").glob("*.py") if path.stem != "__init__"
)

MODULE = '''
"""A module."""
import math

WIDTH = 3  # pixels


class Box:
    """A box."""

    side: float = 2.0

    def area(self, scale=1):
        """Its area."""
        if scale > 1:
            return scale * self.side ** 2
        return self.side ** 2
'''


def hashed(text: str, folder: Path) -> str:
    path = folder / "module.py"
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return module_hash(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# pixels", "# something else"),
        ("WIDTH = 3  # pixels", "\n\nWIDTH = 3"),
        ('"""A module."""', '"""Another word."""'),
        ('"""A module."""\n', ""),
        ('"""A box."""', '"""A box.\n\n    With a paragraph.\n    """'),
        ('        """Its area."""\n', ""),
        ("scale * self.side ** 2", "(scale * self.side**2)"),
        ("scale * self.side ** 2", "scale * (\n                self.side ** 2\n            )"),
        ("2.0", "2.00"),
    ],
    ids=["comment", "blank lines", "docstring", "no docstring", "class", "method", "layout", "lines", "same number"],
)
def test_what_a_machine_does_not_read_leaves_the_hash_alone(old: str, new: str, tmp_path: Path) -> None:
    assert MODULE.count(old) == 1
    assert hashed(MODULE.replace(old, new), tmp_path) == hashed(MODULE, tmp_path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("WIDTH = 3", "WIDTH = 4"),
        ("WIDTH = 3", "WIDTH = 3.0"),
        ("WIDTH = 3", "WIDTH = '3'"),
        ("WIDTH = 3", "WIDTH = True"),
        ("WIDTH", "HEIGHT"),
        ("scale=1", "scale=2"),
        ("scale > 1", "scale >= 1"),
        ("scale * self.side ** 2", "(scale * self.side) ** 2"),
        ("import math", "import cmath"),
        ("import math\n", "import math\nimport json\n"),
        ("side: float = 2.0", "side = 2.0"),
        ("def area", "async def area"),
        ("            return scale * self.side ** 2\n", "            pass\n"),
        ('        """Its area."""\n', '        print("""Its area.""")\n'),
        ('        """Its area."""\n', '        f"""Its {scale}."""\n'),
    ],
)
def test_every_change_of_the_code_changes_the_hash(old: str, new: str, tmp_path: Path) -> None:
    assert MODULE.count(old) == 1
    assert hashed(MODULE.replace(old, new), tmp_path) != hashed(MODULE, tmp_path)


@given(st.recursive(st.integers() | st.text() | st.binary() | st.floats(allow_nan=False), st.lists, max_leaves=5))
def test_literals_with_equal_source_have_equal_hashes_and_others_do_not(value: object) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        assert hashed(f"X = {value!r}", folder) == hashed(f"X = ({value!r})  # {value!a}", folder)
        assert hashed(f"X = {value!r}", folder) != hashed(f"X = [{value!r}, 0]", folder)


def test_no_two_literals_are_alike(tmp_path: Path) -> None:
    numbers = ["0", "1", "2", "0.0", "1.0", "0j", "-1"]
    texts = ["''", "'x'", "b''", "b'x'", "'0'", "f''"]
    others = ["True", "False", "None", "...", "()", "[]", "{}", "(0,)", "[0]", "{0}", "{0: 0}"]
    literals = [*numbers, *texts, *others]
    assert len({hashed(f"X = {literal}", tmp_path) for literal in literals}) == len(literals)


def test_a_module_that_does_not_parse_is_hashed_too(tmp_path: Path) -> None:
    assert hashed("x = (", tmp_path) != hashed("x = ((", tmp_path)


def imported_by(module: str) -> set[str]:
    """Modules of the package that a module's import statements name, wherever they stand, but for type checking."""
    path = file_of(module)
    assert path is not None, module
    found: set[str] = set()
    for node in executed(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in found if name.partition(".")[0] == "compresslab" and file_of(name)}


def executed(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those below `if TYPE_CHECKING:`."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)):
            yield from executed(child)


def file_of(module: str) -> Path | None:
    path = PACKAGE.parent.joinpath(*module.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def walked(*entries: str) -> set[str]:
    found: set[str] = set()
    waiting = list(entries)
    while waiting:
        module = waiting.pop()
        if module and module not in found:
            found.add(module)
            waiting += [*imported_by(module), module.rpartition(".")[0]]
    return found


@pytest.mark.parametrize("stage", STAGES)
def test_the_closure_of_a_stage_is_what_its_import_statements_reach(stage: str) -> None:
    assert set(code.closure([stage])) == walked(stage)


def test_the_closure_of_several_entries_is_the_union() -> None:
    assert set(code.closure(STAGES)) == set().union(*(code.closure([stage]) for stage in STAGES))


@pytest.mark.parametrize("stage", STAGES)
def test_the_closure_is_a_fixed_point_with_its_parents(stage: str) -> None:
    closure = code.closure([stage])
    assert code.closure(closure) == closure == sorted(set(closure))
    assert {module.rpartition(".")[0] for module in closure} - {""} <= set(closure)


def test_an_unknown_entry_is_named() -> None:
    with pytest.raises(KeyError, match=r"compresslab\.stages\.nonsense"):
        code.tokens("compresslab.stages.nonsense")


@pytest.fixture
def small_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of a few modules that stands in for compresslab, to be edited."""
    files = {
        "__init__.py": "",
        "entry.py": "from smallpackage.near import f\n",
        "near.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from smallpackage.types import T\n"
        "def f():\n    import smallpackage.room.late\n",
        "types.py": "T = int\n",
        "apart.py": "x = 1\n",
        "room/__init__.py": "",
        "room/late.py": "x = 1\n",
    }
    for name, text in files.items():
        path = tmp_path / "smallpackage" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(code, "PACKAGE", "smallpackage")
    monkeypatch.setattr(code, "SOURCE", tmp_path)
    forget(code)
    yield tmp_path / "smallpackage"
    forget(code)
    sys.modules.pop("smallpackage", None)
    importlib.invalidate_caches()


def forget(lineage: ModuleType) -> None:
    """A job is a process of its own: what it reads of the code is as it is then."""
    lineage._imports.cache_clear()
    lineage._hash.cache_clear()


@pytest.mark.usefixtures("small_package")
def test_late_imports_count_and_imports_for_type_checking_do_not() -> None:
    reached = ["smallpackage", "smallpackage.entry", "smallpackage.near", "smallpackage.room", "smallpackage.room.late"]
    assert [token.partition("@")[0] for token in code.tokens("smallpackage.entry")] == reached


def test_an_edit_changes_the_token_of_its_module_alone(small_package: Path) -> None:
    before = dict(token.split("@") for token in code.tokens("smallpackage.entry"))
    (small_package / "room" / "late.py").write_text("x = 2\n")
    forget(code)
    now = dict(token.split("@") for token in code.tokens("smallpackage.entry"))
    assert {module for module in before if before[module] != now[module]} == {"smallpackage.room.late"}


def test_a_new_import_adds_its_closure(small_package: Path) -> None:
    (small_package / "room" / "late.py").write_text("import smallpackage.apart\nx = 1\n")
    forget(code)
    assert "smallpackage.apart" in code.closure(["smallpackage.entry"])


@pytest.mark.parametrize("edited", ["entry.py", "near.py", "room/late.py", "room/__init__.py"])
def test_the_stamp_stops_a_job_whose_code_was_edited(edited: str, small_package: Path) -> None:
    stamp = code.stamp("smallpackage.entry")
    code.require(stamp)
    with (small_package / edited).open("a") as file:
        file.write("y = 1\n")
    forget(code)
    with pytest.raises(code.CodeChangedError, match=r"smallpackage\.entry was edited after this job was planned"):
        code.require(stamp)


@pytest.mark.parametrize("edited", ["types.py", "apart.py"])
def test_the_stamp_lets_pass_what_the_job_does_not_reach(edited: str, small_package: Path) -> None:
    stamp = code.stamp("smallpackage.entry")
    (small_package / edited).write_text("y = 1\n")
    forget(code)
    code.require(stamp)


def test_the_stamp_holds_after_the_project_has_moved(small_package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stamp = code.stamp("smallpackage.entry", "smallpackage.apart")
    moved = small_package.parent / "elsewhere"
    shutil.copytree(small_package, moved / "smallpackage")
    shutil.rmtree(small_package)
    monkeypatch.syspath_prepend(moved)
    monkeypatch.setattr(code, "SOURCE", moved)
    forget(code)
    code.require(stamp)


class TestRecords:
    """What Snakemake wrote down of earlier jobs."""

    def record(self, folder: Path, name: str, text: str) -> None:
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(text)

    def test_durations_are_medians_over_jobs_not_over_files(self, tmp_path: Path) -> None:
        for index, (start, end) in enumerate([(100, 110), (100, 110), (100, 110), (105, 125), (105, 135)]):
            self.record(tmp_path, f"{index}", f'{{"rule": "train", "starttime": {start}, "endtime": {end}}}')
        assert records.typical_seconds(tmp_path) == {"train": 20.0}

    def test_unreadable_records_are_passed_over(self, tmp_path: Path) -> None:
        self.record(tmp_path, "a", "{half")
        self.record(tmp_path, "b", '{"rule": "x", "starttime": null, "endtime": 3}')
        self.record(tmp_path, "c", '{"rule": "set back", "starttime": 86400, "endtime": 3}')
        (tmp_path / "folder").mkdir()
        assert records.typical_seconds(tmp_path) == {}
        assert records.typical_seconds(tmp_path / "absent") == {}

    def test_slice_and_tokens_are_found_among_params_in_any_order(self) -> None:
        params = ["'results/smoke'", "['a.b@12', 'a@34']", "'a.b@99'", "1", '\'{"epochs":1,"text":"it\\\'s"}\'']
        found = records.provenance(params)
        assert found.modules == {"a.b": "12", "a": "34"}
        assert found.settings == {"epochs": 1, "text": "it's"}


def test_files_from_the_future_get_the_present_time_and_others_keep_theirs(tmp_path: Path) -> None:
    yesterday, now, tomorrow = (time.time() + days * 86400 for days in (-1, 0, 1))
    for name, written in (("earlier", yesterday), ("later", tomorrow)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (written, written))
    assert give_present_time(tmp_path / name for name in ("earlier", "later", "absent")) == [tmp_path / "later"]
    assert (tmp_path / "earlier").stat().st_mtime == pytest.approx(yesterday)
    assert (tmp_path / "later").stat().st_mtime == pytest.approx(now, abs=60)
    assert give_present_time([tmp_path / "later"]) == []
