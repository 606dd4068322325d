"""Steps that users take on the pages, shared by the tests of this folder."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from flask import Flask
from sqlalchemy import event, text
from werkzeug.test import TestResponse

from creditapp.db import db
from tests.app_factory import Outbox, Person, Queue
from tests.pages import Element

HTMX = {"HX-Request": "true"}
PASSWORD = "correct horse battery"
T = TypeVar("T")


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in a thread: the browser of other tests keeps an event loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def order(person: Person, prompt: str = "a harbour at dusk", **fields: str) -> dict[str, str]:
    """Open the studio; return the form's fields."""
    return {"prompt": prompt, "nonce": person.page("/").value("nonce"), **fields}


def submit(person: Person, prompt: str = "a harbour at dusk", **fields: str) -> TestResponse:
    """Fill in the studio's form and press the button."""
    return person.post("/generations", order(person, prompt, **fields))


def make(person: Person, queue: Queue, prompt: str = "a harbour at dusk", **fields: str) -> str:
    """Make images, wait until they are there, and return the generation's path."""
    answer = submit(person, prompt, model="nano-banana", **fields)
    assert answer.status_code == 303, answer.text
    queue.run()
    return str(answer.location)


def image_urls(page: Element) -> list[str]:
    """Return the URLs of the images on a page, each once."""
    urls = [image["src"] for image in page.all('img[src^="/media/"]')]
    # A list shows thumbnails.
    return list(dict.fromkeys(url.removesuffix("?size=small") for url in urls))


def log_in(person: Person, email: str, password: str = PASSWORD, **fields: str) -> TestResponse:
    """Fill in the form to log in."""
    return person.post("/auth/login", {"email": email, "password": password, **fields})


def emailed_paths(outbox: Outbox, queue: Queue, event_name: str, to: str) -> list[str]:
    """Deliver queued emails; return the paths that those of one event to one address link to."""
    queue.run()
    texts = [email.text for email in outbox.sent if (email.event, email.to) == (event_name, to)]
    return [links[0] for text in texts if (links := re.findall(r"http://localhost(/\S+)", text))]


@contextmanager
def queries(app: Flask) -> Iterator[list[str]]:
    """Collect the SQL statements executed in the block."""
    statements: list[str] = []

    def note(statement: str, _values: object) -> None:
        if not statement.startswith(("BEGIN", "PRAGMA", "SELECT pg_catalog")):
            statements.append(statement)

    with noted(app, note):
        yield statements


@contextmanager
def noted(app: Flask, note: Callable[[str, Any], None]) -> Iterator[None]:
    """Call ``note`` with each SQL statement executed in the block, and its values."""

    def record(_conn: object, _cursor: object, sql: str, values: Any, *_rest: object) -> None:
        note(sql, values)

    with app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", record)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", record)


def analyze(app: Flask) -> None:
    """Let the database count its rows, as autovacuum does."""
    with app.app_context(), db.engine.connect() as connection:
        outside = connection.execution_options(isolation_level="AUTOCOMMIT")
        is_sqlite = connection.dialect.name == "sqlite"
        outside.execute(text("ANALYZE" if is_sqlite else "VACUUM ANALYZE"))
