"""Promotion codes and tax: the price moves, the credits do not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from creditapp.db import snapshot
from creditapp.payments import reconciling, refund_policy
from creditapp.payments.models import Purchase
from tests.payments.plan_till import PlanTill
from tests.payments.till import CREATOR, Till, opened

ON = {"CREDITAPP_PROMOTION_CODES": "1", "CREDITAPP_AUTOMATIC_TAX": "1"}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def till(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Till]:
    """A till whose shop takes codes and adds tax."""
    server = request.getfixturevalue("postgresql_server") if request.param != "sqlite" else None
    with opened(request.param, tmp_path_factory.mktemp("till"), server, environ=ON) as made:
        made.begin()
        yield made
        made.prove()


def code(till: Till, word: str, **coupon: Any) -> str:
    """Make a promotion code at the bank."""
    client = till.gateway._stripe()
    made = client.v1.coupons.create({"duration": "once", **coupon})  # type: ignore[typeddict-item]
    client.v1.promotion_codes.create(
        {"promotion": {"type": "coupon", "coupon": made.id}, "code": word}
    )
    return word


def buy(till: Till, buyer: Any, word: str = "") -> Purchase:
    purchase = till.start(buyer)
    if word:
        till.press(f"/pay/{till.row(purchase).checkout_id}/code", code=word)
    till.pay(purchase)
    return till.sync(purchase)


def test_tax_is_added_and_gives_nothing(till: Till) -> None:
    alice = till.member()
    purchase = buy(till, alice)
    row = till.row(purchase)
    assert (row.state, row.total_minor, row.tax_minor) == ("paid", 1619, 120)
    assert till.credits(alice) == CREATOR
    till.refund(purchase)
    till.sync(purchase)
    assert till.credits(alice) == 0


def test_a_code_takes_off_money_and_no_credits(till: Till) -> None:
    alice = till.member()
    purchase = buy(till, alice, code(till, "HALF", percent_off=50))
    row = till.row(purchase)
    assert (row.state, row.discount_minor) == ("paid", 750)
    assert till.credits(alice) == CREATOR
    till.refund(purchase, "1.00")
    till.sync(purchase)
    assert CREATOR * 0.85 < till.credits(alice) < CREATOR * 0.9


def test_the_refund_page_promises_what_was_paid(till: Till) -> None:
    alice = till.member()
    half = till.row(buy(till, alice, code(till, "HALF3", percent_off=50)))
    whole = till.row(buy(till, alice))
    with till.app.app_context(), snapshot() as session:
        shown = refund_policy.refundable(session, alice.id)
    assert {each.id: each.back_minor for each in shown} == {
        half.id: half.total_minor,
        whole.id: whole.total_minor,
    }
    assert (half.total_minor, whole.total_minor) == (809, 1619)


def test_a_code_over_everything_needs_no_payment(till: Till) -> None:
    alice = till.member()
    purchase = buy(till, alice, code(till, "WHOLE", percent_off=100))
    row = till.row(purchase)
    assert (row.state, row.total_minor) == ("paid", 0)
    assert till.credits(alice) == CREATOR


def test_an_unknown_code_changes_nothing(till: Till) -> None:
    alice = till.member()
    purchase = buy(till, alice, "NOSUCH")
    assert till.row(purchase).total_minor == 1619


def test_a_plan_with_a_code_gives_its_credits(till: Till) -> None:
    plans = PlanTill(till)
    alice = till.member()
    purchase = plans.choose(alice, "basic").purchase
    assert purchase is not None
    till.press(
        f"/pay/{till.row(purchase).checkout_id}/code", code=code(till, "TEN", percent_off=10)
    )
    till.pay(purchase)
    assert till.sync(purchase).state == "paid"
    assert plans.given(alice) == [500]
    (invoice,) = plans.invoices(alice)
    assert (invoice.subtotal_minor, invoice.paid_minor) == (1500, 1458)
    row = plans.live(alice)
    assert row is not None
    plans.live_through(row, 1)
    assert plans.given(alice) == [500, 500]


def test_all_of_it_agrees_with_the_bank(till: Till) -> None:
    with till.app.app_context():
        from creditapp.clock import now

        report = reconciling.reconcile(now() - reconciling.NIGHTLY * 10)
    assert report.ok, report.as_text()
