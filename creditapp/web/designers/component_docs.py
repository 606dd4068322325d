"""Documentation of a component, read from its template: the comment at its top and its macro.

The comment begins with what the component is. A sentence that begins with names of parameters and
a colon describes them: ``text: what it does.`` or ``name, label: of the field.``
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from flask import current_app
from jinja2 import TemplateSyntaxError, nodes

from creditapp.http import mistakes
from creditapp.http.mistakes import Mistake
from creditapp.web.designers.examples import Subject
from creditapp.web.designers.index import root

_COMMENT = re.compile(r"\s*\{#(.*?)#\}", re.DOTALL)
_NAMES = re.compile(r"(?:^\s*|(?<=[.;] ))((?:\w+, )*\w+): ", re.MULTILINE)


@dataclass(frozen=True)
class Parameter:
    """One parameter of a component; ``default`` is as written, or None where it is required."""

    name: str
    default: str | None
    about: str


@dataclass(frozen=True)
class ComponentDocs:
    """A component's lead, and its parameters in the order of the macro."""

    lead: str
    parameters: tuple[Parameter, ...]


def read(name: str) -> ComponentDocs:
    """Return the documentation of a component; raise ``TemplateSyntaxError`` for a broken one."""
    file = root() / f"templates/components/{name}.html"
    source = file.read_text(encoding="utf-8")
    tree = current_app.jinja_env.parse(source, f"components/{name}.html", str(file))
    macro = next(tree.find_all(nodes.Macro), None)
    comment = _COMMENT.match(source)
    lead, about = _split(
        comment[1] if comment else "", [arg.name for arg in macro.args] if macro else []
    )
    if macro is None:
        return ComponentDocs(lead, ())
    required = len(macro.args) - len(macro.defaults)
    return ComponentDocs(
        lead,
        tuple(
            Parameter(
                name=argument.name,
                default=None if number < required else _literal(macro.defaults[number - required]),
                about=about.get(argument.name, ""),
            )
            for number, argument in enumerate(macro.args)
        ),
    )


def read_for_designer(component: Subject) -> tuple[ComponentDocs, list[Mistake]]:
    """Return a component's documentation, and what is wrong with its files."""
    found = [component.mistake] if component.mistake else []
    docs = ComponentDocs("", ())
    try:
        docs = read(component.name)
    except TemplateSyntaxError as error:
        found += filter(None, [mistakes.find(error)])
    except FileNotFoundError:
        place = f"templates/components/{component.name}.html"
        found.append(Mistake(place, None, "There is no such component."))
    if not component.mistake and not component.no_styles:
        found += _missing_styles(component.name)
    return docs, found


def _missing_styles(name: str) -> Iterator[Mistake]:
    place, selector = f"static/css/components/{name}.css", f".{name.replace('_', '-')}"
    file = root() / place
    if not file.is_file() or not re.search(rf"{re.escape(selector)}(?![a-z])", file.read_text()):
        message = (
            f"ui.{name} has no styles: write this file with the class {selector}, or say "
            f'"no_styles" with the reason in {name}.json.'
        )
        yield Mistake(place, None, message)


def _split(comment: str, parameters: list[str]) -> tuple[str, dict[str, str]]:
    """Return the lead of a comment and the description of each parameter."""
    entries = [
        entry for entry in _NAMES.finditer(comment) if set(entry[1].split(", ")) <= set(parameters)
    ]
    ends = [entry.start() for entry in entries[1:]] + [len(comment)]
    about = {
        name: _line(comment[entry.end() : end])
        for entry, end in zip(entries, ends, strict=False)
        for name in entry[1].split(", ")
    }
    return _line(comment[: entries[0].start()] if entries else comment), about


def _line(text: str) -> str:
    return " ".join(text.split())


def _literal(node: nodes.Expr) -> str:
    value = node.as_const()
    return f'"{value}"' if isinstance(value, str) else str(value)
