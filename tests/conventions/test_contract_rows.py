"""Each public route and the tests that prove it; none is without a row, no row without a test.

The rows are those of the published interface: a reader finds here where a promise is tried.
"""

from __future__ import annotations

import ast
from functools import cache

import pytest
from flask import Flask

from tests.api.contract import Document
from tests.conventions.files import ROOT


def _read(text: str) -> dict[str, list[str]]:
    """Return the rows of the table: an operation, and indented below it the ids of its tests."""
    rows: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith(" "):
            rows[next(reversed(rows))].append(line.strip())
        else:
            rows[line] = []
    return rows


ROWS = _read((ROOT / "tests" / "conventions" / "contract_rows.txt").read_text(encoding="utf-8"))
"""For each method and path the ids of tests below ``tests``."""


def test_every_public_operation_has_a_row(looked_at: Flask) -> None:
    paths = Document(looked_at).json["paths"]
    operations = {
        f"{method.upper()} {path}" for path, methods in paths.items() for method in methods
    }
    assert ROWS.keys() == operations


@pytest.mark.parametrize("row", ROWS)
def test_every_row_names_tests_that_exist(row: str) -> None:
    assert ROWS[row]
    for test_id in ROWS[row]:
        file, name = test_id.split("::")
        assert name in _tests_of(file), f"{file} has no {name}"


@cache
def _tests_of(file: str) -> frozenset[str]:
    module = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
    return frozenset(each.name for each in module.body if isinstance(each, ast.FunctionDef))
