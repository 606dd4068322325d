"""Names and prose use the words of ``docs/glossary.md``."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.conventions.files import ROOT, texts

OLD_MODULES = {
    "creditapp/ledger": (
        *("books", "drawing", "charging", "settling", "returns", "families", "households"),
        *("granting", "transferring", "reading", "kinds", "requests"),
    ),
    "creditapp/generation": (
        *("keeping", "work", "settling", "sweeping", "lifecycle", "requests", "pictures"),
    ),
    "creditapp/accounts": ("entering", "joining", "keyed", "rules", "addresses"),
    "creditapp/emails": ("post", "telling", "warnings"),
    "creditapp/catalog": ("words", "advice", "costs", "sales", "build_sales"),
    "creditapp/payments": (
        *("agreement", "repeating", "standing", "telling", "telling_plans", "opening"),
        *("changing", "cycles", "scheduled", "purchase_keys", "topping_up", "topups"),
        *("topup_reading", "inbox", "embedded", "card_warnings", "reconciling", "refunding"),
        *("gateway_types", "plan_types", "topup_types"),
    ),
    "creditapp/stripe_sandbox": ("buttons", "collecting", "previewing", "promoting", "words"),
    "creditapp/web": ("shapes", "purse", "till", "looks", "wish", "ways", "bodies", "viewers"),
    "creditapp/jobs": ("executors",),
    "creditapp": (*("wiring", "observability", "commanding", "background", "seeding", "serving"),),
    "tests": ("till", "house", "line", "stories", "standins", "doer", "plain_model"),
}
"""Per package, the modules and folders that have a plainer name: ``docs/glossary.md`` has both."""

OLD_NAMES = {
    *("Books", "Draw", "Household", "Made", "Piece", "Post", "Told", "Standing", "Chosen"),
    *("Roll", "Living", "BodyDoor", "Till", "PlanTill", "TopupTill", "Line", "Doer"),
    *("the", "tell", "look", "said_of", "hear_of", "awaits", "come_back", "gather"),
    *("bought_before", "answered", "once", "till", "house", "doer", "standin"),
}
"""Public functions, classes, methods and fixtures that have a plainer name now."""

FIRST_WORDS = ("What", "Who", "Whoever", "Whatever", "Where", "Nobody", "Somebody")
"""A docstring begins with a verb or a noun that a colleague would search for, not with these."""

PHRASES = re.compile(
    r"\bpictures?\b|\bmails? lies\b|\bmail is written\b|\bis told\b|\bpost office\b"
    r"|\be-mail|\ba few signs\b|\bthose who run\b|\bknown by\b|\bholds everywhere\b",
    re.IGNORECASE,
)
"""Words that pages and documents no longer use."""


def test_no_module_has_an_old_name() -> None:
    found = [
        name
        for name in texts(".py")
        for package, old in OLD_MODULES.items()
        if name.startswith(f"{package}/")
        and {part.removeprefix("test_") for part in re.split(r"[/.]", name)} & set(old)
    ]
    assert found == []


def test_no_public_name_is_an_old_one() -> None:
    found = [
        f"{name}:{node.lineno} {node.name}"
        for name, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in OLD_NAMES
    ]
    assert found == []


def test_no_docstring_begins_with_a_clause() -> None:
    found = [
        f"{name}:{getattr(node, 'lineno', 1)} {docstring.splitlines()[0]}"
        for name, tree in trees()
        for node, docstring in docstrings(tree)
        if docstring.split(maxsplit=1)[:1] and docstring.split(maxsplit=1)[0] in FIRST_WORDS
    ]
    assert found == []


def test_no_page_or_document_uses_an_old_word() -> None:
    found = [
        f"{name}:{number} {line.strip()}"
        for name, text in texts(".html", ".txt", ".md", ".json", ".toml").items()
        if name.startswith(("templates/", "docs/", "README", "creditapp/"))
        and name != "docs/glossary.md"
        for number, line in enumerate(text.splitlines(), 1)
        if PHRASES.search(line)
    ]
    assert found == []


def test_the_glossary_translates_every_old_name() -> None:
    old = {
        word
        for row in glossary_rows()
        for cell in row[:1]
        for word in re.findall(r"`([^`]+)`", cell)
    }
    modules = {module for names in OLD_MODULES.values() for module in names}
    assert (modules | OLD_NAMES) - old == set()


def test_every_row_of_the_glossary_names_something_that_exists() -> None:
    code = "\n".join(texts(".py").values())
    paths = " ".join(texts(".py"))
    missing = [
        word
        for row in glossary_rows()
        for word in re.findall(r"`([^`]+)`", row[1])
        if not re.search(rf"\b{re.escape(word.split('.')[-1].rstrip('()'))}\b", code + paths)
    ]
    assert missing == []


def glossary_rows() -> list[list[str]]:
    """Return the cells of the table of old and new names."""
    page = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    table = page.partition("## Old names")[2]
    rows = [line.strip("| ").split("|") for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:] if len(row) >= 2]


def trees() -> Iterator[tuple[str, ast.Module]]:
    """Yield every module of ours, parsed."""
    for name, text in texts(".py").items():
        if not name.startswith("migrations/versions/"):
            yield name, ast.parse(text)


def docstrings(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    """Yield what has a docstring, with its docstring; strings below an assignment count too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if docstring := ast.get_docstring(node):
                yield node, docstring
            for child in node.body[1:]:
                value = child.value if isinstance(child, ast.Expr) else None
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    yield child, value.value
