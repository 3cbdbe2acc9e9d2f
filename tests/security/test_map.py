"""The map from promises to tests: it leads somewhere, and nothing here is off it."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.security import CLAUSES

TESTS = Path(__file__).parents[1]
PACKAGE = TESTS.parent / "pop2imap"


@cache
def names(path: str) -> frozenset[str]:
    tree = ast.parse((TESTS / path).read_text("utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("clause", CLAUSES)
def test_every_clause_has_tests_that_exist(clause: str) -> None:
    assert CLAUSES[clause]
    for test in CLAUSES[clause]:
        path, _, name = test.partition("::")
        assert name.startswith("test_")
        assert name in names(path), test


def test_every_test_here_is_for_a_clause() -> None:
    mapped = {test for tests in CLAUSES.values() for test in tests}
    here = {
        f"security/{path.name}::{name}"
        for path in TESTS.glob("security/test_*.py")
        if path.name != Path(__file__).name
        for name in names(f"security/{path.name}")
        if name.startswith("test_")
    }
    assert here - mapped == set()


def test_nothing_of_ours_parses_mime() -> None:
    """Routing looks at the header block alone; the demo makes mail, and does not read it."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            imported = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                imported = [f"{node.module}"]
            assert not [
                name for name in imported if name.split(".")[0] == "email" and "demo" not in path.parts
            ], path
