"""The limit that HTTP figures stand beside: one route, one durable insert, nothing else."""

from __future__ import annotations

import os
import sqlite3
import threading

import psycopg
from flask import Flask

_local = threading.local()


def build() -> Flask:
    """Return an app whose only route writes one row and commits it to the disk."""
    app = Flask("bare")
    url = os.environ["DATABASE_URL"]
    if url.startswith("sqlite"):
        # Once, before anybody calls: changing the journal's mode wants the file for itself.
        first = sqlite3.connect(url.removeprefix("sqlite:///"))
        first.execute("PRAGMA journal_mode=WAL")
        first.execute("CREATE TABLE IF NOT EXISTS bare (id INTEGER PRIMARY KEY, text TEXT)")
        first.close()

    @app.post("/insert")
    def insert() -> str:
        if url.startswith("sqlite"):
            _sqlite(url).execute("INSERT INTO bare (text) VALUES ('one row')")
        else:
            _postgresql(url).execute("INSERT INTO bare (text) VALUES ('one row')")
        return "ok"

    @app.get("/healthz")
    def healthz() -> str:
        return "ok"

    return app


def _sqlite(url: str) -> sqlite3.Connection:
    if not hasattr(_local, "connection"):
        connection = sqlite3.connect(
            url.removeprefix("sqlite:///"), isolation_level=None, timeout=20
        )
        connection.execute("PRAGMA synchronous=FULL")
        _local.connection = connection
    found: sqlite3.Connection = _local.connection
    return found


def _postgresql(url: str) -> psycopg.Connection:
    if not hasattr(_local, "connection"):
        connection = psycopg.connect(url.replace("+psycopg", ""), autocommit=True)
        _local.connection = connection
    found: psycopg.Connection = _local.connection
    return found
