"""The core has no I/O, clock, randomness or logging: it imports nothing that could have (I8)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from gmhealth import core

FILES = sorted(Path(core.__path__[0]).rglob("*.py"))
IMPORTS = {
    "__future__", "collections", "dataclasses", "enum", "functools", "gmhealth", "itertools", "json", "msgspec",
    "operator", "re", "shlex", "typing",
}  # fmt: skip
CALLS = {"open", "print", "input"}


def imported(tree: ast.AST) -> set[str]:
    """The top-level names of all modules that are imported, wherever in the file."""
    nodes = list(ast.walk(tree))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    named = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    return {name.partition(".")[0] for name in plain | named}


def called(tree: ast.AST) -> set[str]:
    """The names of the functions that are called as such."""
    nodes = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return {node.id for node in nodes if isinstance(node, ast.Name)}


def test_there_is_a_core() -> None:
    assert len(FILES) > 10


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_module_of_the_core_reaches_nothing_outside(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert imported(tree) - IMPORTS == set()
    assert called(tree) & CALLS == set()
