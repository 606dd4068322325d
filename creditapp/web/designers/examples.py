"""Examples of components and emails: data that a designer writes, shown and tested.

``templates/examples/<component>.json`` holds ``{"about", "group", "use", "avoid", "no_styles",
"examples": {state: {"title", "show", "args"}}}``; ``avoid``, ``no_styles`` and ``show`` may be
missing. JSON has no times, so ``"now+3h"`` means a moment and ``"today-2"`` a day.

The examples of an email are in ``templates/emails/<event>/examples.json``, with a ``context`` for
each state.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from creditapp.http import mistakes
from creditapp.http.mistakes import Mistake

GROUPS = ("Foundations", "Controls", "Credits", "Images", "Chat", "Account", "Feedback")
BROKEN = "With mistakes"
"""The group of components whose examples cannot be read; only while designing."""

_MOMENT = re.compile(r"now([+-])(\d+)([smhd])")
_DAY = re.compile(r"today-(\d+)")
LITERAL_CHARACTERS_MAX = 120
"""Longer data is on the tab with the data, not in the call shown."""

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True)
class Example:
    """One state of a component or an email, with the arguments of its template."""

    name: str
    title: str
    args: dict[str, Any]
    show: str = ""
    """The state of a user's hand to draw: hover, focus or loading."""
    component: str = ""
    written: dict[str, Any] = field(default_factory=dict)
    """The arguments as the file has them, before its times count from now."""

    # Made when shown: every page of the designers loads all components for its index.

    @property
    def call(self) -> str:
        """The call of a component as written in a template."""
        return _call(self.component, self.written)

    @property
    def data(self) -> str:
        """The arguments as written in the file."""
        return json.dumps(self.written, ensure_ascii=False, indent=2)


@dataclass(frozen=True)
class Subject:
    """A component or an email with all its states."""

    name: str
    about: str
    examples: tuple[Example, ...]
    group: str = ""
    use: tuple[str, ...] = ()
    avoid: tuple[str, ...] = ()
    no_styles: str = ""
    mistake: Mistake | None = None


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
    return tuple(load_component(file, present) for file in sorted(folder.glob("*.json")))


def load_for_designer(folder: Path, present: datetime) -> Iterator[Subject]:
    """Yield every component, with the mistake of its file where that cannot be read."""
    names = {file.stem for file in folder.glob("*.json")}
    names |= {file.stem for file in (folder.parent / "components").glob("*.html")}
    for name in sorted(names):
        place = f"templates/examples/{name}.json"
        try:
            yield load_component(folder / f"{name}.json", present)
        except FileNotFoundError:
            message = f"ui.{name} has no examples: write this file with all its states."
            yield _broken(name, Mistake(place, None, message))
        except json.JSONDecodeError as error:
            yield _broken(name, Mistake(place, error.lineno, f"This is no JSON: {error.msg}."))
        except KeyError as error:
            yield _broken(name, Mistake(place, None, f"This file has no {error}."))


def load_component(file: Path, present: datetime) -> Subject:
    """Return the component of a file of examples."""
    data = json.loads(file.read_text())
    examples = tuple(
        Example(
            name=name,
            title=example["title"],
            args=_with_times(example["args"], present),
            show=example.get("show", ""),
            component=file.stem,
            written=example["args"],
        )
        for name, example in data["examples"].items()
    )
    return Subject(
        name=file.stem,
        about=data["about"],
        examples=examples,
        group=data["group"],
        use=tuple(data["use"]),
        avoid=tuple(data.get("avoid", ())),
        no_styles=data.get("no_styles", ""),
    )


def find_mistake(file: Path, example: Example, error: Exception) -> Mistake:
    """Return the mistake of an example that does not render: in a template, or in its own file."""
    in_template = mistakes.find(error)
    if in_template is not None:
        return in_template
    message = mistakes.message_of(error)
    misspelt = re.search(r"no keyword argument '(\w+)'", message)
    keys = [example.name, *(misspelt.groups() if misspelt else ())]
    return Mistake(f"templates/examples/{file.name}", _line(file.read_text(), keys), message)


def _line(text: str, keys: list[str]) -> int:
    """Return the line on which the last of some nested keys is."""
    at = 0
    for key in keys:
        at = max(at, text.find(f'"{key}":', at))
    return text.count("\n", 0, at) + 1


def _broken(name: str, mistake: Mistake) -> Subject:
    return Subject(name, "", (), group=BROKEN, mistake=mistake)


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
    return f"{{{{ ui.{component}(\n" + ",\n".join(lines) + "\n) }}"


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
