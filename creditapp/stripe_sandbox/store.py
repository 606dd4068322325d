"""Sandbox database: one SQLite file with one row per object.

An object, its event, the event's delivery and the stored response of an idempotency key are
committed in one transaction, so a killed process leaves nothing half done.
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
"""Maximum wait for another process that writes to the same file."""

LINES_EMBEDDED_MAX = 10
"""Maximum number of lines included in an invoice."""

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


class Store:
    """Objects, settings and clock within one transaction, and the API request it belongs to."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.request_id: str | None = None
        self.idempotency_key: str | None = None
        self.public_url = ""
        self.has_queued_delivery = False
        self.clock_moved = False
        self._now: int | None = None

    @property
    def now(self) -> int:
        """The time of the transaction, by the sandbox's clock."""
        if self._now is None:
            self._now = clock.now(self)
        return self._now

    @contextmanager
    def at(self, moment: int) -> Iterator[None]:
        """Set ``now`` inside the block to a past moment, when the work was due."""
        before, self._now = self._now, moment
        try:
            yield
        finally:
            self._now = before

    def advance(self, seconds: int) -> None:
        """Advance the clock."""
        clock.advance(self, seconds)
        self._now = None
        self.clock_moved = True

    def earliest_due(self, kind: str) -> Json | None:
        """Return the object with the earliest ``_due_at`` in the past, or None."""
        row = self.connection.execute(
            "SELECT body FROM objects WHERE kind = ? AND json_extract(body, '$._due_at') <= ?"
            " ORDER BY json_extract(body, '$._due_at'), seq LIMIT 1",
            (kind, self.now),
        ).fetchone()
        return json.loads(row[0]) if row else None

    def get(self, kind: str, object_id: str, *, deleted: bool = False) -> Json | None:
        """Return an object, or None; with ``deleted``, what is left of a deleted one too."""
        row = self.connection.execute(
            "SELECT body FROM objects WHERE id = ? AND kind = ?", (object_id, kind)
        ).fetchone()
        resource: Json | None = json.loads(row[0]) if row else None
        return None if resource and resource.get("deleted") and not deleted else resource

    def put(self, resource: Json) -> Json:
        """Insert or replace an object by its id and return it."""
        self.connection.execute(
            "INSERT INTO objects (id, kind, body) VALUES (?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET body = excluded.body",
            (resource["id"], resource["object"], json.dumps(resource, ensure_ascii=False)),
        )
        return resource

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
        """Return objects newest first, optionally older than ``before`` or newer than ``after``.

        ``where`` compares fields by name with a value or a list of them; ``created`` holds ``gt``,
        ``gte``, ``lt`` and ``lte``; ``due`` is the name of a time field and its latest value.
        """
        parts = ["kind = ?", "json_extract(body, '$.deleted') IS NULL"]
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
        # Field names and operators come from the sandbox's code; values are bound.
        rows = self.connection.execute(
            f"SELECT body FROM objects WHERE {' AND '.join(parts)} ORDER BY seq {order} LIMIT ?",  # noqa: S608
            (*arguments, limit),
        ).fetchall()
        objects = [json.loads(row[0]) for row in rows]
        return objects[::-1] if after else objects

    def setting(self, name: str, default: str) -> str:
        """Return a stored value, or the default."""
        row = self.connection.execute(
            "SELECT value FROM settings WHERE name = ?", (name,)
        ).fetchone()
        return str(row[0]) if row else default

    def set_setting(self, name: str, value: str) -> None:
        """Store a value."""
        self.connection.execute(
            "INSERT INTO settings (name, value) VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, value),
        )


class Database:
    """The SQLite file. Safe with many threads and several processes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._pid = 0

    @contextmanager
    def transaction(self) -> Iterator[Store]:
        """Yield the store; commit at the end, roll back on an error.

        Never hold it during a network call: it blocks all others.
        """
        with self._lock:
            connection = self._open()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield Store(connection)
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
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            connection = sqlite3.connect(
                self._path, timeout=BUSY_SECONDS_MAX, isolation_level=None, check_same_thread=False
            )
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode=WAL")
            # NORMAL survives a killed process; only a power cut may lose the last commits, and no
            # real money is recorded here.
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.executescript(_SCHEMA)
            self._connection, self._pid = connection, os.getpid()
        return self._connection


def public(resource: Json) -> Json:
    """Return an object for the API, without the sandbox's private ``_`` fields.

    As with Stripe, an invoice includes its first ten lines; the list endpoint returns all.
    """
    public_fields = {name: value for name, value in resource.items() if not name.startswith("_")}
    if resource["object"] == "invoice":
        lines = resource["lines"]["data"]
        first = {"data": lines[:LINES_EMBEDDED_MAX], "has_more": len(lines) > LINES_EMBEDDED_MAX}
        public_fields["lines"] = resource["lines"] | first
    return public_fields
