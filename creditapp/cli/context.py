"""The app context of a command, its output, and its look-ups."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from flask import Flask

from creditapp import accounts, create_app
from creditapp.accounts import User
from creditapp.db import db, snapshot
from creditapp.runtime import server


@contextmanager
def app_context() -> Iterator[Flask]:
    """Build the app, migrate its database, and enter its context."""
    app = create_app()
    with app.app_context():
        server.prepare(app)
        yield app
        # A process forked later must not inherit these connections.
        db.engine.dispose()


def say(facts: dict[str, Any], text: str, as_json: bool) -> None:
    """Print the facts for scripts, or the text for people."""
    click.echo(json.dumps(facts, indent=2, default=str) if as_json else text)


def find_user(email: str) -> User:
    """Return the user with this email address; raise ``ClickException`` if there is none."""
    with snapshot() as session:
        user = accounts.find_by_email(session, email)
    if user is None:
        raise click.ClickException(f"No account has the email address {email}.")
    return user
