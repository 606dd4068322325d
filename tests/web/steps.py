"""Steps that users take on the pages, shared by the tests of this folder."""

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
    """Make images, wait until they are there, and return the generation's path."""
    answer = submit(person, prompt, model="nano-banana", **fields)
    assert answer.status_code == 303, answer.text
    queue.run()
    return str(answer.location)


def image_urls(page: str) -> list[str]:
    """Return the URLs of the images on a page, each once."""
    return list(dict.fromkeys(re.findall(r'src="(/media/[^"?]+)"', page)))


def log_in(person: Person, email: str, password: str = PASSWORD, **fields: str) -> TestResponse:
    """Fill in the form to log in."""
    return person.post("/auth/login", {"email": email, "password": password, **fields})


def emailed_paths(outbox: Outbox, queue: Queue, event_name: str, to: str) -> list[str]:
    """Deliver queued emails; return the paths that those of one event to one address link to."""
    queue.run()
    texts = [email.text for email in outbox.sent if (email.event, email.to) == (event_name, to)]
    return [links[0] for text in texts if (links := re.findall(r"http://localhost(/\S+)", text))]


def hidden_fields(form: str) -> dict[str, str]:
    """Return the hidden fields and text areas that a browser sends for a form."""
    hidden = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form)
    texts = re.findall(r'<textarea[^>]*name="([^"]+)"[^>]*>\n?(.*?)</textarea>', form, re.DOTALL)
    return {name: unescape(text) for name, text in [*hidden, *texts]}


@contextmanager
def queries(app: Flask) -> Iterator[list[str]]:
    """Collect the SQL statements executed in the block."""
    statements: list[str] = []

    def record(_conn: object, _cursor: object, statement: str, *_rest: object) -> None:
        if not statement.startswith(("BEGIN", "PRAGMA", "SELECT pg_catalog")):
            statements.append(statement)

    with app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", record)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", record)
