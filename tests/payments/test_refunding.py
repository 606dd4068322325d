"""Refunds from here: once, whatever fails between the request and its answer."""

from __future__ import annotations

import pytest

from creditapp.errors import Conflict, NotFound, ValidationFailed
from creditapp.payments import refunding
from creditapp.payments.gateway import GatewayError
from creditapp.payments.models import Purchase
from creditapp.payments.plan_models import Refund
from tests.payments.plan_till import PlanTill
from tests.payments.till import CREATOR, Till, cut, house, till, values

__all__ = ["house", "till"]


def refund(till: Till, target: str, minor: int | None = None) -> Refund:
    with till.app.app_context():
        return refunding.refund(target, minor, actor="test")


def at_the_bank(till: Till, purchase: Purchase) -> list[int]:
    """Return the amounts that went back at the bank."""
    from creditapp.payments.sandbox.state import State

    intent = till.intent(purchase)
    with State.of(till.gateway.sandbox).transaction() as books:
        found = books.find("refund", {"payment_intent": intent})
    return [each["amount"] for each in found]


def test_a_part_and_then_the_rest(till: Till) -> None:
    alice = till.member()
    purchase = till.bought(alice)
    assert refund(till, purchase.id, 300).amount_minor == 300
    assert (
        till.balance(alice).available_micro == 50_000_000 + 110_000_000 - 110_000_000 * 300 // 1499
    )
    assert refund(till, purchase.id).amount_minor == 1199
    assert till.credits(alice) == 0
    with pytest.raises(refunding.NothingLeft):
        refund(till, purchase.id)
    assert sorted(at_the_bank(till, purchase)) == [300, 1199]


@pytest.mark.parametrize("minor", [0, -1, 1500])
def test_not_more_than_was_paid_and_not_nothing(till: Till, minor: int) -> None:
    purchase = till.bought(till.member())
    with pytest.raises(ValidationFailed):
        refund(till, purchase.id, minor)
    assert at_the_bank(till, purchase) == []


def test_an_answer_that_was_lost_is_no_second_refund(till: Till) -> None:
    alice = till.member()
    purchase = till.bought(alice)
    till.line.after = cut("create_refund")
    with pytest.raises(GatewayError):
        refund(till, purchase.id, 500)
    till.line.after = lambda name: None
    again = refund(till, purchase.id, 500)
    assert again.state == "done"
    assert at_the_bank(till, purchase) == [500]
    assert till.row(purchase).refunded_minor == 500


def test_a_request_that_never_arrived_is_sent_again(till: Till) -> None:
    purchase = till.bought(till.member())
    till.line.before = cut("create_refund")
    with pytest.raises(GatewayError):
        refund(till, purchase.id, 500)
    till.line.before = lambda name: None
    refund(till, purchase.id, 500)
    assert at_the_bank(till, purchase) == [500]


def test_a_lost_answer_is_found_at_the_bank_after_its_key_was_forgotten(till: Till) -> None:
    """Stripe forgets a key after a day; our number of the refund stands in its metadata."""
    purchase = till.bought(till.member())
    till.line.after = cut("create_refund")
    with pytest.raises(GatewayError):
        refund(till, purchase.id, 500)
    till.line.after = lambda name: None
    from creditapp.payments.sandbox.state import State

    with State.of(till.gateway.sandbox).transaction() as books:
        books.connection.execute("DELETE FROM answers")
    refund(till, purchase.id, 500)
    assert at_the_bank(till, purchase) == [500]


def test_spent_credits_are_owed(till: Till) -> None:
    alice = till.member()
    purchase = till.bought(alice)
    till.spend(alice, 50 + CREATOR)
    refund(till, purchase.id)
    assert till.balance(alice).owed_micro == CREATOR * 1_000_000


def test_a_disputed_payment_is_not_refunded(till: Till) -> None:
    purchase = till.bought(till.member())
    till.dispute(purchase)
    with pytest.raises(Conflict, match="disputed"):
        refund(till, purchase.id)


def test_what_was_never_paid_cannot_go_back(till: Till) -> None:
    purchase = till.start(till.member())
    for target in (purchase.id, "pur_nothing", "in_nothing"):
        with pytest.raises(NotFound):
            refund(till, target)


def test_an_invoice_is_refunded_and_a_plan_names_its_invoices(till: Till) -> None:
    plans = PlanTill(till)
    alice = till.member()
    plans.subscribe(alice)
    (invoice,) = plans.invoices(alice)
    (purchase,) = plans.plan_purchases(alice)
    with pytest.raises(Conflict, match=invoice.id):
        refund(till, purchase.id)
    refund(till, invoice.id, 300)
    assert till.credits(alice) == 400


def test_two_operators_at_once_do_not_refund_more_than_was_paid(till: Till) -> None:
    purchase = till.bought(till.member())
    answers = till.at_once(*[lambda: refunding.refund(purchase.id).amount_minor] * 3)
    assert sum(at_the_bank(till, purchase)) == 1499
    assert 1499 in answers
    assert values([each for each in answers if each == 1499])
