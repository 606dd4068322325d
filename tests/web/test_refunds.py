"""The refund page: its numbers are those that a refund would have."""

from __future__ import annotations

import re
from pathlib import Path

from flask import Flask
from flask.testing import FlaskClient

from creditapp.config import Settings
from creditapp.services import get, provide
from tests.app_factory import Person, build_app, close_app
from tests.shop_app import ShopApp


def test_a_guest_reads_the_policy(client: FlaskClient) -> None:
    page = client.get("/credits/refunds").text
    assert "within 14 days of paying" in page
    assert "/auth/login?next=/credits/refunds" in page


def test_who_paid_nothing_is_told_so(app: Flask) -> None:
    alice = Person(app).sign_up("alice@example.com")
    assert "You have no payments" in alice.browser.get("/credits/refunds").text


def test_an_operator_may_refund_nothing_on_request(tmp_path: Path) -> None:
    app = build_app(f"sqlite:///{tmp_path}/a.sqlite", tmp_path, {"CREDITAPP_REFUND_DAYS": "0"})
    try:
        assert "not refunded on request" in app.test_client().get("/credits/refunds").text
    finally:
        close_app(app)


def test_the_figure_is_the_unspent_share(shop_app: ShopApp) -> None:
    """Of 110 credits 64 are spent: 46/110 of $14.99 is $6.26 and a bit, and the bit is not paid."""
    alice = shop_app.person()
    with shop_app.app.app_context():
        from creditapp import accounts
        from creditapp.db import snapshot

        with snapshot() as session:
            email = re.search(r"[0-9a-f]{12}@example\.com", alice.browser.get("/dashboard").text)
            assert email is not None
            user = accounts.find_by_email(session, email[0])
    assert user is not None
    shop_app.buy_and_pay(user)
    shop_app.spend(user, 50 + 64)
    page = alice.browser.get("/credits/refunds").text
    assert "46 of 110 credits" in page
    assert "$6.26" in page
    assert "Write to the operator of this site and quote <code>" in page
    with shop_app.app.app_context():
        provide(
            shop_app.app,
            Settings,
            get(Settings).model_copy(update={"support_email": "help@example.com"}),
        )
    page = alice.browser.get("/credits/refunds").text
    assert re.search(
        r'Write to <a href="mailto:help@example\.com\?subject=Refund%20of%20[^"]+">'
        r"help@example\.com</a> and quote <code>",
        page,
    )
