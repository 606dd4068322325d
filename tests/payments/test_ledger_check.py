"""Check of sold credits against purchases: agreeing, and tampered with."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from creditapp.db import snapshot, transaction
from creditapp.payments.reconciliation import ledger_check
from tests.shop_app import ShopApp

pytestmark = pytest.mark.in_turn


def buy_pack(shop_app: ShopApp) -> None:
    purchase = shop_app.start_checkout(shop_app.member())
    shop_app.pay(purchase)
    shop_app.deliver(purchase)


def test_a_paid_purchase_agrees_with_its_grant(shop_app: ShopApp) -> None:
    buy_pack(shop_app)
    with shop_app.app.app_context(), snapshot() as session:
        result = ledger_check.check(session.connection())
    assert (result.checked, result.findings) == (1, [])


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE purchases SET credits_micro = credits_micro + 1",
        "UPDATE purchases SET grant_id = NULL",
        "UPDATE purchases SET grant_id = 999999",
        "DELETE FROM purchases",
    ],
)
def test_a_tampered_purchase_is_found(shop_app: ShopApp, tampering: str) -> None:
    buy_pack(shop_app)
    with shop_app.app.app_context():
        with transaction() as session:
            session.execute(text(tampering))
        with snapshot() as session:
            assert ledger_check.check(session.connection()).findings
