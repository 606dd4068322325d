"""The app with a route that tells how many statements and round trips it has made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from typing import Any

from psycopg import generators
from sqlalchemy import event
from sqlalchemy.engine import Engine

from creditapp.config import Settings
from creditapp.http.asgi import AsgiApp
from creditapp.http.policies import policy
from creditapp.runtime import server
from creditapp.services import get


def build() -> AsgiApp:
    """Return the app; ``/bench-counts`` returns its counts since it started."""
    counts: Counter[str] = Counter(statements=0, trips=0)

    def count_statement(*_arguments: object) -> None:
        counts["statements"] += 1

    execute = generators.execute

    def count_trip(connection: Any) -> Generator[Any, Any, Any]:
        counts["trips"] += 1  # one message to the server and its answer: BEGIN and COMMIT too
        return (yield from execute(connection))

    generators.execute = count_trip
    event.listen(Engine, "before_cursor_execute", count_statement)
    app = server.start()
    app.add_url_rule("/bench-counts", "bench_counts", policy("public")(lambda: dict(counts)))
    with app.app_context():
        return AsgiApp(app, get(Settings))
