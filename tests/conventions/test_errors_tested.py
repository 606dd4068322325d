"""Every error code is tested, and documented for callers of the API."""

from __future__ import annotations

import importlib
import pkgutil
import re

import creditapp
from creditapp.errors import AppError
from tests.conventions.files import ROOT


def error_codes() -> dict[str, set[int]]:
    """Return every error code with its statuses."""
    for module in pkgutil.walk_packages(creditapp.__path__, "creditapp."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    statuses: dict[str, set[int]] = {}
    kinds = [AppError]
    while kinds:
        kind = kinds.pop()
        kinds += kind.__subclasses__()
        # A local class stands for one of werkzeug's own errors.
        if kind.__module__.startswith("creditapp.") and "<locals>" not in kind.__qualname__:
            statuses.setdefault(kind.code, set()).add(kind.status)
    return statuses


def test_every_code_appears_in_a_test() -> None:
    tests = "".join(
        path.read_text()
        for path in (ROOT / "tests").rglob("*.py")
        if path.name != "test_errors_tested.py"
    )
    assert [code for code in error_codes() if f'"{code}"' not in tests] == []


def test_every_code_is_in_the_table_of_the_api_page_with_its_status() -> None:
    page = (ROOT / "docs" / "api.md").read_text()
    rows = re.findall(r"^\| (\d{3}) \| `([a-z_]+)` \|", page, re.MULTILINE)
    documented: dict[str, set[int]] = {}
    for status, code in rows:
        documented.setdefault(code, set()).add(int(status))
    for code, statuses in error_codes().items():
        assert documented.get(code) == statuses, code


def test_every_status_is_an_error_of_http() -> None:
    for code, statuses in error_codes().items():
        assert all(400 <= status < 600 for status in statuses), code
