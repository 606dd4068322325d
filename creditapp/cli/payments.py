"""Commands about money at Stripe: reconcile, refund, accept an invoice, import prices."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from creditapp import agents, units
from creditapp.catalog import Catalog, CatalogInvalid
from creditapp.cli.context import app_context, say
from creditapp.clock import now
from creditapp.db import snapshot
from creditapp.payments.catalog_import import import_prices
from creditapp.payments.reconciliation import purchases as reconciliation
from creditapp.payments.refunds import refund as refunds
from creditapp.payments.refunds import requests
from creditapp.payments.subscriptions import invoice_review
from creditapp.services import provide


@click.command()
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="YYYY-MM-DD",
    help="The first day to compare, in UTC; a week ago without it.",
)
@click.option("--json", "as_json", is_flag=True)
def reconcile(since: datetime | None, as_json: bool) -> None:
    """Compare the ledger with Stripe and repair what can be; exit 0 only if they agree."""
    with app_context():
        begins = now() - reconciliation.NIGHTLY if since is None else since.replace(tzinfo=UTC)
        if begins > now():
            raise click.ClickException("--since is in the future.")
        report = reconciliation.reconcile(begins, also=agents.reconcile)
        say(report.as_dict(), report.as_text(), as_json)
    if not report.ok:
        raise click.exceptions.Exit(1)


@click.command()
@click.argument("target")
@click.option(
    "--amount", help="Such as 5.00, in the payment's currency; everything that is left without it."
)
@click.option(
    "--reason", type=click.Choice(refunds.REASONS), default=refunds.REASONS[0], show_default=True
)
@click.option("--json", "as_json", is_flag=True)
def refund(target: str, amount: str | None, reason: str, as_json: bool) -> None:
    """Refund a purchase (pur_...) or an invoice (in_...) and revoke credits in proportion."""
    with app_context():
        minor = None
        if amount is not None:
            minor = units.minor_from_text(amount, refunds.find_payment(target).currency)
        refunded = refunds.refund(target, minor, reason=reason, actor="operator")
        money = units.money_text(refunded.amount_minor, refunded.currency)
        facts = {
            "id": refunded.id,
            "target": target,
            "amountMinor": refunded.amount_minor,
            "currency": refunded.currency,
            "state": refunded.state,
        }
        say(facts, f"Refunded {money} of {target} ({refunded.id}).", as_json)


@click.command("refund-requests")
@click.option("--pay", metavar="ID", help="Refund what was asked for, or what is unspent now.")
@click.option("--decline", metavar="ID")
@click.option("--json", "as_json", is_flag=True)
def refund_requests(pay: str | None, decline: str | None, as_json: bool) -> None:
    """List the open refund requests of members, or pay or decline one."""
    if pay and decline:
        raise click.UsageError("Choose one of --pay and --decline.")
    with app_context():
        if pay:
            paid = requests.pay(pay)
            money = units.money_text(paid.amount_minor, paid.currency)
            say({"id": pay, "state": "paid"}, f"Refunded {money} of {paid.target_id}.", as_json)
        elif decline:
            declined = requests.decline(decline)
            text = f"Declined {decline}: its member sees it at /credits/refunds."
            say({"id": declined.id, "state": declined.state}, text, as_json)
        else:
            _list_refund_requests(as_json)


def _list_refund_requests(as_json: bool) -> None:
    with snapshot() as session:
        rows = [
            {
                "id": request.id,
                "target": request.target_id,
                "item": request.item,
                "member": email,
                "amount": units.money_text(request.amount_minor, request.currency),
                "requestedAt": request.created_at.isoformat(timespec="seconds"),
            }
            for request, email in requests.list_open(session)
        ]
    lines = [
        f"{row['requestedAt'][:16].replace('T', ' ')}  {row['id']}  {row['amount']}  "
        f"{row['member']}  {row['item']} ({row['target']})"
        for row in rows
    ]
    say({"requests": rows}, "\n".join(lines) or "Nobody asks for a refund.", as_json)


@click.command("sync-prices")
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@click.option("--json", "as_json", is_flag=True)
def sync_prices(dry_run: bool, as_json: bool) -> None:
    """Import Stripe's prices with includedCredits into the catalog, as packs and plans."""
    with app_context() as app:
        try:
            diff, catalog = import_prices(dry_run=dry_run)
        except CatalogInvalid as error:
            raise click.ClickException(f"The catalog stays as it is: {error}") from None
        if catalog is not None:
            provide(app, Catalog, catalog)
        say(diff.as_dict(), diff.as_text(), as_json)
    if diff.problems:
        raise click.exceptions.Exit(1)


@click.group()
def invoice() -> None:
    """Decide about invoices of plans that are under review."""


@invoice.command()
@click.argument("invoice_id")
@click.option("--plan", help="The plan that was paid, by its id; else the one it was before.")
@click.option("--json", "as_json", is_flag=True)
def accept(invoice_id: str, plan: str | None, as_json: bool) -> None:
    """Grant what an invoice under review (in_...) paid for; its price is known from then on."""
    with app_context():
        accepted = invoice_review.accept_invoice(invoice_id, plan_id=plan)
        facts = {
            "id": accepted.id,
            "subscription": accepted.subscription_id,
            "title": accepted.title,
            "credits": units.credits_number(accepted.credits_micro),
        }
        amount = units.credits_text(accepted.credits_micro)
        say(facts, f"{accepted.id} grants {amount} credits: {accepted.title}.", as_json)


COMMANDS = (reconcile, refund, refund_requests, invoice, sync_prices)
