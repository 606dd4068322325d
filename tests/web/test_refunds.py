"""The refund page: its numbers are those that a refund would have."""

from __future__ import annotations

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


def test_a_member_without_payments_reads_so(app: Flask) -> None:
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
    user = shop_app.user_of(alice)
    shop_app.buy_and_pay(user)
    shop_app.spend(user, 50 + 64)
    page = alice.page("/credits/refunds").text
    assert "46 of 110 credits" in page
    assert "$6.26" in page
    assert "Write to the operator of this site and quote pur_" in page
    with shop_app.app.app_context():
        provide(
            shop_app.app,
            Settings,
            get(Settings).model_copy(update={"support_email": "help@example.com"}),
        )
    page = alice.page("/credits/refunds")
    assert "Write to help@example.com and quote pur_" in page.text
    link = page.one('.stack a[href^="mailto:"]')["href"]
    assert link.startswith("mailto:help@example.com?subject=Refund%20of%20pur_")
