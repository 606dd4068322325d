"""The refund page: its numbers are those that a refund would have, and asking for one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from flask import Flask
from flask.testing import FlaskClient

from creditapp.cli import commands
from creditapp.cli import payments as payment_commands
from creditapp.config import Settings
from creditapp.db import snapshot
from creditapp.emails import Email
from creditapp.errors import Conflict
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.refunds import refund as refunds
from creditapp.payments.refunds import requests
from creditapp.payments.refunds.models import RefundRequest
from creditapp.services import get, provide
from tests.app_factory import Person, build_app, close_app
from tests.shop_app import ShopApp

both_databases = pytest.mark.databases("sqlite", "postgresql")


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
    assert "Ask for $6.26 back" in page


@pytest.fixture
def alice(shop_app: ShopApp) -> Person:
    return shop_app.person()


@pytest.fixture
def purchase(shop_app: ShopApp, alice: Person) -> Purchase:
    """Alice bought the Creator pack and has spent 64 of its 110 credits."""
    purchase = shop_app.buy_and_pay(shop_app.user_of(alice))
    shop_app.spend(shop_app.user_of(alice), 50 + 64)
    return purchase


def open_request() -> RefundRequest:
    """Return the only request that the operator has to decide."""
    with snapshot() as session:
        ((request, _),) = requests.list_open(session)
    return request


def press(person: Person) -> None:
    """Press the button that asks for the refund."""
    fields = person.page("/credits/refunds").one('form[action="/credits/refunds"]').fields()
    answer = person.browser.post("/credits/refunds", data=fields)
    assert (answer.status_code, answer.location) == (303, "/credits/refunds")


@both_databases
def test_asking_shows_the_request_and_a_second_click_asks_once(
    shop_app: ShopApp, alice: Person, purchase: Purchase
) -> None:
    fields = alice.page("/credits/refunds").one('form[action="/credits/refunds"]').fields()
    for _ in range(2):
        assert alice.browser.post("/credits/refunds", data=fields).status_code == 303
    page = alice.page("/credits/refunds")
    assert "You asked for a refund." in page.all(".toast")[0].text
    assert "Refund requested. You asked for $6.26" in page.one("main").text
    assert not page.has('form[action="/credits/refunds"]')
    assert "Asked for $6.26 on " in page.one(".refund-request").text
    with shop_app.app.app_context(), snapshot() as session:
        ((request, email),) = requests.list_open(session)
        assert (request.target_id, request.amount_minor) == (purchase.id, 626)
        assert "@" in email


def test_the_operator_lists_what_is_asked_for(
    shop_app: ShopApp, alice: Person, purchase: Purchase, monkeypatch: pytest.MonkeyPatch
) -> None:
    press(alice)
    monkeypatch.setattr(payment_commands, "app_context", shop_app.app.app_context)
    listed = CliRunner().invoke(commands, ["refund-requests", "--json"])
    (asked,) = json.loads(listed.output)["requests"]
    assert (asked["target"], asked["amount"]) == (purchase.id, "$6.26")
    day, _, time = asked["requestedAt"].partition("T")
    assert time.endswith("+00:00")
    line = CliRunner().invoke(commands, ["refund-requests"]).output
    assert line.startswith(f"{day} {time[:5]}  {asked['id']}  $6.26  ")


@both_databases
def test_the_operator_pays_what_was_asked_for(
    shop_app: ShopApp, alice: Person, purchase: Purchase
) -> None:
    press(alice)
    with shop_app.app.app_context():
        request = open_request()
        assert requests.pay(request.id).amount_minor == 626
        with pytest.raises(Conflict):
            requests.pay(request.id)
    assert shop_app.row(purchase).refunded_minor == 626
    page = alice.page("/credits/refunds")
    assert "Refunded" in page.one(".refund-request").text
    assert "Refund requested" not in page.text


def test_credits_spent_meanwhile_are_not_refunded(
    shop_app: ShopApp, alice: Person, purchase: Purchase
) -> None:
    press(alice)
    shop_app.spend(shop_app.user_of(alice), 36)
    with shop_app.app.app_context():
        request = open_request()
        assert requests.pay(request.id).amount_minor == 1499 * 10 // 110
    assert shop_app.balance(shop_app.user_of(alice)).owed_micro == 0


def test_any_refund_of_the_payment_answers_the_request(
    shop_app: ShopApp, alice: Person, purchase: Purchase
) -> None:
    press(alice)
    with shop_app.app.app_context():
        refunds.refund(purchase.id, 626, actor="test")
    assert "Refunded" in alice.page("/credits/refunds").one(".refund-request").text


@both_databases
def test_a_declined_request_says_so_and_can_be_made_again(
    shop_app: ShopApp, alice: Person, purchase: Purchase
) -> None:
    press(alice)
    with shop_app.app.app_context():
        request = open_request()
        requests.decline(request.id)
        with pytest.raises(Conflict):
            requests.decline(request.id)
    assert "Declined" in alice.page("/credits/refunds").one(".refund-request").text
    press(alice)
    states = alice.page("/credits/refunds").texts(".refund-request strong")
    assert states == ["Requested", "Declined"]


def test_the_operator_gets_an_email_where_a_support_address_is_set(
    shop_app: ShopApp, alice: Person, purchase: Purchase
) -> None:
    with shop_app.app.app_context():
        settings = get(Settings).model_copy(update={"support_email": "help@example.com"})
        provide(shop_app.app, Settings, settings)
    press(alice)
    with shop_app.app.app_context(), snapshot() as session:
        email = session.query(Email).filter_by(event="refund_requested").one()
        assert email.address == "help@example.com"
        assert email.context["target"] == purchase.id


def test_nobody_asks_for_the_refund_of_another(
    shop_app: ShopApp, alice: Person, purchase: Purchase
) -> None:
    charlie = shop_app.person()
    for target in (purchase.id, "pur_none", ""):
        assert charlie.post("/credits/refunds", {"payment": target}).status_code == 404
    guest = Person(shop_app.app)
    assert guest.post("/credits/refunds", {"payment": purchase.id}).status_code in (303, 401)
    shop_app.spend(shop_app.user_of(alice), 46)
    spent = alice.post("/credits/refunds", {"payment": purchase.id})
    assert (spent.status_code, "nothing left to refund" in spent.text) == (409, True)
