"""Commands for operators: each prints text for people, and JSON with ``--json``.

A mistake gets one line that says what to do, and exit status 2.
"""

from __future__ import annotations

import sys
from typing import NoReturn

import click
from sqlalchemy.exc import DBAPIError, OperationalError

from creditapp.cli import agents, backup, catalog, credits, media, payments, people, serve
from creditapp.config import SettingsInvalid
from creditapp.errors import AppError
from creditapp.payments.stripe.records import GatewayError
from creditapp.private_files import keep_files_private
from creditapp.units import AmountInvalid

_UNUSABLE = ("25006", "42501", "3F000")
"""SQLSTATE of a read-only database, of missing rights, and of a schema that does not exist."""


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="For developers: test, check, soak, bench and attack run the tests, all checks, the "
    "long proofs, the benchmarks and attacks on a running site.",
)
def commands() -> None:
    """CreditApp: a credits store and AI studio."""
    keep_files_private()


def _say_whole_sentences(group: click.Group) -> None:
    """Let the help of a group say each command's first sentence whole, however long."""
    for command in group.commands.values():
        command.short_help = (command.help or "").partition("\n\n")[0]
        if isinstance(command, click.Group):
            _say_whole_sentences(command)


for module in (serve, backup, media, people, credits, catalog, payments, agents):
    for command in module.COMMANDS:
        commands.add_command(command)
_say_whole_sentences(commands)


def main() -> None:
    """Run a command; turn every foreseen mistake into one line and exit status 2."""
    try:
        # With standalone_mode off, click returns the status of an Exit instead of raising it.
        status = commands(prog_name="./run", standalone_mode=False)
        sys.exit(status if isinstance(status, int) else 0)
    except click.Abort:
        sys.exit(130)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "./run"
        _fail(f"{error.format_message()} See {command} --help.")
    except click.ClickException as error:
        _fail(error.format_message())
    except DBAPIError as error:
        if not _is_about_the_database(error):
            raise
        _fail(f"DATABASE_URL: {error.orig}")
    except (SettingsInvalid, AppError, AmountInvalid) as error:
        _fail(str(error))
    except GatewayError as error:
        _fail(f"{error}" if error.permanent else f"{error} Run the same command again.")


def _is_about_the_database(error: DBAPIError) -> bool:
    """Return whether the database cannot be reached, read or written at all.

    These texts name the server, the role and the database; other errors may quote a row.
    """
    sqlstate = str(getattr(error.orig, "sqlstate", None) or "")
    return isinstance(error, OperationalError) or sqlstate in _UNUSABLE


def _fail(message: str) -> NoReturn:
    click.echo(message.splitlines()[0], err=True)
    sys.exit(2)
