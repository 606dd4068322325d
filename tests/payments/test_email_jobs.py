"""Emails about money leave with the commit that queues them, without waiting for the sweep."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

from creditapp import emails, ledger
from creditapp.clock import now
from creditapp.db import snapshot, transaction
from creditapp.emails import Email
from creditapp.ledger import captures, grants
from creditapp.payments.refunds import refund as refunds
from creditapp.payments.subscriptions import scheduled_grants
from creditapp.payments.subscriptions.models import Invoice
from tests.app_factory import Outbox, Queue
from tests.payments.plan_shop import PlanShop
from tests.payments.topup_shop import TopupShop
from tests.shop_app import ShopApp

pytestmark = pytest.mark.in_turn


def sent(outbox: Outbox, queue: Queue) -> list[str]:
    """Return the emails that the waiting jobs send."""
    before = len(outbox.sent)
    queue.run()
    return [message.event for message in outbox.sent[before:]]


def test_receipt_and_refund_leave_without_the_sweep(
    shop_app: ShopApp, queue: Queue, outbox: Outbox
) -> None:
    alice = shop_app.member()
    queue.run()
    purchase = shop_app.buy_and_pay(alice)
    assert sent(outbox, queue) == ["receipt"]
    with shop_app.app.app_context():
        refunds.refund(purchase.id)
    assert sent(outbox, queue) == ["refund"]


def test_renewal_and_cancellation_leave_without_the_sweep(
    plans: PlanShop, queue: Queue, outbox: Outbox
) -> None:
    alice = plans.shop_app.member()
    queue.run()
    subscription = plans.subscribe(alice)
    assert sent(outbox, queue) == ["renewal"]
    plans.pass_months(subscription, 1)
    assert sent(outbox, queue) == ["renewal"]
    plans.choose(alice, "free")
    assert sent(outbox, queue) == ["plan_changed"]


def test_a_top_up_is_told_without_the_sweep(
    shop_app: ShopApp, queue: Queue, outbox: Outbox
) -> None:
    topups = TopupShop(shop_app)
    alice = topups.switched_on()
    queue.run()
    topups.run_low(alice)
    assert sent(outbox, queue) == ["topup_done"]


def test_a_posting_that_is_rolled_back_sends_nothing(shop_app: ShopApp, queue: Queue) -> None:
    alice = shop_app.member()
    queue.run()
    with shop_app.app.app_context(), suppress(RuntimeError), transaction() as session:
        emails.queue(session, "receipt", alice.email, {}, "rolled back", now=now())
        raise RuntimeError
    assert not queue.waiting
    with shop_app.app.app_context(), snapshot() as session:
        assert session.scalar(select(Email).where(Email.key == "rolled back")) is None


def test_an_email_without_its_job_is_sent_by_the_sweep(
    shop_app: ShopApp, queue: Queue, outbox: Outbox
) -> None:
    alice = shop_app.member()
    queue.run()
    shop_app.buy_and_pay(alice)
    queue.forget()
    shop_app.clock.advance(timedelta(minutes=1))
    with shop_app.app.app_context():
        emails.deliver_due()
    assert outbox.sent[-1].event == "receipt"


def test_a_failed_grant_is_an_error_that_names_the_purchase(
    shop_app: ShopApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = shop_app.member()
    purchase = shop_app.start_checkout(alice)
    shop_app.pay(purchase)
    monkeypatch.setattr(grants, "expiry", None)
    with capture_logs() as logs, pytest.raises(AttributeError):
        shop_app.sync(purchase)
    monkeypatch.undo()
    errors = {entry["event"]: entry for entry in logs if entry["log_level"] == "error"}
    assert errors["grant failed"]["origin"] == f"purchase:{purchase.id}"
    assert errors["purchase not posted"]["purchase"] == purchase.id
    assert shop_app.sync(purchase).state == "paid"


def test_a_failed_capture_is_an_error_that_names_the_charge(
    shop_app: ShopApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = shop_app.member()
    with shop_app.app.app_context(), transaction() as session:
        connection = session.connection()
        wallet_id = ledger.ensure_wallet(connection, "user", alice.id, now=now())
        new = ledger.NewCharge(amount_micro=1_000_000, key="a hold", digest="", operation="test")
        charge = ledger.hold(connection, wallet_id, new, now=now())
    monkeypatch.setattr(captures, "_capture_whole", None)
    with (
        capture_logs() as logs,
        shop_app.app.app_context(),
        suppress(TypeError),
        transaction() as session,
    ):
        ledger.capture(session.connection(), charge.id, 1_000_000, now=now())
    assert [(entry["event"], entry["charge"]) for entry in logs] == [("capture failed", charge.id)]


def test_a_failed_month_is_an_error_that_names_the_invoice_and_delays_no_other(
    plans: PlanShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = plans.shop_app.member(), plans.shop_app.member()
    for buyer in (alice, bob):
        subscription = plans.subscribe(buyer, "basic", "year")
    (lost,) = plans.invoices(alice)
    plans.advance_to(subscription.period_start + timedelta(days=32))
    grant_due = scheduled_grants.grant_due

    def fail_for_alice(session: Session, invoice: Invoice, *, now: datetime) -> None:
        if invoice.id == lost.id:
            raise RuntimeError
        grant_due(session, invoice, now=now)

    monkeypatch.setattr(scheduled_grants, "grant_due", fail_for_alice)
    with capture_logs() as logs, plans.app.app_context():
        scheduled_grants.sweep_due_grants()
    failed = [entry for entry in logs if entry["log_level"] == "error"]
    assert [(entry["event"], entry["id"]) for entry in failed] == [("months not granted", lost.id)]
    assert (plans.granted(alice), plans.granted(bob)) == ([500], [500, 500])
