"""The code can be read: names that say something, one thought a line, documented parameters."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("jiantx", "examples", "tests", "benchmarks", "docs")
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
PACKAGE = [path for path in FILES if path.is_relative_to(ROOT / "jiantx")]
SHIPPED = [path for path in FILES if not path.is_relative_to(ROOT / "tests")]
# Words that say nothing about the value that they are bound to.
VAGUE = set(
    """found own part parts place places most said says words some whole here there kept how what by
    of at others theirs each known told bare lost sure fate given asked around room firsts owners
    torn held named everyone""".split()
)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
COMPOUND = (ast.FunctionDef, ast.ClassDef, ast.If, ast.For, ast.While, ast.With, ast.Try, ast.Match)
SECTIONS = re.compile(r"^(Args|Returns|Yields|Raises):$", re.MULTILINE)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def nodes_of(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def loops(node: ast.AST) -> int:
    """How deep the `for` of comprehensions stand inside each other."""
    own_loops = len(node.generators) if isinstance(node, COMPREHENSIONS) else 0
    return own_loops + max(map(loops, ast.iter_child_nodes(node)), default=0)


def stored_names(function: ast.FunctionDef) -> Iterator[str]:
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def statements(path: Path) -> Iterator[ast.stmt]:
    for node in nodes_of(path):
        if isinstance(node, ast.stmt) and not isinstance(node, COMPOUND):
            yield node


def per_thousand_lines(paths: list[Path], count: int) -> float:
    return 1000 * count / sum(len(path.read_text(encoding="utf-8").splitlines()) for path in paths)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_names_say_what_their_values_are(path: Path) -> None:
    vague = set()
    for function in nodes_of(path):
        if isinstance(function, ast.FunctionDef):  # fields of classes are public names
            vague |= {name for name in stored_names(function) if name in VAGUE}
    assert not vague, "name these after their values"


def test_comprehensions_are_not_nested() -> None:
    nested = [
        f"{name_of(path)}:{node.lineno}"
        for path in SHIPPED
        for node in statements(path)
        if loops(node) > 1
    ]
    assert per_thousand_lines(SHIPPED, len(nested)) < 1, nested


def test_unrelated_values_are_not_packed() -> None:
    packed = [
        f"{name_of(path)}:{node.lineno}"
        for path in SHIPPED
        for node in statements(path)
        if isinstance(node, ast.Assign)
        if isinstance(node.targets[0], ast.Tuple) and isinstance(node.value, ast.Tuple)
    ]
    assert per_thousand_lines(SHIPPED, len(packed)) < 3, packed


@pytest.mark.parametrize("path", PACKAGE, ids=name_of)
def test_public_functions_document_their_parameters(path: Path) -> None:
    undocumented = []
    for node in nodes_of(path):
        if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
            continue
        parameters = [argument.arg for argument in (*node.args.args, *node.args.kwonlyargs)]
        docstring = ast.get_docstring(node)
        is_long = len(set(parameters) - {"self", "cls"}) >= 2
        if docstring and is_long and not SECTIONS.search(docstring):
            undocumented.append(f"line {node.lineno}: {node.name}")
    assert not undocumented, "give these Args:, Returns: or Raises:"


@pytest.mark.parametrize("path", SHIPPED, ids=name_of)
def test_files_are_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400
