"""Buying a pack, from the click to the credits, and everything that can come between."""

from __future__ import annotations

import secrets
from datetime import timedelta

import pytest
from sqlalchemy import select

from creditapp.clock import NEVER
from creditapp.db import db, snapshot
from creditapp.errors import IdempotencyKeyReused, NotFound, RateLimited
from creditapp.payments import checkout, purchase_keys
from creditapp.payments.checkout import Order, PackChanged
from creditapp.payments.gateway import Gateway, GatewayError, StripeGateway
from creditapp.payments.models import Purchase
from creditapp.wiring import provide
from tests.payments.till import COMPLETED, CREATOR, Till, cut, house, till, values

__all__ = ["house", "till"]


# --- paying and coming back -------------------------------------------------------------------


def test_paying_and_coming_back_gives_the_credits(till: Till) -> None:
    alice = till.member()
    purchase = till.start(alice)
    assert (purchase.state, till.credits(alice)) == ("open", 0)
    assert purchase.price_minor == 1499
    assert purchase.sandbox
    assert not purchase.livemode

    till.pay(purchase)
    till.sync(purchase)

    paid = till.row(purchase)
    assert (paid.state, paid.next_sync_at, till.credits(alice)) == ("paid", NEVER, CREATOR)
    assert paid.grant_id
    assert paid.payment_intent_id == till.intent(purchase)


def test_the_webhook_alone_gives_the_credits(till: Till) -> None:
    alice = till.member()
    purchase = till.start(alice)
    till.pay(purchase)
    assert till.send(till.event(purchase, COMPLETED)).json == {"received": True}
    assert (till.row(purchase).state, till.credits(alice)) == ("paid", CREATOR)


@pytest.mark.parametrize("first", ["webhook", "return"])
def test_webhook_and_return_in_either_order_give_once(till: Till, first: str) -> None:
    alice = till.member()
    purchase = till.start(alice)
    till.pay(purchase)
    if first == "return":
        till.sync(purchase)
    till.deliver(purchase)
    till.sync(purchase)
    assert (till.grants(purchase), till.credits(alice)) == (1, CREATOR)


def test_webhooks_returns_and_sweeps_at_once_give_once(till: Till) -> None:
    alice = till.member()
    purchase = till.start(alice)
    till.pay(purchase)
    completed = till.event(purchase, COMPLETED)
    till.clock.advance(timedelta(minutes=2))

    def come_back() -> object:
        return checkout.sync(purchase.id)

    def webhook() -> object:
        return till.send(completed).status_code

    acts = [come_back, webhook, checkout.sweep, webhook, come_back, checkout.sweep]
    assert [each for each in values(till.at_once(*acts)) if isinstance(each, int)] == [200, 200]
    assert (till.grants(purchase), till.credits(alice)) == (1, CREATOR)


def test_a_window_closed_after_paying_is_repaired_within_two_minutes(till: Till) -> None:
    """The webhook never comes, and the buyer does not come back, at any hour of the day."""
    alice = till.member()
    early, late = till.start(alice), till.start(alice)
    till.pay(early)
    till.sweep(after=timedelta(minutes=1))
    assert till.row(early).state == "paid"

    for _ in range(6):
        till.sweep(after=timedelta(hours=1))
    assert till.row(late).state == "open"
    till.pay(late)
    till.sweep(after=timedelta(minutes=2))
    assert till.credits(alice) == 2 * CREATOR


def test_a_declined_card_gives_nothing_and_the_next_one_pays(till: Till) -> None:
    alice = till.member()
    purchase = till.start(alice)
    till.pay(purchase, "declined")
    assert till.sync(purchase).state == "open"
    till.deliver(purchase)
    assert (till.row(purchase).state, till.credits(alice)) == ("open", 0)

    till.pay(purchase)
    till.deliver(purchase)
    assert till.credits(alice) == CREATOR


