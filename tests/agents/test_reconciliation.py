"""Reconciliation of agents' payments by card: found without an event, repaired or reported."""

from __future__ import annotations

import json
from contextlib import nullcontext
from datetime import timedelta
from typing import Any

import pytest
from click.testing import CliRunner

from creditapp.agents.models import PaymentRequest, Settlement
from creditapp.cli import commands
from creditapp.cli import payments as command
from creditapp.clock import now
from creditapp.db import transaction
from creditapp.ledger.models import Grant
from creditapp.payments.stripe.records import GatewayError
from creditapp.runtime import tasks
from creditapp.stripe_sandbox.state import State
from tests.agents.stripe_shop import StripeShop
from tests.flaky_gateway import cut
from tests.shop_app import ShopApp


@pytest.fixture
def shop(shop_app: ShopApp) -> StripeShop:
    """The shop for agents, and its bank."""
    return StripeShop(shop_app)


def reconcile(shop: StripeShop, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Run the command in this process; return its report, and its exit code as ``exit``."""
    with shop.app.app_context():
        since = f"{now() - timedelta(days=2):%Y-%m-%d}"
        monkeypatch.setattr(command, "app_context", lambda: nullcontext(shop.app))
        ended = CliRunner().invoke(commands, ["reconcile", "--since", since, "--json"])
    if isinstance(ended.exception, GatewayError):
        raise ended.exception
    return dict(json.loads(ended.output)) | {"exit": ended.exit_code}


def found(report: dict[str, Any]) -> list[tuple[str, str, bool]]:
    """Return kind, id and repair of each difference."""
    return [(each["kind"], each["purchase_id"], each["repaired"]) for each in report["differences"]]


def change_page(shop: StripeShop, request_id: str, **values: object) -> None:
    """Change what the bank says of a page."""
    changed = shop.page(request_id) | values
    with State.of(shop.bank.gateway.sandbox).transaction() as books:
        books.put(changed)


def paid_page(shop: StripeShop, count: int = 3) -> str:
    """Pay on a page of which no event arrives."""
    _, request_id = shop.new_page(count)
    shop.pay_page(request_id)
    return request_id


def granted_page(shop: StripeShop, count: int = 3) -> str:
    """Pay on a page, with its events."""
    request_id = paid_page(shop, count)
    shop.deliver(request_id)
    return request_id


def test_a_payment_that_agrees_is_counted(
    shop: StripeShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    granted_page(shop)

    report = reconcile(shop, monkeypatch)

    assert (report["exit"], report["ok"], report["differences"]) == (0, True, [])
    assert report["compared"]["agentPayments"] == 1


def test_a_payment_without_an_event_is_listed_and_granted(
    shop: StripeShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = paid_page(shop)

    report = reconcile(shop, monkeypatch)

    assert found(report) == [("paid_not_granted", request_id, True)]
    assert shop.request_row(request_id).state == "paid"
    assert reconcile(shop, monkeypatch)["differences"] == []
    assert shop.count(Grant) == 1


def test_a_payment_of_another_amount_is_left_with_the_reason(
    shop: StripeShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = paid_page(shop)
    change_page(shop, request_id, amount_subtotal=30)

    report = reconcile(shop, monkeypatch)

    assert found(report) == [("paid_not_granted", request_id, False)]
    assert report["differences"][0]["ledger"] == "the subtotal is 30"
    assert report["exit"] == 1
    assert shop.count(Grant) == 0


def test_a_payment_of_another_amount_is_kept_until_it_is_paid_back(
    shop: StripeShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = paid_page(shop)
    change_page(shop, request_id, amount_subtotal=30)
    for _ in range(10):
        shop.bank.clock.advance(timedelta(days=1))
        shop.sweep()
    assert shop.request_row(request_id).state == "open"

    shop.bank.press(f"/payments/{shop.page(request_id)['payment_intent']}/refund")
    assert reconcile(shop, monkeypatch)["ok"]
    shop.sweep()

    assert shop.count(PaymentRequest) == 0, "forgotten as every unpaid one"


def test_a_grant_without_a_payment_is_left(
    shop: StripeShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = granted_page(shop)
    change_page(shop, request_id, payment_status="unpaid")

    assert found(reconcile(shop, monkeypatch)) == [("granted_not_paid", request_id, False)]


def test_a_grant_of_another_amount_is_left(
    shop: StripeShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = granted_page(shop)
    change_page(shop, request_id, amount_total=250)

    assert found(reconcile(shop, monkeypatch)) == [("amount", request_id, False)]


def test_a_payment_of_a_request_that_is_not_stored_is_left(
    shop: StripeShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_id = paid_page(shop)
    with shop.app.app_context(), transaction() as session:
        session.delete(session.get_one(PaymentRequest, request_id))

    assert found(reconcile(shop, monkeypatch)) == [("unknown", request_id, False)]


@pytest.mark.parametrize("reversal", ["refund", "dispute"])
def test_a_reversal_without_an_event_is_posted(
    shop: StripeShop, monkeypatch: pytest.MonkeyPatch, reversal: str
) -> None:
    token, request_id = shop.new_page(3)
    shop.pay_page(request_id)
    receipt = shop.claim(token).json["receipt"]
    shop.bank.press(f"/payments/{shop.page(request_id)['payment_intent']}/{reversal}")

    report = reconcile(shop, monkeypatch)

    assert found(report) == [(reversal, request_id, True)]
    assert shop.balance(receipt)["remaining"] == 0
    assert reconcile(shop, monkeypatch)["differences"] == []


def test_a_second_payment_is_paid_back_and_listed_once(
    shop: StripeShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, request_id = shop.new_page(3)
    assert shop.pay(token).status_code == 200  # by another rail
    shop.pay_page(request_id)

    report = reconcile(shop, monkeypatch)

    assert found(report) == [("paid_twice", request_id, True)]
    assert shop.refunds(request_id) == [300]
    assert shop.settlement_row(request_id).rail == "sandbox"
    assert reconcile(shop, monkeypatch)["differences"] == []


def test_a_second_payment_that_stays_is_left(
    shop: StripeShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, request_id = shop.new_page(3)
    shop.pay(token)
    shop.pay_page(request_id)
    shop.bank.press(f"/payments/{shop.page(request_id)['payment_intent']}/dispute")

    report = reconcile(shop, monkeypatch)

    assert found(report) == [("paid_twice", request_id, False)]
    assert report["exit"] == 1


def test_one_payment_that_cannot_be_read_does_not_stop_the_others(
    shop: StripeShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = {paid_page(shop, 1), paid_page(shop, 2)}
    failed: list[str] = []

    def fail_once(name: str) -> None:
        if name == "retrieve_checkout" and not failed:
            failed.append(name)
            raise GatewayError("Stripe: no answer", permanent=False)

    shop.bank.flaky_gateway.before = fail_once
    report = reconcile(shop, monkeypatch)

    assert {(kind, repaired) for kind, _, repaired in found(report)} == {
        ("unanswered", False),
        ("paid_not_granted", True),
    }
    assert {request_id for _, request_id, _ in found(report)} == requests


def test_nothing_changes_while_the_lists_cannot_be_read(
    shop: StripeShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    paid_page(shop)
    shop.bank.flaky_gateway.before = cut("list_disputed_payments")

    with pytest.raises(GatewayError):
        reconcile(shop, monkeypatch)

    assert shop.count(Settlement) == 0


def test_an_unpaid_page_is_no_difference(shop: StripeShop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.new_page(3)

    report = reconcile(shop, monkeypatch)

    assert (report["differences"], report["compared"]["agentPayments"]) == ([], 0)


def test_the_night_compares_them_too(shop: StripeShop) -> None:
    request_id = paid_page(shop)

    with shop.app.app_context():
        tasks.reconcile()

    assert shop.request_row(request_id).state == "paid"
