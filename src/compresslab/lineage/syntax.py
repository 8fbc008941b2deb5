"""A hash of what a module *does*: its syntax tree without comments, docstrings and layout.

The tree is serialized here rather than by `ast.dump`, whose text differs between Python versions: empty
fields are left out, so that a field that a newer Python adds changes nothing.
"""

import ast
import hashlib
from pathlib import Path

HASH_DIGITS = 12


def module_hash(path: Path) -> str:
    """First digits of the SHA-256 of a module's meaning. A module that does not parse is hashed as bytes."""
    source = Path(path).read_bytes()
    try:
        meaning = _serialized(_without_docstrings(ast.parse(source))).encode()
    except SyntaxError:
        meaning = source
    return hashlib.sha256(meaning).hexdigest()[:HASH_DIGITS]


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [statement for statement in node.body if not _is_string(statement)]
    return tree


def _is_string(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _serialized(node: object) -> str:
    if isinstance(node, ast.AST):
        fields = ((name, value) for name, value in ast.iter_fields(node) if value is not None and value != [])
        return f"{type(node).__name__}({','.join(f'{name}={_serialized(value)}' for name, value in fields)})"
    if isinstance(node, list):
        return f"[{','.join(map(_serialized, node))}]"
    return repr(node)
