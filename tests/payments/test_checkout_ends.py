"""Purchases that end unpaid, and payments that are not what was priced."""

from __future__ import annotations

from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from creditapp.catalog import Catalog
from creditapp.clock import NEVER
from creditapp.payments.gateway import Gateway, GatewayError, StripeGateway
from creditapp.payments.opening import PurchaseEnded
from creditapp.wiring import provide, the
from tests.payments.till import COMPLETED, CREATOR, Till, cut, house, till

__all__ = ["house", "till"]


# --- purchases that end -----------------------------------------------------------------------


def test_a_checkout_that_ran_out_ends_the_purchase(till: Till) -> None:
    alice = till.member()
    purchase = till.start(alice)
    till.press(f"/sessions/{purchase.checkout_id}/expire")
    till.deliver(purchase, "checkout.session.expired")
    assert (till.row(purchase).state, till.row(purchase).next_sync_at) == ("expired", NEVER)
    assert till.credits(alice) == 0


def test_expired_after_completed_changes_nothing(till: Till) -> None:
    alice = till.member()
    purchase = till.bought(alice)
    completed = till.event(purchase, COMPLETED)
    late = {**completed, "id": "evt_late_expiry", "type": "checkout.session.expired"}
    assert till.send(late).status_code == 200
    assert (till.row(purchase).state, till.credits(alice)) == ("paid", CREATOR)


def test_after_a_day_an_unpaid_purchase_is_closed_at_stripe_too(till: Till) -> None:
    alice = till.member()
    purchase = till.start(alice, key="a day")
    till.sweep(after=timedelta(hours=24, minutes=1))
    assert till.row(purchase).state == "expired"
    assert till.session(purchase)["status"] == "expired"
    till.pay(purchase)
    assert till.sync(purchase).state == "expired"
    assert till.credits(alice) == 0


def test_paid_in_the_last_minute_and_heard_of_after_a_day_is_granted(till: Till) -> None:
    alice = till.member()
    purchase = till.start(alice)
    till.pay(purchase)
    till.sweep(after=timedelta(hours=25))
    assert (till.row(purchase).state, till.credits(alice)) == ("paid", CREATOR)


def test_a_purchase_that_stripe_never_heard_of_ends_after_a_day(till: Till) -> None:
    alice = till.member()
    till.line.before = cut("create_checkout")
    with pytest.raises(GatewayError):
        till.start(alice, key="never opened")
    (purchase,) = till.purchases(alice)
    till.sweep(after=timedelta(hours=1))
    assert till.row(purchase).state == "open"
    till.sweep(after=timedelta(hours=24))
    assert (till.row(purchase).state, till.row(purchase).next_sync_at) == ("expired", NEVER)
    with pytest.raises(PurchaseEnded):
        till.start(alice, key="never opened")


def test_a_checkout_of_another_account_ends_after_a_day(till: Till) -> None:
    """The key was changed for another account's: its checkouts are not there any more."""
    alice = till.member()
    purchase = till.start(alice)
    other = StripeGateway("sk_test_other", "whsec_x", till.gateway.api_base())
    other.retrieve_checkout = lambda checkout_id: StripeGateway.retrieve_checkout(  # type: ignore[method-assign]
        till.gateway, "cs_test_unknown"
    )
    provide(till.app, Gateway, other)
    till.sweep(after=timedelta(hours=1))
    assert till.row(purchase).state == "open"
    till.sweep(after=timedelta(hours=24))
    assert till.row(purchase).state == "expired"


# --- what was paid is not what was priced -----------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"amount_subtotal": 1, "amount_total": 1}, "the subtotal is 1"),
        ({"amount_subtotal": 149900, "amount_total": 149900}, "the subtotal is 149900"),
        ({"currency": "eur"}, "paid in eur"),
        ({"livemode": True}, "live and test mode differ"),
        ({"metadata": {"purchase_id": "pur_of_somebody_else"}}, "belongs to another purchase"),
    ],
)
def test_what_differs_from_the_price_waits_for_a_person(
    till: Till, fields: dict[str, object], reason: str
) -> None:
    alice = till.member()
    purchase = till.start(alice)
    till.alter(purchase, **{name: fields[name] for name in fields if name != "metadata"})
    till.pay(purchase)
    if "metadata" in fields:
        till.alter(purchase, metadata=fields["metadata"])
    with capture_logs() as logs:
        assert till.sync(purchase).state == "review"
    (alarm,) = [each for each in logs if each["log_level"] == "error"]
    assert alarm["event"] == "payment needs review"
    assert reason in alarm["reason"]
    assert reason in (till.row(purchase).review_reason or "")
    assert (till.credits(alice), till.grants(purchase)) == (0, 0)


def test_tax_on_top_gives_the_credits_of_the_price(till: Till) -> None:
    alice = till.member()
    purchase = till.start(alice)
    till.alter(purchase, amount_total=1799)
    till.pay(purchase)
    till.deliver(purchase)
    assert till.credits(alice) == CREATOR


def test_a_code_over_the_whole_price_gives_the_credits(till: Till) -> None:
    alice = till.member()
    purchase = till.start(alice)
    till.alter(purchase, amount_total=0, payment_status="no_payment_required")
    assert till.sync(purchase).state == "open", "a checkout over nothing is not bought by opening"
    assert till.credits(alice) == 0

    till.pay(purchase)
    till.deliver(purchase)
    assert till.session(purchase)["payment_intent"] is None
    assert (till.row(purchase).state, till.credits(alice)) == ("paid", CREATOR)


def test_credits_come_from_our_row_and_never_from_the_catalog_of_later(till: Till) -> None:
    alice = till.member()
    purchase = till.start(alice)
    till.pay(purchase)
    with till.app.app_context():
        catalog = the(Catalog)
    assert {pack.id: pack.credits_micro for pack in catalog.packs}["creator"] == 110_000_000
    provide(till.app, Catalog, type("Later", (), {"packs": (), "digest": "other"})())
    try:
        till.sync(purchase)
    finally:
        provide(till.app, Catalog, catalog)
    assert till.credits(alice) == CREATOR
