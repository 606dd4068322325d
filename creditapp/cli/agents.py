"""Commands about payments of agents: those of unknown outcome."""

from __future__ import annotations

import click

from creditapp.agents import review
from creditapp.agents.rails.claims import Claim
from creditapp.cli.context import app_context, say
from creditapp.clock import now


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


COMMANDS = (unknown_payments,)
