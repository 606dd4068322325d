"""The components' examples: data that a designer writes, shown on ``/credits-demo`` and tested.

``templates/examples/<component>.json`` holds ``{"about", "examples": {state: {"title", "args"}}}``.
JSON knows no time, so ``"now+3h"`` stands for a moment and ``"today-2"`` for a day.

A mail's examples are ``templates/emails/<event>/examples.json``, with a ``context`` for each state.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

_MOMENT = re.compile(r"now([+-])(\d+)([smhd])")
_DAY = re.compile(r"today-(\d+)")
LITERAL_CHARACTERS_MAX = 120
"""Longer data stands in the example's file alone."""

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True)
class Example:
    """One state of a component."""

    name: str
    title: str
    args: dict[str, Any]
    code: str
    """The call, as a designer would write it into a template."""


@dataclass(frozen=True)
class Component:
    """A component with all its states."""

    name: str
    about: str
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class MailExample:
    """One state of a mail, with what its templates are given."""

    name: str
    title: str
    context: dict[str, Any]


@dataclass(frozen=True)
class Mail:
    """A mail with all its states."""

    event: str
    about: str
    examples: tuple[MailExample, ...]


def load_mails(folder: Path, present: datetime) -> tuple[Mail, ...]:
    """Return every mail that has examples, by event; moments are text, as mails are stored."""
    return tuple(_mail(file, present) for file in sorted(folder.glob("*/examples.json")))


def _mail(file: Path, present: datetime) -> Mail:
    found = json.loads(file.read_text())
    return Mail(
        file.parent.name,
        found["about"],
        tuple(
            MailExample(name, each["title"], _as_stored(_with_times(each["context"], present)))
            for name, each in found["examples"].items()
        ),
    )


def _as_stored(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _as_stored(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_as_stored(each) for each in value]
    return value.isoformat() if isinstance(value, datetime) else value


def load_examples(folder: Path, present: datetime) -> tuple[Component, ...]:
    """Return every component that has examples, by name; times count from ``present``."""
    return tuple(_component(file, present) for file in sorted(folder.glob("*.json")))


def _component(file: Path, present: datetime) -> Component:
    found = json.loads(file.read_text())
    return Component(
        file.stem,
        found["about"],
        tuple(
            Example(
                name,
                example["title"],
                _with_times(example["args"], present),
                _call(file.stem, example["args"]),
            )
            for name, example in found["examples"].items()
        ),
    )


def _call(component: str, args: dict[str, Any]) -> str:
    lines = [f"  {name}={_argument(name, value)}" for name, value in args.items()]
    if not lines:
        return f"{{{{ ui.{component}() }}}}"
    return f"{{{{ ui.{component}(\n" + ",\n".join(lines) + ") }}"


def _argument(name: str, value: object) -> str:
    """Return a value as it is written into the call; long data as a page has it, by its name."""
    text = _literal(value)
    return name if isinstance(value, dict | list) and len(text) > LITERAL_CHARACTERS_MAX else text


def _literal(value: object) -> str:
    """Return a value as Jinja writes it, which is JSON with true, false and none of its own."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    return re.sub(r"\bnull\b", "none", text).replace("\n", "\n  ")


def _with_times(value: Any, present: datetime) -> Any:
    if isinstance(value, dict):
        return {name: _with_times(each, present) for name, each in value.items()}
    if isinstance(value, list):
        return [_with_times(each, present) for each in value]
    if isinstance(value, str):
        if moment := _MOMENT.fullmatch(value):
            span = timedelta(**{_UNITS[moment[3]]: int(moment[2])})
            return present + span if moment[1] == "+" else present - span
        if day := _DAY.fullmatch(value):
            return (present - timedelta(days=int(day[1]))).date()
    return value
