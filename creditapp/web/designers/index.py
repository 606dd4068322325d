"""The index of the designers' pages: every component and every other page, in groups."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from flask import current_app

from creditapp.clock import now
from creditapp.errors import NotFound
from creditapp.http import mistakes
from creditapp.web.designers.examples import (
    BROKEN,
    GROUPS,
    Subject,
    load_component,
    load_examples,
    load_for_designer,
)

START = "Start"


@dataclass(frozen=True)
class Entry:
    """One line of the index."""

    group: str
    name: str
    title: str
    about: str

    def matches(self, words: list[str]) -> bool:
        """Whether the entry has every word."""
        text = f"{self.name} {self.title} {self.about} {self.group}".lower().replace("_", " ")
        return all(word in text for word in words)


PAGES = (
    Entry(START, "embed", "Embed in your page", "The four widgets and the three calls, to copy."),
    Entry(START, "emails", "Emails", "Every email in every state, as it is sent."),
    Entry("Foundations", "tokens", "Tokens", "Colours, corners, shadows and motion."),
    Entry("Foundations", "type", "Type", "Five sizes and two weights of the system's own fonts."),
    Entry("Foundations", "space", "Space", "The steps between things, and the size of controls."),
    Entry("Foundations", "icons", "Icons", "Every icon that the templates use, with its call."),
)
"""Pages that are no component."""


def index(query: str = "") -> list[tuple[str, list[Entry]]]:
    """Return the groups of the index with the entries that have every word of the query."""
    entries = [
        *PAGES,
        *(Entry(each.group, each.name, each.name, each.about) for each in components()),
    ]
    words = query.lower().replace("_", " ").split()
    found = [entry for entry in entries if entry.matches(words)]
    groups = dict.fromkeys((START, *GROUPS, BROKEN, *(entry.group for entry in found)))
    named = ((group, [entry for entry in found if entry.group == group]) for group in groups)
    return [(group, rows) for group, rows in named if rows]


def components() -> tuple[Subject, ...]:
    """Return every component; while designing, with those whose files have mistakes."""
    folder, present = root() / "templates/examples", now()
    if mistakes.shown():
        return tuple(load_for_designer(folder, present))
    return load_examples(folder, present)


def find_component(name: str) -> Subject:
    """Return a component by its name."""
    folder = root() / "templates/examples"
    if mistakes.shown():
        found = next((each for each in components() if each.name == name), None)
    else:
        file = next((file for file in folder.glob("*.json") if file.stem == name), None)
        found = load_component(file, now()) if file else None
    if found is None:
        raise NotFound("There is no such component.")
    return found


def root() -> Path:
    """Return the root of the project, which has templates and static files."""
    return Path(current_app.root_path).parent
