"""Commands about credits: grant them, show a wallet, check the ledger."""

from __future__ import annotations

from typing import Any

import click

from creditapp import accounts, ledger, units
from creditapp.accounts import User
from creditapp.agents import ledger_check as agents_ledger_check
from creditapp.cli.context import app_context, find_user, say
from creditapp.clock import NEVER, now
from creditapp.config import Settings
from creditapp.db import snapshot, transaction
from creditapp.ids import new_id
from creditapp.payments.reconciliation import ledger_check
from creditapp.services import get


@click.command()
@click.argument("email")
@click.argument("amount")
@click.option("--reason", required=True, help="Shown in the user's history.")
@click.option("--json", "as_json", is_flag=True)
def grant(email: str, amount: str, reason: str, as_json: bool) -> None:
    """Give a user credits."""
    amount_micro = units.micro_from_text(amount)
    with app_context():
        user = find_user(email)
        with transaction() as session:
            if not accounts.is_open(session, user.id):
                raise click.ClickException(f"The account {email} was deleted just now.")
            connection = session.connection()
            wallet_id = ledger.ensure_wallet(connection, "user", user.id, now=now())
            ledger.grant(
                connection,
                wallet_id,
                ledger.NewGrant(
                    amount_micro=amount_micro,
                    source="admin",
                    origin=f"admin:{new_id('grant')}",
                    actor="operator",
                    note=reason,
                ),
                now=now(),
            )
            balance = ledger.balance(connection, wallet_id, now=now())
        say(
            {"email": user.email, "balance": _number(balance.available_micro)},
            f"{user.email} has {units.credits_text(balance.available_micro)} credits.",
            as_json,
        )


@click.command()
@click.argument("email")
@click.option("--json", "as_json", is_flag=True)
def wallet(email: str, as_json: bool) -> None:
    """Show a user's balance, grants and last entries."""
    with app_context():
        user = find_user(email)
        with snapshot() as session:
            connection = session.connection()
            wallet_id = ledger.find_wallet(connection, "user", user.id)
            if wallet_id is None:
                raise click.ClickException(f"{email} has no wallet yet.")
            balance = ledger.balance(connection, wallet_id, now=now())
            grants = ledger.list_grants(connection, wallet_id)
            entries = ledger.statement(connection, wallet_id, limit=10)
    facts = {
        "wallet": wallet_id,
        "available": _number(balance.available_micro),
        "held": _number(balance.held_micro),
        "frozen": _number(balance.frozen_micro),
        "owed": _number(balance.owed_micro),
        "grants": [
            {
                "id": grant.id,
                "source": grant.source,
                "remaining": _number(grant.remaining_micro),
                "of": _number(grant.amount_micro),
                "expiresAt": None if grant.expires_at >= NEVER else grant.expires_at.isoformat(),
            }
            for grant in grants
        ],
        "entries": [
            {
                "seq": entry.seq,
                "type": entry.type,
                "amount": _number(entry.amount_micro),
                "balanceAfter": _number(entry.balance_after_micro),
                "what": entry.operation,
                "at": entry.created_at.isoformat(timespec="seconds"),
            }
            for entry in entries
        ],
    }
    say(facts, _wallet_text(user, facts), as_json)


@click.command()
@click.option("--seals", is_flag=True, help="Check the nightly seals too.")
@click.option("--json", "as_json", is_flag=True)
def proof(seals: bool, as_json: bool) -> None:
    """Check the ledger's invariants for every wallet; exit 0 only if all hold."""
    with app_context(), snapshot() as session:
        # The digests that the nightly job wrote beside the database, where this machine has them.
        exported = ledger.exported_seals(get(Settings).data_dir / "seals.log")
        report = ledger.proof.check(session.connection(), with_seals=seals, exported=exported)
        for check in (ledger_check.check, agents_ledger_check.check):
            report.results.append(check(session.connection()))
        say(report.as_dict(), report.as_text(), as_json)
    if not report.ok:
        raise click.exceptions.Exit(1)


def _number(micro: int) -> str:
    return str(units.credits_number(micro))


def _wallet_text(user: User, facts: dict[str, Any]) -> str:
    lines = [
        f"{user.email}: {facts['available']} credits to spend, {facts['held']} held, "
        f"{facts['frozen']} frozen, {facts['owed']} owed",
        "",
        "grant  source        remaining  of         expires",
    ]
    lines += [
        f"{grant['id']:<6} {grant['source']:<13} {grant['remaining']:<10} {grant['of']:<10} "
        f"{grant['expiresAt'] or 'never'}"
        for grant in facts["grants"]
    ]
    lines += ["", "entry  type      amount     total after  what"]
    lines += [
        f"{entry['seq']:<6} {entry['type']:<9} {entry['amount']:<10} "
        f"{entry['balanceAfter']:<12} {entry['what']}"
        for entry in facts["entries"]
    ]
    return "\n".join(lines)


COMMANDS = (grant, wallet, proof)
