"""The operator's commands. Each speaks to people, and with ``--json`` to scripts.

A mistake gets one line that says what to do, and exit status 2.
"""

from __future__ import annotations

import signal
import sys
import threading
from typing import Any, NoReturn

import click

from creditapp import accounts, ledger, units
from creditapp.accounts import AccountRules, EmailTaken, User
from creditapp.cli.context import app_context, say
from creditapp.cli.payments import reconcile, refund, sync_prices
from creditapp.clock import NEVER, now
from creditapp.config import SettingsInvalid, load_settings
from creditapp.db import snapshot, transaction
from creditapp.errors import AppError
from creditapp.generation import feedback
from creditapp.ids import new_id
from creditapp.payments.reconciliation import ledger_check
from creditapp.runtime import server as runtime_server
from creditapp.services import get


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def commands() -> None:
    """CreditApp: a credits store and AI studio."""


for command in (reconcile, refund, sync_prices):
    commands.add_command(command)


def main() -> None:
    """Run a command; turn every foreseen mistake into one line and status 2."""
    try:
        # Outside its standalone mode click returns the status of an Exit instead of raising it.
        status = commands(prog_name="./run", standalone_mode=False)
        sys.exit(status if isinstance(status, int) else 0)
    except click.Abort:
        sys.exit(130)
    except click.ClickException as mistake:
        _fail(mistake.format_message())
    except (SettingsInvalid, AppError) as refusal:
        _fail(getattr(refusal, "detail", None) or str(refusal))


def _fail(message: str) -> NoReturn:
    click.echo(message.splitlines()[0], err=True)
    sys.exit(2)


@commands.command()
def serve() -> None:
    """Migrate, import the catalog, and serve pages and jobs."""
    settings = load_settings()
    with app_context():
        # Here and not only in the server's own process, which would be started again and again.
        runtime_server.refuse_demo_leftovers()
    from granian.constants import Interfaces
    from granian.log import LogLevels
    from granian.server import Server

    server = Server(
        "creditapp.runtime.server:build",
        factory=True,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.WSGI,
        workers=1,
        blocking_threads=settings.threads,
        log_level=LogLevels.error,
        respawn_failed_workers=True,
        workers_kill_timeout=10,
    )
    runtime_server.say_when_ready(settings)
    server.serve()


@commands.command()
def worker() -> None:
    """Run the jobs in a process of their own."""
    from creditapp import jobs

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with app_context() as app:
        runtime_server.refuse_demo_leftovers()
        runtime_server.follow_catalog(app)
        click.echo("working")
        jobs.run(stop)


@commands.command()
def migrate() -> None:
    """Bring the database to this version's schema."""
    with app_context():
        click.echo("The database is up to date.")


@commands.command()
@click.option("--port", default=8421, show_default=True)
def sandbox(port: int) -> None:
    """Run the payment sandbox alone; point STRIPE_API_BASE at it."""
    from creditapp.stripe_sandbox import create_sandbox, serve, start_deliveries

    settings = load_settings()
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    app = create_sandbox(
        settings.data_dir / "sandbox.sqlite",
        public_url=f"http://127.0.0.1:{port}",
        webhook_url=f"http://127.0.0.1:{settings.port}/api/webhooks/stripe",
        webhook_secret=settings.webhook_secret,
        app_name=settings.site_name,
    )
    deliveries, server = start_deliveries(app), serve(app, "127.0.0.1", port)
    click.echo(f"sandbox at http://127.0.0.1:{port}")
    click.echo(
        "For the app: "
        f"STRIPE_API_BASE=http://127.0.0.1:{port} STRIPE_SECRET_KEY=sk_test_sandbox "
        f"STRIPE_WEBHOOK_SECRET={settings.webhook_secret}"
    )
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    stop.wait()
    deliveries.stop()
    server.stop()


@commands.group()
def user() -> None:
    """Make people."""


@user.command("create")
@click.argument("email")
@click.option("--password", help="Asked for when it is left out.")
@click.option("--admin", is_flag=True, help="An operator, who sees /admin.")
@click.option("--json", "as_json", is_flag=True)
def create_user(email: str, password: str | None, admin: bool, as_json: bool) -> None:
    """Open an account; its welcome credits are granted as at sign-up."""
    if password is None:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    with app_context():
        new = accounts.prepare_account(email, password)
        try:
            with transaction() as session:
                person = accounts.sign_up(session, new, get(AccountRules), now=now()).user
                person.is_admin = admin
        except EmailTaken:
            raise click.ClickException(f"{email} has an account already.") from None
        say({"id": person.id, "email": person.email}, f"{person.email} is {person.id}.", as_json)


