"""What is done beside the pages: each job's name, what it calls, and how often."""

from __future__ import annotations

from datetime import timedelta

import structlog

from creditapp import accounts, emails, guests, jobs, ledger
from creditapp.catalog import Catalog
from creditapp.clock import now
from creditapp.config import Settings
from creditapp.db import snapshot, transaction
from creditapp.generation import recovery, worker
from creditapp.payments import webhooks
from creditapp.payments.auto_topup import charge as topup_charge
from creditapp.payments.purchases import checkout
from creditapp.payments.reconciliation import purchases as reconciliation
from creditapp.payments.subscriptions import card_expiry, scheduled_grants
from creditapp.payments.subscriptions import sync as subscription_sync
from creditapp.services import get

log = structlog.get_logger(__name__)


@jobs.handler("generate", retry_seconds=(1.0, 5.0, 30.0))
def generate(job_id: str) -> None:
    """Make and settle one attempt of a generation, whose row it takes once.

    A repeated job therefore only helps one that failed before it took the row: with a database that
    was away. What fails after that is ended by itself or by the sweep.
    """
    worker.run(job_id)


@jobs.handler("mail")
def mail(mail_id: str) -> None:
    """Send one queued mail."""
    emails.deliver(mail_id)


@jobs.handler("mails")
def mails(_wish: str) -> None:
    """Send what waits."""
    emails.deliver_due()


@jobs.handler(topup_charge.JOB)
def top_up(job_id: str) -> None:
    """Fill up one member's balance; the id is the member's and the row's version."""
    topup_charge.consider(job_id.rpartition(".")[0])


@jobs.every("sweep-generations", "*/2 * * * * *")
def sweep_generations() -> None:
    """Enqueue again what was lost, end what a dead worker left."""
    recovery.sweep()


@jobs.every("sweep-payments", "*/5 * * * * *")
def sweep_payments() -> None:
    """Work on stored events whose next try is due, and on what nobody spoke of."""
    webhooks.sweep()
    checkout.sweep()
    subscription_sync.sweep()


@jobs.every("sweep-top-ups", "*/10 * * * * *")
def sweep_top_ups() -> None:
    """Fill up low balances that no job was asked for, and end what Stripe did not answer."""
    topup_charge.sweep()


@jobs.every("grant-months", "10 * * * * *")
def grant_months() -> None:
    """Grant the months of plans that are due."""
    scheduled_grants.sweep()


@jobs.every("sweep-mails", "0 * * * * *")
def sweep_mails() -> None:
    """Send mails that were queued and not yet sent."""
    emails.deliver_due()


@jobs.every("warn-low-balance", "*/20 * * * * *")
def warn_low_balance() -> None:
    """Queue a mail for each balance that fell below its owner's threshold."""
    emails.warn_low_balance()


@jobs.every("warn-of-expiry", "0 8 * * *")
def warn_of_expiry() -> None:
    """Queue a mail for credits that end in 30, 7 or 1 days."""
    emails.warn_of_expiry()


@jobs.every("expire-credits", "30 * * * * *")
def expire_credits() -> None:
    """Write down what has expired, and give back what lapsed holds had set aside."""
    moment = now()
    with snapshot() as session:
        due = ledger.due_wallets(session.connection(), now=moment, limit=200)
    for wallet_id in due:
        with transaction() as session:
            ledger.expire(session.connection(), wallet_id, now=moment)


@jobs.every("forget", "15 3 * * *")
def forget() -> None:
    """Delete what is no longer needed: old tries, ended guest windows, sent mails."""
    moment = now()
    with transaction() as session:
        accounts.sweep_tries(session, now=moment)
        guests.sweep(session, now=moment, window_hours=get(Catalog).guest_window_hours)
        emails.sweep(session, now=moment)
        # What nobody above listens to is not kept, done or not.
        before = moment - timedelta(days=30)
        ledger.outbox.prune(session.connection(), before=before, keep=["low_balance"])
        ledger.idempotency.prune(session.connection(), before=moment - timedelta(days=30))


@jobs.every("card-warnings", "50 8 * * *")
def warn_of_cards() -> None:
    """Tell people whose card ends before their plan is paid next."""
    card_expiry.warn()


@jobs.every("reconcile", "35 2 * * *")
def reconcile() -> None:
    """Compare the last days with Stripe, and repair what a webhook that never came left undone."""
    reconciliation.reconcile_nightly()


@jobs.every("seal", "5 2 * * *")
def seal() -> None:
    """Seal the day's new entries, and write the seals where whoever alters the database is not.

    One seal covers a bounded number of entries, so that nobody waits long to spend meanwhile.
    """
    while True:
        with transaction() as session:
            sealed = ledger.seal(session.connection(), now=now())
        if sealed is None:
            return
        log.info("ledger sealed", seal=sealed.line)
        with (get(Settings).data_dir / "seals.log").open("a") as file:
            file.write(sealed.line + "\n")
