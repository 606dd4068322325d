"""Examples of components and emails: data that a designer writes, shown and tested.

``templates/examples/<component>.json`` holds ``{"about", "examples": {state: {"title", "args"}}}``.
JSON has no times, so ``"now+3h"`` means a moment and ``"today-2"`` a day.

The examples of an email are in ``templates/emails/<event>/examples.json``, with a ``context`` for
each state.
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
"""Longer data is only in the file of the example, not in the code shown."""

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True)
class Example:
    """One state of a component or an email, with the arguments of its template."""

    name: str
    title: str
    args: dict[str, Any]
    code: str = ""
    """The call of a component as written in a template."""


@dataclass(frozen=True)
class Subject:
    """A component or an email with all its states."""

    name: str
    about: str
    examples: tuple[Example, ...]


def load_emails(folder: Path, present: datetime) -> tuple[Subject, ...]:
    """Return every email that has examples, by event; times are text, as in stored emails."""
    subjects = []
    for file in sorted(folder.glob("*/examples.json")):
        data = json.loads(file.read_text())
        examples = tuple(
            Example(name, example["title"], _as_stored(_with_times(example["context"], present)))
            for name, example in data["examples"].items()
        )
        subjects.append(Subject(file.parent.name, data["about"], examples))
    return tuple(subjects)


def load_examples(folder: Path, present: datetime) -> tuple[Subject, ...]:
    """Return every component that has examples, by name; times count from ``present``."""
    subjects = []
    for file in sorted(folder.glob("*.json")):
        data = json.loads(file.read_text())
        examples = tuple(
            Example(
                name,
                example["title"],
                _with_times(example["args"], present),
                _call(file.stem, example["args"]),
            )
            for name, example in data["examples"].items()
        )
        subjects.append(Subject(file.stem, data["about"], examples))
    return tuple(subjects)


def _as_stored(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _as_stored(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_as_stored(item) for item in value]
    return value.isoformat() if isinstance(value, datetime) else value


def _call(component: str, args: dict[str, Any]) -> str:
    lines = [f"  {name}={_argument(name, value)}" for name, value in args.items()]
    if not lines:
        return f"{{{{ ui.{component}() }}}}"
    return f"{{{{ ui.{component}(\n" + ",\n".join(lines) + ") }}"


def _argument(name: str, value: object) -> str:
    """Return a value as written in the call; long data by its name, as on a page."""
    text = _literal(value)
    return name if isinstance(value, dict | list) and len(text) > LITERAL_CHARACTERS_MAX else text


def _literal(value: object) -> str:
    """Return a value in Jinja's syntax: JSON with none for null."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    return re.sub(r"\bnull\b", "none", text).replace("\n", "\n  ")


def _with_times(value: Any, present: datetime) -> Any:
    if isinstance(value, dict):
        return {name: _with_times(item, present) for name, item in value.items()}
    if isinstance(value, list):
        return [_with_times(item, present) for item in value]
    if isinstance(value, str):
        if moment := _MOMENT.fullmatch(value):
            span = timedelta(**{_UNITS[moment[3]]: int(moment[2])})
            return present + span if moment[1] == "+" else present - span
        if day := _DAY.fullmatch(value):
            return (present - timedelta(days=int(day[1]))).date()
    return value
