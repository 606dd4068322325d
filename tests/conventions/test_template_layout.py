"""Templates read like outlines: 2 columns for each level, at most 120 in a line."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.conventions.files import texts

COLUMNS_MAX = 120
TEMPLATES = {name: text for name, text in texts(".html").items() if "templates/" in name}
EMAIL_TEXTS = {name: text for name, text in texts(".txt").items() if "templates/" in name}

_INSIDE_TAG = r"(?:\{\{.*?\}\}|\{%.*?%\}|(?!\{[{%])[^<>])*"
_TOKEN = re.compile(
    r"(?P<skipped>\{#.*?#\}|\{\{.*?\}\}|<style>.*?</style>|<!doctype html>)"
    r"|\{%-?\s*(?P<statement>\w+)(?P<rest>.*?)-?%\}"
    r"|<(?P<slash>/?)(?P<tag>[a-z][a-z0-9]*|\{\{ \w+ \}\})" + _INSIDE_TAG + r">",
    re.DOTALL,
)
_OPENING = {"block", "for", "if", "macro"}
_VOID = {"br", "img", "input", "link", "meta"}
_FLAT = "html"
"""Its children, the head and the body, are not indented."""


def misplaced(text: str) -> list[str]:
    """Return the lines whose indentation does not match their nesting.

    A line begins 2 columns further right for each element and each statement that is open before
    it. Lines that begin inside a tag, an expression, a statement or a comment are free.
    """
    steps = list(_steps(text))
    wrong, offset = [], 0
    for number, line in enumerate(text.split("\n"), 1):
        words = line.lstrip()
        at = offset + len(line) - len(words)
        offset += len(line) + 1
        if not words or any(start < at < end for start, end, *_ in steps):
            continue
        depth = sum(after for start, _, _, after in steps if start < at)
        depth += sum(before for start, _, before, _ in steps if start == at)
        if len(line) - len(words) != 2 * depth:
            wrong.append(f"{number}: {2 * depth} columns before {words[:60]!r}")
    return wrong


def _steps(text: str) -> Iterator[tuple[int, int, int, int]]:
    """Yield each token's start and end, its own change of the depth, and the one after it."""
    for token in _TOKEN.finditer(text):
        own = after = 0
        statement, tag = token["statement"], token["tag"]
        if statement in _OPENING or (statement == "set" and "=" not in token["rest"]):
            after = 1
        elif statement in ("else", "elif"):
            own = -1
        elif statement and statement.startswith("end"):
            own = after = -1
        elif tag and tag not in _VOID and tag != _FLAT and not token[0].endswith("/>"):
            own, after = (-1, -1) if token["slash"] else (0, 1)
        yield token.start(), token.end(), own, after


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_is_indented_like_its_nesting(name: str) -> None:
    assert misplaced(TEMPLATES[name]) == []


def test_no_line_of_a_template_is_longer_than_the_limit() -> None:
    # A sentence of an email's text stays on one line: a line break here is one in the email.
    emails = ((name, line) for name, line in _lines(EMAIL_TEXTS) if "{%" in line or "[" in line)
    long = [
        f"{name} has {len(line)} columns: {line.strip()[:60]}"
        for name, line in [*_lines(TEMPLATES), *emails]
        if len(line) > COLUMNS_MAX
    ]
    assert long == []


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("<ul>\n  <li>\n    {{ one }}\n  </li>\n</ul>\n", 0),
        ("{% if a %}\n  <p>A</p>\n{% else %}\n  <br>\n{% endif %}\n", 0),
        ('<a href="/"\n    hx-get="/{% if a > b %}x{% endif %}">A\n</a>\n', 0),
        ("<ul>\n<li>A</li>\n</ul>\n", 1),
        ("{% for a in b %}\n{{ a }}\n  {% endfor %}\n", 2),
        ("<p>\n  A\n  </p>\n<p>B</p>\n", 1),
    ],
)
def test_the_nesting_is_measured(text: str, wrong: int) -> None:
    assert len(misplaced(text)) == wrong


def _lines(files: dict[str, str]) -> Iterator[tuple[str, str]]:
    for name, text in files.items():
        for line in text.splitlines():
            yield name, line
