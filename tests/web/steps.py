"""What people do on the pages, in one line each; shared by the tests of this folder."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape

from flask import Flask
from sqlalchemy import event
from werkzeug.test import TestResponse

from creditapp.db import db
from tests.app_factory import Outbox, Person, Queue

HTMX = {"HX-Request": "true"}
PASSWORD = "correct horse battery"


def submit(person: Person, prompt: str = "a harbour at dusk", **fields: str) -> TestResponse:
    """Fill in the studio's form and press the button."""
    page = person.browser.get("/").text
    nonce = page.split('name="nonce" value="')[1].split('"')[0]
    return person.post("/generations", {"prompt": prompt, "nonce": nonce, **fields})


def make(person: Person, queue: Queue, prompt: str = "a harbour at dusk", **fields: str) -> str:
    """Make pictures, wait until they are there, and return the generation's path."""
    answer = submit(person, prompt, model="nano-banana", **fields)
    assert answer.status_code == 303, answer.text
    queue.run()
    return str(answer.location)


def pictures(page: str) -> list[str]:
    """Return the addresses of the pictures that a page shows, each once."""
    return list(dict.fromkeys(re.findall(r'src="(/media/[^"?]+)"', page)))


def log_in(person: Person, email: str, password: str = PASSWORD, **fields: str) -> TestResponse:
    """Fill in the form to log in."""
    return person.post("/auth/login", {"email": email, "password": password, **fields})


def mailed(outbox: Outbox, queue: Queue, event_name: str, to: str) -> list[str]:
    """Send what waits; return the paths that the mails of one kind to one person link to."""
    queue.run()
    texts = [each.text for each in outbox.sent if (each.event, each.to) == (event_name, to)]
    return [found[0] for text in texts if (found := re.findall(r"http://localhost(/\S+)", text))]


def hidden_fields(form: str) -> dict[str, str]:
    """Return what a browser would send of a form: its hidden fields and its text areas."""
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form)
    texts = re.findall(r'<textarea[^>]*name="([^"]+)"[^>]*>\n?(.*?)</textarea>', form, re.DOTALL)
    return {name: unescape(text) for name, text in [*found, *texts]}


@contextmanager
def queries(app: Flask) -> Iterator[list[str]]:
    """Collect the statements that the database gets meanwhile."""
    seen: list[str] = []

    def note(_conn: object, _cursor: object, statement: str, *_rest: object) -> None:
        if not statement.startswith(("BEGIN", "PRAGMA", "SELECT pg_catalog")):
            seen.append(statement)

    with app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)