@pytest.mark.parametrize(("answer", "state"), [("complete", "paid"), ("fail", "open")])
def test_a_further_step_at_the_bank_decides(till: Till, answer: str, state: str) -> None:
    alice = till.member()
    purchase = till.start(alice)
    till.pay(purchase, "further-step")
    assert till.sync(purchase).state == "open"
    till.press(f"/pay/{purchase.checkout_id}/step", answer=answer)
    assert till.sync(purchase).state == state
    assert till.credits(alice) == (CREATOR if state == "paid" else 0)


def test_a_debit_gives_credits_when_the_money_arrives(till: Till) -> None:
    alice = till.member()
    purchase = till.start(alice)
    till.pay(purchase, "pays-later")
    till.deliver(purchase)
    assert (till.row(purchase).state, till.credits(alice)) == ("pending", 0)

    till.press(f"/payments/{till.intent(purchase)}/settle", outcome="succeeds")
    till.deliver(purchase, "checkout.session.async_payment_succeeded")
    assert (till.row(purchase).state, till.credits(alice)) == ("paid", CREATOR)


def test_a_debit_that_fails_gives_nothing_and_says_so(till: Till) -> None:
    alice = till.member()
    purchase = till.start(alice)
    till.pay(purchase, "pays-later")
    till.press(f"/payments/{till.intent(purchase)}/settle", outcome="fails")
    till.deliver(purchase)
    assert (till.row(purchase).state, till.row(purchase).next_sync_at) == ("failed", NEVER)
    assert (till.sync(purchase).state, till.credits(alice)) == ("failed", 0)


def test_a_debit_days_later_is_still_asked_about(till: Till) -> None:
    alice = till.member()
    kept, lost = till.start(alice), till.start(alice)
    for purchase in (kept, lost):
        till.pay(purchase, "pays-later")
        till.sync(purchase)
    till.sweep(after=timedelta(days=5))
    assert till.row(kept).state == "pending"
    till.press(f"/payments/{till.intent(kept)}/settle", outcome="succeeds")
    till.sweep(after=timedelta(minutes=30))
    assert till.row(kept).state == "paid"
    till.sweep(after=timedelta(days=26))
    assert (till.row(lost).state, till.row(lost).next_sync_at) == ("failed", NEVER)


# --- one click, two clicks, two tabs ----------------------------------------------------------


def test_a_double_click_buys_once(till: Till) -> None:
    alice, key = till.member(), secrets.token_hex(8)
    bought = values(till.at_once(*[lambda: till.start(alice, key=key)] * 4))
    assert len({each.id for each in bought}) == 1
    assert len({each.checkout_url for each in bought}) == 1
    assert len(till.purchases(alice)) == 1
    assert len(till.sessions(bought[0])) == 1
    assert [each.replayed for each in bought].count(False) == 1


def test_two_tabs_are_two_purchases(till: Till) -> None:
    alice = till.member()
    for purchase in (till.start(alice), till.start(alice)):
        till.pay(purchase)
        till.deliver(purchase)
    assert (len(till.purchases(alice)), till.credits(alice)) == (2, 2 * CREATOR)


def test_a_heap_of_unpaid_checkouts_is_refused_until_one_is_paid_or_old(till: Till) -> None:
    alice = till.member()
    purchases = [till.start(alice) for _ in range(purchase_keys.OPEN_AN_HOUR_MAX)]
    with pytest.raises(RateLimited):
        till.start(alice)
    till.start(till.member())  # another buyer is not held up
    till.pay(purchases[0])
    till.deliver(purchases[0])
    till.start(alice)
    assert till.credits(alice) == CREATOR


def test_the_same_key_for_another_pack_is_refused(till: Till) -> None:
    alice = till.member()
    till.start(alice, key="same key")
    with pytest.raises(IdempotencyKeyReused):
        till.start(alice, "pro", key="same key")
    till.start(till.member(), "pro", key="same key")  # another buyer's key is another key


def test_a_pack_that_does_not_exist(till: Till) -> None:
    with pytest.raises(NotFound):
        till.start(till.member(), "no-such-pack")


def test_prices_that_changed_since_the_page_was_opened_are_not_charged(till: Till) -> None:
    alice = till.member()
    with till.app.app_context(), pytest.raises(PackChanged):
        checkout.start(Order("creator", "the digest of yesterday"), alice, key="changed")
    assert till.purchases(alice) == []


