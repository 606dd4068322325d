"""Plan pages, for a guest and for a user on Free."""

from __future__ import annotations

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.app_factory import Person
from tests.pages import parse_html
from tests.shop_app import ShopApp
from tests.web.checkout import find_purchase


def test_a_guest_compares_and_is_asked_to_sign_up(client: FlaskClient) -> None:
    page = client.get("/credits/plans")
    assert page.status_code == 200
    assert page.text.count("/auth/signup?next=/credits/plans") >= 2
    assert '/credits/plan"' not in page.text
    for words in ("$15.00 a month", "$210.00 a year", "500 credits a month", "$58.00 less than"):
        assert words in page.text


def test_a_year_that_costs_more_than_twelve_months_says_so(client: FlaskClient) -> None:
    page = parse_html(client.get("/credits/plans").text)
    free, basic, premium = page.all(".plan")
    assert "$0.00" not in page.text
    assert free.one(".plan-price").text == "Free"
    assert "$17.50 a month, 3.5¢ a credit" in basic.text
    assert "$30.00 more than twelve months" in basic.text
    assert "$58.00 less than twelve months" in premium.text
    assert "Lowest price per credit" in premium.text


def test_best_value_is_a_label_and_the_lowest_price_is_another(client: FlaskClient) -> None:
    rows = parse_html(client.get("/credits").text).all(".pack")
    assert [row.one(".pack-name").text for row in rows] == [
        "Starter",
        "Creator Best value",
        "Pro",
        "Enterprise Lowest price per credit in a pack",
    ]


def test_the_dialog_is_the_same_list(app: Flask) -> None:
    alice = Person(app).sign_up("alice@example.com")
    page = alice.browser.get("/credits/plans", headers={"HX-Request": "true"}).text
    assert page.lstrip().startswith("<dialog")
    assert "You are on Free." in page
    assert page.count(">Subscribe<") == 4


def test_the_dashboard_and_the_credits_page_show_the_plan(app: Flask) -> None:
    alice = Person(app).sign_up("alice@example.com")
    assert "Free plan" in alice.browser.get("/dashboard").text
    assert "Or a plan, with credits every month" in alice.browser.get("/credits").text


def test_a_plan_that_cannot_be_chosen_is_refused_in_words(app: Flask) -> None:
    alice = Person(app).sign_up("alice@example.com")
    page = alice.page("/credits/plans")
    form = {name: page.value(name) for name in ("csrf_token", "catalog", "nonce")}
    for change, status, words in (
        ({"plan": "gold"}, 404, "There is no such plan."),
        ({"plan": "basic", "cycle": "week"}, 422, "by the month or by the year"),
        ({"plan": "basic", "seats": "3"}, 422, "Basic has one seat"),
        ({"plan": "basic", "seats": "-1"}, 422, "Basic has one seat"),
        ({"plan": "basic", "nonce": ""}, 422, "Reload the page"),
        ({"plan": "basic", "catalog": "another"}, 409, "Prices were changed"),
        ({"plan": "free"}, 409, "You are on the Free plan already."),
    ):
        sent = alice.browser.post("/credits/plan", data={**form, "cycle": "month", **change})
        assert sent.status_code == status, change
        assert words in sent.text, change


def test_without_a_plan_there_is_nothing_to_cancel(app: Flask) -> None:
    alice = Person(app).sign_up("alice@example.com")
    for path in ("/credits/plan/cancel", "/credits/plan/resume"):
        sent = alice.post(path)
        assert sent.status_code == 409
        assert "You have no plan to change." in sent.text


def test_an_ended_session_leads_back_to_the_plans(app: Flask) -> None:
    sent = Person(app).post("/credits/plan", {"plan": "basic"})
    assert (sent.status_code, sent.headers["Location"]) == (303, "/auth/login?next=/credits/plans")


def fields(person: Person, **more: str) -> dict[str, str]:
    """Open the plans and return what a button there would send."""
    page = person.page("/credits/plans")
    shown = {name: page.value(name) for name in ("csrf_token", "catalog", "nonce", "next")}
    return {**shown, "cycle": "month", **more}


def subscribe(shop_app: ShopApp, person: Person, plan: str) -> dict[str, str]:
    """Choose a plan, pay, and let the shop hear of it; return the form that was sent."""
    sent = fields(person, plan=plan)
    purchase = find_purchase(
        shop_app, str(person.browser.post("/credits/plan", data=sent).location)
    )
    shop_app.pay(purchase)
    shop_app.sync(purchase)
    return sent


def test_a_plan_is_canceled_in_its_own_row(shop_app: ShopApp) -> None:
    alice = shop_app.person()
    subscribe(shop_app, alice, "basic")
    free, basic, premium = alice.page("/credits/plans").all(".plan")
    assert "Cancel plan" in basic.one(".plan-by-month").text
    assert "Cancel plan" not in basic.one(".plan-buy.plan-by-year").text + free.text + premium.text
    assert "Follows when you cancel Basic." in free.text
    sent = alice.browser.post(
        "/credits/plan/cancel", data=basic.one('form[action="/credits/plan/cancel"]').fields()
    )
    assert (sent.status_code, sent.location) == (303, "/dashboard")
    assert "Your plan ends on" in alice.browser.get("/dashboard").text
    assert "Cancel plan" not in alice.page("/credits/plans").text


def test_an_upgrade_is_told_like_a_payment(shop_app: ShopApp) -> None:
    alice = shop_app.person()
    sent = subscribe(shop_app, alice, "basic")
    before = alice.balance()
    form = {**sent, "plan": "premium", "nonce": "a-nonce-of-the-form"}
    news = alice.page(str(alice.browser.post("/credits/plan", data=form).location)).one(".toast")
    added = alice.balance() - before
    assert added > 0
    assert "toast-good" in news["class"]
    assert f"You are on Premium. {added:,} credits added. You have" in news.text


@pytest.mark.parametrize(
    ("first", "then", "words"),
    [
        ("basic", "premium", "You are on Premium."),
        ("premium", "basic", "Your plan changes on"),
        ("basic", "free", "Your plan ends on"),
    ],
)
def test_a_double_click_on_a_change_says_the_same_twice(
    shop_app: ShopApp, first: str, then: str, words: str
) -> None:
    alice = shop_app.person()
    sent = subscribe(shop_app, alice, first)
    form = {**sent, "plan": then, "nonce": "a-nonce-of-the-form"}
    for _ in range(2):
        sent = alice.browser.post("/credits/plan", data=form)
        assert (sent.status_code, sent.location) == (303, "/dashboard")
        assert words in alice.browser.get("/dashboard").text
    calls = shop_app.flaky_gateway.calls
    assert calls["change_subscription"] + calls["cancel_at_period_end"] == 1


def test_a_form_sent_again_after_paying_leads_back_to_what_was_bought(shop_app: ShopApp) -> None:
    alice = shop_app.person()
    form = subscribe(shop_app, alice, "basic")
    again = alice.browser.post("/credits/plan", data=form)
    assert again.status_code == 303
    assert re.fullmatch(r"/credits/purchases/pur_\w+/back", str(again.location))
    assert shop_app.flaky_gateway.calls["create_plan_checkout"] == 1
    assert shop_app.flaky_gateway.calls["change_subscription"] == 0
