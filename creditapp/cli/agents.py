"""Commands about payments of agents: sales, refunds to send by hand, unknown outcomes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from creditapp.agents import analytics, refund, review
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
    if row.unsent_minor:
        more = " more" if row.refunded_minor else " refunded"
        money += f", {money_text(row.unsent_minor, row.currency)}{more} to be sent"
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
        "unsentMinor": row.unsent_minor,
        "bought": credits_text(row.bought_micro),
        "used": credits_text(row.used_micro),
        "moved": credits_text(row.moved_micro),
        "left": credits_text(row.left_micro),
    }


@click.command("agent-refunds")
@click.option("--sent", metavar="ID", help="Note that the money of a refund was sent by hand.")
@click.option("--json", "as_json", is_flag=True)
def agent_refunds(sent: str | None, as_json: bool) -> None:
    """List refunds of agents that are still to be sent or made, or note that one is sent."""
    with app_context():
        if sent:
            row = refund.note_sent(sent, now=now())
            money = money_text(row.amount_minor, row.currency)
            say({"id": row.id, "state": row.state}, f"{money} of {row.target_id} is sent.", as_json)
        else:
            _list_unsent(as_json)


def _list_unsent(as_json: bool) -> None:
    with snapshot() as session:
        rows: list[dict[str, Any]] = [
            {
                "id": row.id,
                "purchaseId": row.target_id,
                "amountMinor": row.amount_minor,
                "currency": row.currency,
                "rail": settled.rail,
                "payer": settled.payer,
                "reference": settled.ref,
                "state": row.state,
                "createdAt": row.created_at.isoformat(timespec="seconds"),
            }
            for row, settled in refund.list_unsent(session)
        ]
        returned = [
            {"purchaseId": settled.payment_request_id, "credits": credits_text(remaining_micro)}
            for settled, remaining_micro in refund.list_returned(session)
        ]
    lines = [
        f"{row['createdAt'][:16].replace('T', ' ')}  {row['id']}  "
        f"{money_text(row['amountMinor'], row['currency'])} of {row['purchaseId']}, paid by "
        f"{row['rail']} ({row['reference']}), to {row['payer'] or 'its payer'}: "
        f"{_NEXT_STEPS[row['state']]}"
        for row in rows
    ]
    lines += [
        f"{row['credits']} credits came back to {row['purchaseId']} after its refund: "
        "call /api/receipts/refund again"
        for row in returned
    ]
    text = "\n".join(lines) or "The money of every refund is sent."
    say({"refunds": rows, "returned": returned}, text, as_json)


_NEXT_STEPS = {
    "by_hand": "send it by hand",
    "failed": "its rail refused it, send it by hand",
    "open": "its rail did not answer, call /api/receipts/refund again",
}

COMMANDS = (agent_sales, agent_refunds, unknown_payments)
