"""What every command does: build the app over a database that is up to date, and speak."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from flask import Flask

from creditapp import create_app
from creditapp.db import db
from creditapp.runtime import server


@contextmanager
def app_context() -> Iterator[Flask]:
    """Build the app over a database that is up to date, and enter its context."""
    app = create_app()
    with app.app_context():
        server.prepare(app)
        yield app
        # What is forked afterwards opens connections of its own.
        db.engine.dispose()


def say(facts: dict[str, Any], text: str, as_json: bool) -> None:
    """Print the facts for scripts, or the text for people."""
    click.echo(json.dumps(facts, indent=2, default=str) if as_json else text)
