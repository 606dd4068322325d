"""The sandbox's state: one SQLite file with an object a row, written in whole transactions.

An object, the event that tells of it, the event's delivery and the stored answer of an
idempotency key are committed together or not at all, so a killed process leaves nothing half done.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from creditapp.stripe_sandbox import clock

Json = dict[str, Any]

BUSY_SECONDS_MAX = 20.0
"""How long a process waits for another one that writes to the same file."""

LINES_EMBEDDED_MAX = 10
"""How many of its lines an invoice shows in itself."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS objects_by_kind ON objects (kind, seq);
CREATE INDEX IF NOT EXISTS objects_by_intent
    ON objects (kind, json_extract(body, '$.payment_intent'));
CREATE INDEX IF NOT EXISTS objects_by_status ON objects (kind, json_extract(body, '$.status'));
CREATE INDEX IF NOT EXISTS objects_by_due ON objects (kind, json_extract(body, '$._due_at'));
CREATE TABLE IF NOT EXISTS deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id TEXT NOT NULL,
    reason TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    due_at REAL NOT NULL,
    last_status INTEGER,
    last_error TEXT,
    last_at REAL
);
CREATE INDEX IF NOT EXISTS deliveries_due ON deliveries (state, due_at);
CREATE INDEX IF NOT EXISTS deliveries_by_event ON deliveries (event_id);
CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY,
    path TEXT NOT NULL,
    digest TEXT NOT NULL,
    request_id TEXT NOT NULL,
    status INTEGER NOT NULL,
    body TEXT NOT NULL,
    created_at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


class Books:
    """The state as one transaction sees and changes it, and who asks: events tell of both."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.request_id: str | None = None
        self.idempotency_key: str | None = None
        self.public_url = ""
        self.wrote_delivery = False
        self.moved_clock = False
        self._now: int | None = None

    @property
    def now(self) -> int:
        """The transaction's moment, by the sandbox's clock."""
        if self._now is None:
            self._now = clock.now(self)
        return self._now

    @contextmanager
    def at(self, moment: int) -> Iterator[None]:
        """Let what happens inside happen at a moment that has passed: when it fell due."""
        before, self._now = self._now, moment
        try:
            yield
        finally:
            self._now = before

    def advance(self, seconds: int) -> None:
        """Move the clock on."""
        clock.advance(self, seconds)
        self._now = None
        self.moved_clock = True

    def earliest_due(self, kind: str) -> Json | None:
        """Return the object whose ``_due_at`` is the first that has passed, or None."""
        row = self.connection.execute(
            "SELECT body FROM objects WHERE kind = ? AND json_extract(body, '$._due_at') <= ?"
            " ORDER BY json_extract(body, '$._due_at'), seq LIMIT 1",
            (kind, self.now),
        ).fetchone()
        return json.loads(row[0]) if row else None

    def get(self, kind: str, object_id: str) -> Json | None:
        """Return an object, or None."""
        row = self.connection.execute(
            "SELECT body FROM objects WHERE id = ? AND kind = ?", (object_id, kind)
        ).fetchone()
        return json.loads(row[0]) if row else None

    def put(self, thing: Json) -> Json:
        """Insert or replace an object by its id and return it."""
        self.connection.execute(
            "INSERT INTO objects (id, kind, body) VALUES (?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET body = excluded.body",
            (thing["id"], thing["object"], json.dumps(thing, ensure_ascii=False)),
        )
        return thing

    def find(
        self,
        kind: str,
        where: Mapping[str, object] | None = None,
        *,
        limit: int = 100,
        before: str | None = None,
        after: str | None = None,
        created: Mapping[str, int] | None = None,
        due: tuple[str, float] | None = None,
    ) -> list[Json]:
        """Return objects, the newest first: those older than ``before``, newer than ``after``.

        ``where`` compares fields by name with a value or a list of them; ``created`` holds ``gt``,
        ``gte``, ``lt`` and ``lte``; ``due`` names a field that holds a moment, and the moment it
        must not lie after.
        """
        parts = ["kind = ?"]
        arguments: list[object] = [kind]
        for name, value in (where or {}).items():
            values = value if isinstance(value, list) else [value]
            parts.append(f"json_extract(body, '$.{name}') IN ({', '.join('?' * len(values))})")
            arguments.extend(values)
        for word, sign in (("gt", ">"), ("gte", ">="), ("lt", "<"), ("lte", "<=")):
            if created and word in created:
                parts.append(f"json_extract(body, '$.created') {sign} ?")
                arguments.append(created[word])
        if due:
            parts.append(f"json_extract(body, '$.{due[0]}') <= ?")
            arguments.append(due[1])
        for other, sign in ((before, "<"), (after, ">")):
            if other:
                parts.append(f"seq {sign} (SELECT seq FROM objects WHERE id = ?)")  # noqa: S608
                arguments.append(other)
        order = "ASC" if after else "DESC"
        # The names of fields and the signs are the sandbox's own words; values are bound.
        rows = self.connection.execute(
            f"SELECT body FROM objects WHERE {' AND '.join(parts)} ORDER BY seq {order} LIMIT ?",  # noqa: S608
            (*arguments, limit),
        ).fetchall()
        found = [json.loads(row[0]) for row in rows]
        return found[::-1] if after else found

    def setting(self, name: str, default: str) -> str:
        """Return a kept value, or the default."""
        row = self.connection.execute(
            "SELECT value FROM settings WHERE name = ?", (name,)
        ).fetchone()
        return str(row[0]) if row else default

    def set_setting(self, name: str, value: str) -> None:
        """Keep a value."""
        self.connection.execute(
            "INSERT INTO settings (name, value) VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, value),
        )


class Store:
    """The file. Safe with many threads, and with several processes on the same file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._pid = 0

    @contextmanager
    def transaction(self) -> Iterator[Books]:
        """Yield the state for reading and writing; commit at the end, roll back on an error.

        Never hold it around a network call: everyone else waits.
        """
        with self._lock:
            connection = self._open()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield Books(connection)
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def close(self) -> None:
        """Close the file; the next transaction opens it again."""
        with self._lock:
            if self._connection is not None and self._pid == os.getpid():
                self._connection.close()
            self._connection = None

    def _open(self) -> sqlite3.Connection:
        # A connection must not be carried across a fork, so a child opens its own.
        if self._connection is None or self._pid != os.getpid():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(
                self._path,
                timeout=BUSY_SECONDS_MAX,
                isolation_level=None,
                check_same_thread=False,
            )
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode=WAL")
            # NORMAL outlives a killed process; only a power cut may take back the last commits,
            # and no money is in here.
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.executescript(_SCHEMA)
            self._connection, self._pid = connection, os.getpid()
        return self._connection


def public(thing: Json) -> Json:
    """Return an object as the outside sees it: without the sandbox's own ``_`` fields.

    Of an invoice's lines it has the first ten, as with Stripe; all of them are on other pages.
    """
    shown = {name: value for name, value in thing.items() if not name.startswith("_")}
    if thing["object"] == "invoice":
        lines = thing["lines"]["data"]
        first = {"data": lines[:LINES_EMBEDDED_MAX], "has_more": len(lines) > LINES_EMBEDDED_MAX}
        shown["lines"] = thing["lines"] | first
    return shown
