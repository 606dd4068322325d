"""The app context of a command, its output, and its look-ups."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from flask import Flask

from creditapp import accounts, create_app
from creditapp.accounts import User
from creditapp.config import Settings, load_settings
from creditapp.db import db, snapshot
from creditapp.logs import configure_logging
from creditapp.runtime import server
from creditapp.runtime.database_copy import CopyFailed


@contextmanager
def app_context() -> Iterator[Flask]:
    """Build the app, migrate its database, and enter its context."""
    app = create_app()
    with app.app_context():
        server.prepare(app)
        yield app
        # A process forked later must not inherit these connections.
        db.engine.dispose()


def read_settings() -> Settings:
    """Return the settings of a command that needs no app; logs go to stderr, as the app's do."""
    settings = load_settings()
    configure_logging(settings.log_level, human=settings.env == "demo")
    return settings


def say(facts: dict[str, Any], text: str, as_json: bool) -> None:
    """Print the facts for scripts, or the text for people."""
    click.echo(json.dumps(facts, indent=2, default=str) if as_json else text)


def show_progress(text: str) -> None:
    """Show what happens now, on a terminal alone."""
    if sys.stderr.isatty():
        click.echo(f"\r\x1b[K{text}", nl=False, err=True)


@contextmanager
def failures_in_one_line() -> Iterator[None]:
    """Turn the errors of disks and copies into messages for the operator."""
    try:
        yield
    except CopyFailed as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"{error.filename or 'The disk'}: {error.strerror}.") from None


def find_user(email: str) -> User:
    """Return the user with this email address; raise ``ClickException`` if there is none."""
    with snapshot() as session:
        user = accounts.find_by_email(session, email)
    if user is None:
        raise click.ClickException(f"No account has the email address {email}.")
    return user