@commands.command()
@click.argument("email")
@click.argument("amount")
@click.option("--reason", required=True, help="Shown in the person's history.")
@click.option("--json", "as_json", is_flag=True)
def grant(email: str, amount: str, reason: str, as_json: bool) -> None:
    """Give a person credits."""
    try:
        amount_micro = units.micro_from_text(amount)
    except units.AmountInvalid as error:
        raise click.ClickException(str(error)) from None
    with app_context():
        with transaction() as session:
            person = _person(email)
            connection = session.connection()
            wallet_id = ledger.ensure_wallet(connection, "user", person.id, now=now())
            ledger.grant(
                connection,
                wallet_id,
                amount_micro,
                source="admin",
                origin=f"admin:{new_id('grant')}",
                now=now(),
                actor="operator",
                note=reason,
            )
            balance = ledger.balance(connection, wallet_id, now=now())
        has = units.credits_text(balance.available_micro)
        say(
            {"email": person.email, "balance": _number(balance.available_micro)},
            f"{person.email} has {has} credits.",
            as_json,
        )


@commands.command()
@click.argument("email")
@click.option("--json", "as_json", is_flag=True)
def wallet(email: str, as_json: bool) -> None:
    """Show a person's balance, grants and last entries."""
    with app_context():
        person = _person(email)
        with snapshot() as session:
            connection = session.connection()
            wallet_id = ledger.find_wallet(connection, "user", person.id)
            if wallet_id is None:
                raise click.ClickException(f"{email} has no wallet yet.")
            balance = ledger.balance(connection, wallet_id, now=now())
            grants = ledger.list_grants(connection, wallet_id)
            lines = ledger.statement(connection, wallet_id, now=now(), limit=10)
    facts = {
        "wallet": wallet_id,
        "available": _number(balance.available_micro),
        "held": _number(balance.held_micro),
        "frozen": _number(balance.frozen_micro),
        "owed": _number(balance.owed_micro),
        "grants": [
            {
                "id": each.id,
                "source": each.source,
                "remaining": _number(each.remaining_micro),
                "of": _number(each.amount_micro),
                "expiresAt": None if each.expires_at >= NEVER else each.expires_at.isoformat(),
            }
            for each in grants
        ],
        "entries": [
            {
                "seq": each.seq,
                "type": each.type,
                "amount": _number(each.amount_micro),
                "balanceAfter": _number(each.balance_after_micro),
                "what": each.operation,
                "at": each.created_at.isoformat(timespec="seconds"),
            }
            for each in lines
        ],
    }
    say(facts, _wallet_text(person, facts), as_json)


@commands.command()
@click.option("--seals", is_flag=True, help="Check the nightly seals too.")
@click.option("--json", "as_json", is_flag=True)
def proof(seals: bool, as_json: bool) -> None:
    """Check the ledger's invariants for every wallet; exit 0 only if all hold."""
    with app_context(), snapshot() as session:
        report = ledger.proof.check(session.connection(), with_seals=seals)
        report.results.append(ledger_check.check(session.connection()))
        say(report.as_dict(), report.as_text(), as_json)
    if not report.ok:
        raise click.exceptions.Exit(1)


@commands.command()
@click.option("--json", "as_json", is_flag=True)
def reports(as_json: bool) -> None:
    """List the pictures that their owners reported, the latest first."""
    with app_context():
        with snapshot() as session:
            found = [
                {
                    "generation": each.id,
                    "model": each.model,
                    "reportedAt": each.reported_at,
                    "text": each.report_text,
                }
                for each in feedback.reported(session)
            ]
        lines = [f"{each['reportedAt']:%Y-%m-%d %H:%M}  {each['generation']}  {each['text']}"
                 for each in found]  # fmt: skip
        say({"reports": found}, "\n".join(lines) or "Nothing was reported.", as_json)


@commands.command()
def seed() -> None:
    """Fill the database with a cast to play with."""
    from creditapp.runtime import demo_data

    with app_context():
        for line in demo_data.seed():
            click.echo(line)


def _person(email: str) -> User:
    with snapshot() as session:
        person = accounts.find_by_email(session, email)
    if person is None:
        raise click.ClickException(f"Nobody has the address {email}.")
    return person


def _number(micro: int) -> str:
    return str(units.credits_number(micro))


def _wallet_text(person: User, facts: dict[str, Any]) -> str:
    lines = [
        f"{person.email}: {facts['available']} credits to spend, {facts['held']} held, "
        f"{facts['frozen']} frozen, {facts['owed']} owed",
        "",
        "grant  source        remaining  of         expires",
    ]
    lines += [
        f"{g['id']:<6} {g['source']:<13} {g['remaining']:<10} {g['of']:<10} "
        f"{g['expiresAt'] or 'never'}"
        for g in facts["grants"]
    ]
    lines += ["", "line   type      amount     total after  what"]
    lines += [
        f"{e['seq']:<6} {e['type']:<9} {e['amount']:<10} {e['balanceAfter']:<12} {e['what']}"
        for e in facts["entries"]
    ]
    return "\n".join(lines)
