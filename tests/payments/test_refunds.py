"""Refunds requested in CreditApp: made once, whatever fails between request and response."""

from __future__ import annotations

import pytest

from creditapp.errors import Conflict, NotFound, ValidationFailed
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.refunds import refund as refunds
from creditapp.payments.stripe.records import GatewayError
from creditapp.payments.subscriptions.models import Refund
from creditapp.stripe_sandbox.state import State
from tests.flaky_gateway import cut
from tests.payments.plan_shop import PlanShop
from tests.shop_app import CREATOR, ShopApp, values


def refund(shop_app: ShopApp, target: str, minor: int | None = None) -> Refund:
    with shop_app.app.app_context():
        return refunds.refund(target, minor, actor="test")


def refunded_amounts(shop_app: ShopApp, purchase: Purchase) -> list[int]:
    """Return the amounts refunded at the sandbox."""
    intent = shop_app.payment_intent_id(purchase)
    with State.of(shop_app.gateway.sandbox).transaction() as books:
        refunds = books.find("refund", {"payment_intent": intent})
    return [refund["amount"] for refund in refunds]


def test_part_of_a_payment_is_refunded_and_then_the_rest(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.buy_and_pay(alice)
    assert refund(shop_app, purchase.id, 300).amount_minor == 300
    assert (
        shop_app.balance(alice).available_micro
        == 50_000_000 + 110_000_000 - 110_000_000 * 300 // 1499
    )
    assert refund(shop_app, purchase.id, 1198).amount_minor == 1198
    assert refund(shop_app, purchase.id, 1).amount_minor == 1
    assert shop_app.credits(alice) == 0
    with pytest.raises(refunds.NothingLeft):
        refund(shop_app, purchase.id)
    assert sorted(refunded_amounts(shop_app, purchase)) == [1, 300, 1198]


@pytest.mark.parametrize("minor", [0, -1, 1500])
def test_an_amount_outside_what_was_paid_is_refused(shop_app: ShopApp, minor: int) -> None:
    purchase = shop_app.buy_and_pay(shop_app.member())
    with pytest.raises(ValidationFailed):
        refund(shop_app, purchase.id, minor)
    assert refunded_amounts(shop_app, purchase) == []


def test_a_retry_after_a_lost_response_is_no_second_refund(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.buy_and_pay(alice)
    shop_app.flaky_gateway.after = cut("create_refund")
    with pytest.raises(GatewayError):
        refund(shop_app, purchase.id, 500)
    shop_app.flaky_gateway.after = lambda name: None
    again = refund(shop_app, purchase.id, 500)
    assert again.state == "done"
    assert refunded_amounts(shop_app, purchase) == [500]
    assert shop_app.row(purchase).refunded_minor == 500


def test_a_request_that_never_arrived_is_sent_again(shop_app: ShopApp) -> None:
    purchase = shop_app.buy_and_pay(shop_app.member())
    shop_app.flaky_gateway.before = cut("create_refund")
    with pytest.raises(GatewayError):
        refund(shop_app, purchase.id, 500)
    shop_app.flaky_gateway.before = lambda name: None
    refund(shop_app, purchase.id, 500)
    assert refunded_amounts(shop_app, purchase) == [500]


def test_a_lost_response_is_found_at_stripe_after_its_key_expired(shop_app: ShopApp) -> None:
    """Stripe forgets an idempotency key after a day; the metadata still has our refund id."""
    purchase = shop_app.buy_and_pay(shop_app.member())
    shop_app.flaky_gateway.after = cut("create_refund")
    with pytest.raises(GatewayError):
        refund(shop_app, purchase.id, 500)
    shop_app.flaky_gateway.after = lambda name: None
    with State.of(shop_app.gateway.sandbox).transaction() as books:
        books.connection.execute("DELETE FROM answers")
    refund(shop_app, purchase.id, 500)
    assert refunded_amounts(shop_app, purchase) == [500]


def test_spent_credits_are_owed(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.buy_and_pay(alice)
    shop_app.spend(alice, 50 + CREATOR)
    refund(shop_app, purchase.id)
    assert shop_app.balance(alice).owed_micro == CREATOR * 1_000_000


def test_a_disputed_payment_is_not_refunded(shop_app: ShopApp) -> None:
    purchase = shop_app.buy_and_pay(shop_app.member())
    shop_app.dispute(purchase)
    with pytest.raises(Conflict, match="disputed"):
        refund(shop_app, purchase.id)


def test_an_unpaid_target_cannot_be_refunded(shop_app: ShopApp) -> None:
    purchase = shop_app.start_checkout(shop_app.member())
    for target in (purchase.id, "pur_nothing", "in_nothing"):
        with pytest.raises(NotFound):
            refund(shop_app, target)


def test_an_invoice_is_refunded_and_the_refusal_for_a_plan_names_it(shop_app: ShopApp) -> None:
    plans = PlanShop(shop_app)
    alice = shop_app.member()
    plans.subscribe(alice)
    (invoice,) = plans.invoices(alice)
    (purchase,) = plans.plan_purchases(alice)
    with pytest.raises(Conflict, match=invoice.id):
        refund(shop_app, purchase.id)
    refund(shop_app, invoice.id, 300)
    assert shop_app.credits(alice) == 400


def test_concurrent_refunds_do_not_exceed_the_payment(shop_app: ShopApp) -> None:
    purchase = shop_app.buy_and_pay(shop_app.member())
    answers = shop_app.at_once(*[lambda: refunds.refund(purchase.id).amount_minor] * 3)
    assert sum(refunded_amounts(shop_app, purchase)) == 1499
    assert 1499 in answers
    assert values([answer for answer in answers if answer == 1499])
