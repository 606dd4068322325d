"""Background jobs and their schedules."""

from __future__ import annotations

from datetime import timedelta

import structlog

from creditapp import accounts, agents, emails, guests, jobs, ledger, payments, webhooks_out
from creditapp.catalog import Catalog
from creditapp.chat import exchanges
from creditapp.chat import recovery as chat_recovery
from creditapp.clock import now
from creditapp.config import Settings
from creditapp.db import snapshot, transaction
from creditapp.generation import deletion, recovery, uploads, worker
from creditapp.payments.auto_topup import charge as topup_charge
from creditapp.payments.reconciliation import purchases as reconciliation
from creditapp.payments.subscriptions import card_expiry, scheduled_grants
from creditapp.payments.subscriptions import sync as subscription_sync
from creditapp.runtime import webhook_hooks
from creditapp.services import get

log = structlog.get_logger(__name__)


@jobs.handler(worker.JOB, retry_seconds=(1.0, 5.0, 30.0))
def generate(job_id: str) -> None:
    """Run and settle one attempt of a generation; the worker claims its row once.

    A retry therefore only helps a job that failed before the claim, because the database did not
    answer. A failure after it is ended by the worker or by recovery.
    """
    worker.run(job_id)


@jobs.handler("email")
def send_email(email_id: str) -> None:
    """Send one queued email."""
    emails.deliver(email_id)


@jobs.handler(topup_charge.JOB)
def top_up(job_id: str) -> None:
    """Top up one member's balance; the job id is the member's id and the row's version."""
    topup_charge.charge_if_low(job_id.rpartition(".")[0])


@jobs.handler("webhooks")
def deliver_webhooks(job_id: str) -> None:
    """Send one endpoint's due webhooks; the job id is the endpoint's id and the run's number."""
    webhooks_out.deliver(job_id, webhook_hooks.email_stopped)


@jobs.every("sweep-webhooks", "*/2 * * * * *")
def sweep_webhooks() -> None:
    """Queue webhooks about new entries of the ledger, and start a run where some are due."""
    webhooks_out.sweep(
        lambda job_id, partition: jobs.enqueue("webhooks", job_id, partition=partition)
    )


@jobs.every("sweep-generations", "*/2 * * * * *")
def sweep_generations() -> None:
    """Enqueue lost generations again and end those that a dead worker left."""
    recovery.sweep()


@jobs.every("sweep-chat", "1-59/2 * * * * *")
def sweep_chat() -> None:
    """Settle the answers that a dead process left, by what it had stored."""
    chat_recovery.sweep()


@jobs.every("erase-deleted", "*/5 * * * * *")
def erase_deleted() -> None:
    """Erase deleted images that can no longer be restored."""
    deletion.sweep(now=now())


@jobs.every("sweep-payments", "*/5 * * * * *")
def sweep_payments() -> None:
    """Retry stored events, sync what had no news for long, and send changed addresses to Stripe."""
    payments.sweep_events()
    payments.sweep_purchases()
    subscription_sync.sweep_subscriptions()
    payments.sweep_addresses()


@jobs.every("sweep-payment-requests", "*/15 * * * * *")
def sweep_payment_requests() -> None:
    """Learn how the payments of dead processes ended, and forget unpaid payment requests."""
    if get(Settings).agents_key:
        agents.sweep(now=now())


@jobs.every("sweep-top-ups", "*/10 * * * * *")
def sweep_top_ups() -> None:
    """Top up low balances without a job, and finish charges that Stripe did not answer."""
    topup_charge.sweep_topups()


@jobs.every("grant-months", "10 * * * * *")
def grant_months() -> None:
    """Grant the plan months that are due."""
    scheduled_grants.sweep_due_grants()


@jobs.every("sweep-emails", "0 * * * * *")
def sweep_emails() -> None:
    """Send emails that were queued and not sent yet."""
    emails.deliver_due()


@jobs.every("warn-low-balance", "*/20 * * * * *")
def warn_low_balance() -> None:
    """Queue an email for each balance that fell below its owner's threshold."""
    emails.queue_low_balance_reminders(now(), webhook_hooks.queue_low)


@jobs.every("warn-of-expiry", "0 8 * * *")
def warn_of_expiry() -> None:
    """Queue an email for credits that expire in 30, 7 or 1 days."""
    emails.queue_expiry_reminders(now(), webhook_hooks.queue_expiring)


@jobs.every("expire-credits", "30 * * * * *")
def expire_credits() -> None:
    """Post expired credits, and release lapsed holds."""
    moment = now()
    with snapshot() as session:
        due = ledger.due_wallets(session.connection(), now=moment, limit=200)
    for wallet_id in due:
        with transaction() as session:
            ledger.expire(session.connection(), wallet_id, now=moment)


@jobs.every("forget", "15 3 * * *")
def forget() -> None:
    """Delete what nobody needs any more: tries, sessions, emails, unused files, guests' images."""
    moment = now()
    with transaction() as session:
        accounts.sweep_tries(session, now=moment)
        accounts.sweep_sessions(session, now=moment)
        guests.sweep(session, now=moment, window_hours=get(Catalog).guest_window_hours)
        emails.sweep(session, now=moment)
        webhooks_out.sweep_log(session, now=moment)
        # Kinds without a listener are deleted whether handled or not.
        before = moment - timedelta(days=30)
        ledger.outbox.prune(session.connection(), before=before, keep=["low_balance"])
        ledger.idempotency.prune(session.connection(), before=before)
        exchanges.forget_answers(session, before=before)
    uploads.sweep_uploads(now=moment)
    agents.forget_ended(now=moment)
    deletion.forget_guests(now=moment)


@jobs.every("card-warnings", "50 8 * * *")
def warn_of_cards() -> None:
    """Email members whose card expires before their plan's next payment."""
    card_expiry.email_expiring_cards()


@jobs.every("reconcile", "35 2 * * *")
def reconcile() -> None:
    """Compare the last days with Stripe, and repair what a missing webhook left undone."""
    reconciliation.reconcile_nightly(also=agents.reconcile)


@jobs.every("seal", "5 2 * * *")
def seal() -> None:
    """Seal the day's new entries, and write the seals to the log and to a file.

    An intruder in the database can reach neither. One seal covers a bounded number of entries, so
    that spending never waits long.
    """
    while True:
        with transaction() as session:
            sealed = ledger.seal(session.connection(), now=now())
        if sealed is None:
            return
        log.info("ledger sealed", seal=sealed.line)
        with (get(Settings).data_dir / "seals.log").open("a") as file:
            file.write(sealed.line + "\n")
