"""Commands about payments of agents: sales by rail, and payments of unknown outcome."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from creditapp.agents import analytics, review
from creditapp.agents.analytics import RailSales
from creditapp.agents.rails.claims import Claim
from creditapp.cli.context import app_context, say
from creditapp.clock import now
from creditapp.db import snapshot
from creditapp.units import credits_text, money_text


@click.command("unknown-payments")
@click.option("--paid", metavar="ID", help="Grant the credits of a payment that is on the chain.")
@click.option("--transaction", metavar="HASH", help="Its transaction; with --paid.")
@click.option("--unpaid", metavar="ID", help="Close a payment that is not on the chain.")
@click.option("--json", "as_json", is_flag=True)
def unknown_payments(
    paid: str | None, transaction: str | None, unpaid: str | None, as_json: bool
) -> None:
    """List the payments of x402 and MPP whose outcome is unknown, or decide one."""
    if (paid is None) != (transaction is None) or (paid and unpaid):
        raise click.UsageError("Choose --paid ID --transaction HASH, or --unpaid ID.")
    with app_context():
        if paid and transaction:
            review.note_paid(paid, transaction, now=now())
            say({"id": paid, "state": "paid"}, f"{paid} is paid: its credits are there.", as_json)
        elif unpaid:
            review.note_unpaid(unpaid, now=now())
            say({"id": unpaid, "state": "open"}, f"{unpaid} is not paid: it is closed.", as_json)
        else:
            _list_unknown(as_json)


def _list_unknown(as_json: bool) -> None:
    found = review.list_unknown()
    lines = [
        f"{claim.request_id}  {claim.rail}  {claim.terms['amount']} of {claim.terms['asset']} on "
        f"{claim.network}, from {claim.payer}, nonce {claim.nonce}, valid until "
        f"{claim.valid_before:%Y-%m-%d %H:%M}"
        for claim in found
    ]
    text = "\n".join(lines) or "Every payment's outcome is known."
    say({"payments": [_facts(claim) for claim in found]}, text, as_json)


def _facts(claim: Claim) -> dict[str, str]:
    return {
        "id": claim.request_id,
        "rail": claim.rail,
        "network": claim.network,
        "asset": claim.terms["asset"],
        "amount": claim.terms["amount"],
        "payTo": claim.terms["payTo"],
        "payer": claim.payer,
        "nonce": claim.nonce,
        "validBefore": claim.valid_before.isoformat(),
    }


@click.command("agent-sales")
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="YYYY-MM-DD",
    help="The first day, in UTC.",
)
@click.option("--json", "as_json", is_flag=True)
def agent_sales(since: datetime | None, as_json: bool) -> None:
    """Show what agents bought by each rail, and what became of the credits."""
    first = datetime(1970, 1, 1) if since is None else since  # UTC is set below
    with app_context(), snapshot() as session:
        rows = analytics.sales_by_rail(session, since=first.replace(tzinfo=UTC))
    text = "\n".join(_sales_line(row) for row in rows) or "No agent has bought anything."
    say({"rails": [_sales_facts(row) for row in rows]}, text, as_json)


def _sales_line(row: RailSales) -> str:
    money = f"{money_text(row.paid_minor, row.currency)} by {row.rail}"
    if not row.livemode:
        money += " (no real money)"
    if row.refunded_minor:
        money += f", {money_text(row.refunded_minor, row.currency)} refunded"
    return (
        f"{money}: {row.payments} payments, {credits_text(row.bought_micro)} credits; "
        f"{credits_text(row.used_micro)} used, {credits_text(row.moved_micro)} moved to accounts, "
        f"{credits_text(row.left_micro)} left"
    )


def _sales_facts(row: RailSales) -> dict[str, Any]:
    return {
        "rail": row.rail,
        "currency": row.currency,
        "livemode": row.livemode,
        "payments": row.payments,
        "paidMinor": row.paid_minor,
        "refundedMinor": row.refunded_minor,
        "bought": credits_text(row.bought_micro),
        "used": credits_text(row.used_micro),
        "moved": credits_text(row.moved_micro),
        "left": credits_text(row.left_micro),
    }


COMMANDS = (agent_sales, unknown_payments)
