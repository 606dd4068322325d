"""Commands that back up and restore everything but ``SECRET_KEY``."""

from __future__ import annotations

from pathlib import Path

import click

from creditapp.cli.context import failures_in_one_line, read_settings, say, show_progress
from creditapp.clock import Clock
from creditapp.runtime import backup as backups
from creditapp.runtime import restore as restores

_FOLDER = click.Path(path_type=Path)


@click.command()
@click.argument("folder", type=_FOLDER)
@click.option("--json", "as_json", is_flag=True)
def backup(folder: Path, as_json: bool) -> None:
    """Back up database, images and seals to a new folder, while the app runs."""
    with failures_in_one_line():
        done = backups.back_up(read_settings(), folder, show_progress, now=Clock().now())
    _finish(done, "Backed up", as_json)


@click.command()
@click.argument("folder", type=_FOLDER)
@click.option("--json", "as_json", is_flag=True)
def restore(folder: Path, as_json: bool) -> None:
    """Restore a backup into an empty database and folder, and check the ledger."""
    settings = read_settings()
    with failures_in_one_line():
        other_key = restores.has_other_key(settings, folder)
        done = restores.restore(settings, folder, show_progress)
    if other_key:
        click.echo(
            "SECRET_KEY is not the one of this backup: people have to log in again, and a person "
            "who signs up a second time gets welcome credits again.",
            err=True,
        )
    _finish(done, "Restored", as_json)


def _finish(done: backups.Summary, verb: str, as_json: bool) -> None:
    show_progress("")
    say(done.as_dict(), done.as_text(verb), as_json)
    if not done.ledger_whole:
        raise click.exceptions.Exit(1)


COMMANDS = (backup, restore)