def test_a_key_pressed_again_after_paying_opens_no_other_checkout(till: Till) -> None:
    alice = till.member()
    purchase = till.start(alice, key="back button")
    till.pay(purchase)
    till.sync(purchase)
    again = till.start(alice, key="back button")
    assert (again.id, again.ended) == (purchase.id, True)
    assert len(till.sessions(purchase)) == 1


# --- Stripe cannot be asked, or its answer is lost --------------------------------------------


def test_while_stripe_is_down_the_purchase_stays_open_and_the_key_tries_again(till: Till) -> None:
    alice = till.member()
    nowhere = StripeGateway("sk_test_x", "whsec_x", "http://127.0.0.1:9", max_network_retries=0)
    provide(till.app, Gateway, nowhere)
    for _ in range(2):
        with pytest.raises(GatewayError):
            till.start(alice, key="down")
    (purchase,) = till.purchases(alice)
    assert (purchase.state, purchase.checkout_id, purchase.attempt) == ("open", None, 3)

    provide(till.app, Gateway, till.line)
    purchase = till.start(alice, key="down")
    assert len(till.sessions(purchase)) == 1
    till.pay(purchase)
    assert till.sync(purchase).state == "paid"


def test_an_answer_that_was_lost_is_found_again_and_not_asked_twice(till: Till) -> None:
    alice = till.member()
    till.line.after = cut("create_checkout")
    with pytest.raises(GatewayError):
        till.start(alice, key="lost answer")
    till.line.after = lambda name: None

    purchase = till.start(alice, key="lost answer")
    assert purchase.checkout_id == till.session(purchase)["id"]
    assert till.line.calls["create_checkout"] == 1


def test_a_checkout_whose_id_never_reached_us_is_found_by_its_mark(till: Till) -> None:
    """The process died between Stripe's answer and our note of it."""
    alice = till.member()

    def die(name: str) -> None:
        if name == "create_checkout":
            raise KeyboardInterrupt

    till.line.after = die
    with pytest.raises(KeyboardInterrupt):
        till.start(alice)
    till.line.after = lambda name: None
    (purchase,) = till.purchases(alice)
    assert purchase.checkout_id is None

    till.press(f"/pay/{till.session(purchase)['id']}", card="succeeds", email="a@example.com")
    till.sweep(after=timedelta(minutes=1))
    assert till.credits(alice) == CREATOR


def test_one_purchase_that_cannot_be_asked_about_does_not_keep_the_others(till: Till) -> None:
    alice = till.member()
    first = till.start(alice)
    till.clock.advance(timedelta(seconds=1))
    second = till.start(alice)
    till.pay(second)
    calls: list[str] = []

    def fail_first(name: str) -> None:
        calls.append(name)
        if len(calls) == 1:
            raise RuntimeError("not even a GatewayError")

    till.line.before = fail_first
    till.sweep(after=timedelta(minutes=1))
    assert (till.row(first).state, till.row(second).state) == ("open", "paid")
    till.line.before = lambda name: None
    till.pay(first)
    till.sweep(after=timedelta(minutes=1))
    assert till.row(first).state == "paid"


def test_two_sweeps_at_once_ask_about_a_purchase_once(till: Till) -> None:
    till.start(till.member())
    till.clock.advance(timedelta(minutes=1))
    values(till.at_once(*[checkout.sweep] * 3))
    assert till.line.calls["retrieve_checkout"] == 1


def test_while_stripe_is_asked_the_request_reads_nothing(till: Till) -> None:
    alice = till.person()
    begun = alice.call("POST", "/api/billing/checkout-session", {"packId": "creator"})
    assert begun.status_code == 200
    asked: list[bool] = []
    till.line.before = lambda name: asked.append(db.session().in_transaction())
    with till.app.app_context(), snapshot() as session:
        purchase = session.scalars(
            select(Purchase).where(Purchase.checkout_id == begun.json["id"])
        ).one()
    assert alice.browser.get(f"/credits/purchases/{purchase.id}/back").status_code == 303
    assert asked
    assert not any(asked)
