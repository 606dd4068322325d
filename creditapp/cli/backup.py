"""Commands that back up and restore everything but ``SECRET_KEY``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from creditapp.cli.context import say
from creditapp.clock import Clock
from creditapp.config import load_settings
from creditapp.runtime import backup as backups
from creditapp.runtime import restore as restores
from creditapp.runtime.database_copy import CopyFailed

_FOLDER = click.Path(path_type=Path)


@click.command()
@click.argument("folder", type=_FOLDER)
@click.option("--json", "as_json", is_flag=True)
def backup(folder: Path, as_json: bool) -> None:
    """Back up database, images and seals to a new folder, while the app runs."""
    with _failures_in_one_line():
        done = backups.back_up(load_settings(), folder, _progress, now=Clock().now())
    _finish(done, "Backed up", as_json)


@click.command()
@click.argument("folder", type=_FOLDER)
@click.option("--json", "as_json", is_flag=True)
def restore(folder: Path, as_json: bool) -> None:
    """Restore a backup into an empty database and folder, and check the ledger."""
    settings = load_settings()
    with _failures_in_one_line():
        other_key = restores.has_other_key(settings, folder)
        done = restores.restore(settings, folder, _progress)
    if other_key:
        click.echo(
            "SECRET_KEY is not the one of this backup: people have to log in again, and a person "
            "who signs up a second time gets welcome credits again.",
            err=True,
        )
    _finish(done, "Restored", as_json)


def _finish(done: backups.Summary, verb: str, as_json: bool) -> None:
    _progress("")
    say(done.as_dict(), done.as_text(verb), as_json)
    if not done.ledger_whole:
        raise click.exceptions.Exit(1)


def _progress(text: str) -> None:
    """Show what happens now, on a terminal alone."""
    if sys.stderr.isatty():
        click.echo(f"\r\x1b[K{text}", nl=False, err=True)


@contextmanager
def _failures_in_one_line() -> Iterator[None]:
    try:
        yield
    except CopyFailed as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"{error.filename or 'The disk'}: {error.strerror}.") from None


COMMANDS = (backup, restore)
