"""Emails about purchases: each once, despite repeated events and killed processes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from creditapp import accounts, emails
from creditapp.accounts import AccountRules, User
from creditapp.clock import now
from creditapp.db import snapshot, transaction
from creditapp.emails import Email
from creditapp.payments.purchases.models import Purchase
from creditapp.services import get
from tests.shop_app import CREATOR, ShopApp

MICRO = 1_000_000


def mails(shop_app: ShopApp, buyer: User, *events: str) -> list[dict[str, Any]]:
    """Return the contexts of the queued emails of some events, in order."""
    with shop_app.app.app_context(), snapshot() as session:
        query = select(Email).where(Email.user_id == buyer.id).order_by(Email.created_at, Email.id)
        return [
            {"event": each.event, **each.context}
            for each in session.scalars(query)
            if each.event in (events or emails.ABOUT_MONEY)
        ]


def test_a_paid_pack_sends_one_receipt_despite_repeated_events(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.start_checkout(alice)
    shop_app.deliver(purchase)
    assert shop_app.emails_sent(alice) == [], "nothing is paid yet"
    shop_app.pay(purchase)
    for _ in range(2):
        shop_app.deliver(purchase)
        shop_app.sync(purchase)
    (receipt,) = mails(shop_app, alice)
    row = shop_app.row(purchase)
    assert receipt["event"] == "receipt"
    assert receipt["number"] == purchase.id
    assert receipt["path"] == f"/receipts/{purchase.id}"
    assert receipt["sandbox"] is True
    assert row.paid_at
    assert receipt["bought_at"] == row.paid_at.isoformat()
    assert (receipt["price_minor"], receipt["total_minor"]) == (1499, 1499)
    assert (row.total_minor, row.discount_minor, row.tax_minor) == (1499, 0, 0)


def test_concurrent_syncs_send_one_email(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.start_checkout(alice)
    shop_app.pay(purchase)
    shop_app.at_once(*(lambda: shop_app.sync(purchase) for _ in range(4)))
    shop_app.sync(purchase)
    assert shop_app.emails_sent(alice) == ["receipt"]


def test_discount_and_tax_are_stored_as_stripe_reports_them(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.start_checkout(alice)
    details = {"amount_discount": 150, "amount_shipping": 0, "amount_tax": 256}
    shop_app.change_session(purchase, amount_total=1605, total_details=details)
    shop_app.pay(purchase)
    shop_app.deliver(purchase)
    row = shop_app.row(purchase)
    assert (row.total_minor, row.discount_minor, row.tax_minor) == (1605, 150, 256)
    (receipt,) = mails(shop_app, alice)
    assert (receipt["discount_minor"], receipt["tax_minor"]) == (150, 256)
    assert receipt["total_minor"] == 1605


def test_an_email_of_a_rolled_back_posting_is_queued_by_the_next(
    shop_app: ShopApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = shop_app.member()
    purchase = shop_app.start_checkout(alice)
    shop_app.pay(purchase)
    queue = emails.notify

    def queued_and_killed(*given: Any, **named: Any) -> None:
        queue(*given, **named)
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr("creditapp.payments.purchases.notifications.emails.notify", queued_and_killed)
        with pytest.raises(RuntimeError):
            shop_app.sync(purchase)
    assert shop_app.emails_sent(alice) == []
    assert shop_app.credits(alice) == 0
    shop_app.sync(purchase)
    assert shop_app.emails_sent(alice) == ["receipt"]
    assert shop_app.credits(alice) == CREATOR


def test_each_refund_email_has_its_amount_and_the_total(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.buy_and_pay(alice)
    for text in ("3.33", "5.00"):
        shop_app.refund(purchase, text)
        shop_app.deliver(purchase)
        shop_app.deliver(purchase)
    first, second = mails(shop_app, alice, "refund")
    assert (first["refunded_minor"], first["back_minor"]) == (333, 333)
    assert (second["refunded_minor"], second["back_minor"]) == (500, 833)
    assert first["credits_micro"] == CREATOR * MICRO * 333 // 1499
    assert (first["undone"], second["total_minor"]) == (False, 1499)


def test_a_failed_refund_is_emailed_as_undone_and_may_be_repeated(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.buy_and_pay(alice)
    refund = shop_app.refund(purchase, "5.00")
    shop_app.sync(purchase)
    shop_app.press(f"/refunds/{refund}/fail")
    shop_app.deliver(purchase, "refund.failed")
    shop_app.refund(purchase, "5.00")
    shop_app.sync(purchase)
    amounts = [
        (each["undone"], each["refunded_minor"], each["back_minor"])
        for each in mails(shop_app, alice, "refund")
    ]
    assert amounts == [(False, 500, 500), (True, 500, 0), (False, 500, 500)]


def test_a_refund_before_the_payment_event_sends_receipt_and_refund(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.start_checkout(alice)
    shop_app.pay(purchase)
    shop_app.refund(purchase, "7.49")
    shop_app.deliver(purchase)
    assert sorted(shop_app.emails_sent(alice)) == ["receipt", "refund"]


def test_an_opened_and_a_won_dispute_send_an_email_each(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.buy_and_pay(alice)
    shop_app.spend(alice, 80)  # 50 free ones and 30 of the pack's
    dispute = shop_app.dispute(purchase)
    for _ in range(2):
        shop_app.deliver(purchase)
    assert shop_app.emails_sent(alice) == ["receipt", "dispute_opened"]
    shop_app.press(f"/disputes/{dispute}/close", outcome="won")
    for _ in range(2):
        shop_app.deliver(purchase)
        shop_app.sweep(after=timedelta(days=2))
    opened, closed = mails(shop_app, alice, "dispute_opened", "dispute_closed")
    assert (opened["amount_minor"], opened["credits_micro"]) == (1499, (CREATOR - 30) * MICRO)
    assert (closed["outcome"], closed["credits_micro"]) == ("won", (CREATOR - 30) * MICRO)
    assert len(shop_app.emails_sent(alice)) == 3


def test_a_lost_dispute_is_not_emailed_as_a_refund(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.buy_and_pay(alice)
    shop_app.refund(purchase, "5.00")
    shop_app.sync(purchase)
    dispute = shop_app.dispute(purchase)
    shop_app.sync(purchase)
    shop_app.press(f"/disputes/{dispute}/close", outcome="lost")
    for _ in range(2):
        shop_app.sync(purchase)
    assert shop_app.emails_sent(alice) == ["receipt", "refund", "dispute_opened", "dispute_closed"]
    closed = mails(shop_app, alice, "dispute_closed")[0]
    assert closed["outcome"] == "lost"
    assert closed["credits_micro"] == CREATOR * MICRO * 999 // 1499


def test_a_dispute_lost_before_its_first_event_sends_one_email(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.buy_and_pay(alice)
    dispute = shop_app.dispute(purchase)
    shop_app.press(f"/disputes/{dispute}/close", outcome="lost")
    shop_app.deliver(purchase)
    assert shop_app.emails_sent(alice) == ["receipt", "dispute_closed"]


def test_a_payment_under_review_and_a_deleted_user_get_no_receipt(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.start_checkout(alice)
    shop_app.change_session(purchase, amount_subtotal=1)
    shop_app.pay(purchase)
    shop_app.sync(purchase)
    assert shop_app.row(purchase).state == "review"
    assert shop_app.emails_sent(alice) == []

    bob = shop_app.member()
    left = shop_app.start_checkout(bob)
    shop_app.pay(left)
    with shop_app.app.app_context(), transaction() as session:
        gone = accounts.find(session, bob.id)
        assert gone
        accounts.delete_account(session, gone, get(AccountRules), now=now())
    shop_app.sync(left)
    assert shop_app.emails_sent(bob) == []
    assert shop_app.row(left).state == "review"


def test_the_receipt_reaches_an_smtp_server_complete(shop_app: ShopApp) -> None:
    from email.message import EmailMessage

    from creditapp.emails import EmailService, SmtpMailer
    from creditapp.services import get, provide
    from tests.fakes.smtp_server import FakeSmtpServer

    alice = shop_app.member()
    purchase: Purchase = shop_app.buy_and_pay(alice)
    with FakeSmtpServer() as server, shop_app.app.app_context():
        post = get(EmailService)
        from dataclasses import replace

        sender = "Shop <credits@shop.example>"
        provide(
            shop_app.app,
            EmailService,
            replace(post, mailer=SmtpMailer(f"smtp://127.0.0.1:{server.port}", sender)),
        )
        emails.deliver_due()
        emails.deliver_due()
        provide(shop_app.app, EmailService, post)
        (received,) = (
            each
            for each in server.received
            if each.recipients == (alice.email,) and "receipt" in str(each.email["Subject"])
        )
    email: EmailMessage = received.email
    body = email.get_body(("plain",))
    assert body is not None
    text = body.get_content()
    for words in (
        "Creator pack", "110 credits", "$14.99", "no real money", purchase.id,
        f"http://localhost/receipts/{purchase.id}",
    ):  # fmt: skip
        assert words in text
