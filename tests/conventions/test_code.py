"""Small files, short functions, and nothing in them that belongs to one machine."""

from __future__ import annotations

import ast
import re

from tests.conventions.files import ROOT, texts

FILE_LINES_MAX = 300
LIST_LINES_MAX = 500
"""For tests and benchmarks, which are lists: found by a name, not read through."""

FUNCTION_LINES_MAX = 60

LONG_FILES: dict[str, str] = {
    "creditapp/jobs/engine.py": "the DBOS adapter, the only module that imports DBOS",
    "creditapp/ledger/models.py": "the tables of the ledger, which are read together",
    "creditapp/payments/catalog_import.py": "the diff of two catalogs, from its inputs to its text",
    "tests/test_emails.py": "the server that receives the emails is beside the tests that use it",
}
"""Files that may be longer, each with its reason."""

LONG_FUNCTIONS: dict[str, str] = {
    "creditapp/stripe_sandbox/objects/charge.py:create": "one object of Stripe, field by field",
    "creditapp/stripe_sandbox/objects/checkout_session.py:_session": "likewise, field by field",
    "creditapp/stripe_sandbox/objects/subscription.py:_subscription": "likewise, field by field",
}
"""Functions that may be longer, each with its reason."""

_DOWNLOADS = re.compile(
    r"https?://[^\s\"')]*(?:pythonhosted|pypi\.org/simple|/simple/|registry\.npmjs)"
    r"|--(?:extra-)?index-url|--find-links"
)
# Spelled in pieces, because this file is among those that are read.
_ELSEWHERE = re.compile("|".join(("shared/", r"(?<![\w/.-])not" "es/", r"\biss" r"ue #?\d")))
_HOMES = re.compile(r"/home/[a-z]\w*/|/Users/\w+/")


def modules() -> dict[str, str]:
    found = texts(".py")
    return {name: text for name, text in found.items() if "migrations/versions" not in name}


def test_files_stay_short() -> None:
    lengths = {name: text.count("\n") for name, text in modules().items()}
    long = {
        name: count
        for name, count in lengths.items()
        if count > (LIST_LINES_MAX if name.startswith(("tests/", "bench/")) else FILE_LINES_MAX)
    }
    assert set(long) <= set(LONG_FILES), long
    assert set(LONG_FILES) <= set(long), "an exception that is no longer needed"


def test_functions_stay_short() -> None:
    long = {}
    for name, text in modules().items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LINES_MAX:
                    long[f"{name}:{node.name}"] = lines
    assert set(long) <= set(LONG_FUNCTIONS), long
    assert set(LONG_FUNCTIONS) <= set(long), "an exception that is no longer needed"


def test_every_exception_names_its_reason() -> None:
    for reason in (*LONG_FILES.values(), *LONG_FUNCTIONS.values()):
        assert len(reason) > 20


def test_no_file_holds_a_download_address() -> None:
    assert _found(_DOWNLOADS) == {}


def test_no_file_holds_a_path_of_this_machine() -> None:
    assert _found(re.compile(re.escape(f"{ROOT}/"))) == {}
    assert _found(_HOMES) == {}


def test_no_file_speaks_of_what_lies_outside_the_repository() -> None:
    assert _found(_ELSEWHERE) == {}


def _found(pattern: re.Pattern[str]) -> dict[str, list[str]]:
    here = "tests/conventions/test_code.py"
    hits = {name: pattern.findall(text) for name, text in texts().items() if name != here}
    return {name: found for name, found in hits.items() if found}
