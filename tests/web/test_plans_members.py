"""Plans of members in the browser: a team's seats, more at once, fewer later; what is possible."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask

from tests.app_factory import Person, SharedApps
from tests.pages import Element
from tests.payments.plan_shop import PlanShop
from tests.payments.test_plan_kinds import catalog_file as catalog_file
from tests.shop_app import ShopApp


@pytest.fixture
def app(database_kind: str, shared_apps: SharedApps, catalog_file: Path) -> Flask:
    """The app of a shop that sells a team's plan."""
    return shared_apps.fresh(database_kind, {"CREDITAPP_CATALOG": str(catalog_file)})


@pytest.fixture
def plans(shop_app: ShopApp) -> PlanShop:
    return PlanShop(shop_app)


@pytest.fixture
def alice(plans: PlanShop) -> Person:
    """Alice has a browser and an account."""
    return plans.shop_app.person()


def press(person: Person, page: Element, button: str) -> str:
    """Send the form of the button with these words; return the text of the next page."""
    (form,) = (
        form for form in page.all("form") if any(button in text for text in form.texts("button"))
    )
    answer = person.browser.post("/credits/plan", data=form.fields())
    assert answer.status_code == 303, answer.text
    return person.page(answer.headers["Location"]).text


def subscribed(plans: PlanShop, person: Person, plan: str = "crew", seats: int = 5) -> None:
    purchase = plans.choose(plans.shop_app.user_of(person), plan, seats=seats).purchase
    assert purchase is not None
    plans.shop_app.pay(purchase)
    assert plans.shop_app.sync(purchase).state == "paid"


def test_more_seats_are_shown_with_their_price_and_charged_at_once(
    plans: PlanShop, alice: Person
) -> None:
    subscribed(plans, alice)
    page = alice.page("/credits/plans")
    assert page.has('[href^="/credits/plan?plan=crew&cycle=month&seats=5"]')
    asked = alice.browser.get("/credits/plan?plan=crew&cycle=month&seats=5").text
    assert "You have 5 seats" in asked
    assert "Charged now" not in asked
    more = alice.page("/credits/plan?plan=crew&cycle=month&seats=7")
    assert re.search(r"Pay \$(40\.00|39\.\d\d) for 7 seats", more.text)
    assert "You are on Crew." in press(alice, more, "for 7 seats")
    assert plans.status(plans.shop_app.user_of(alice)).seats == 7


def test_fewer_seats_wait_and_all_can_be_kept(plans: PlanShop, alice: Person) -> None:
    subscribed(plans, alice)
    fewer = alice.page("/credits/plan?plan=crew&cycle=month&seats=3")
    assert "$60.00 on" in fewer.text
    assert "Nothing" in fewer.text
    assert "Crew, 3 seats" in press(alice, fewer, "Change to 3 seats")
    page = alice.page("/credits/plans")
    assert "The planned change is canceled" in press(alice, page, "Keep Crew")
    mine = plans.status(plans.shop_app.user_of(alice))
    assert (mine.seats, mine.next_name) == (5, None)


def test_one_becomes_a_team_with_the_seats_that_are_asked_for(
    plans: PlanShop, alice: Person
) -> None:
    subscribed(plans, alice, "basic", 1)
    page = alice.page("/credits/plans")
    assert page.has('[href^="/credits/plan?plan=crew&cycle=month&seats=2"]')
    asked = alice.page("/credits/plan?plan=crew&cycle=month&seats=4")
    assert "Upgrade to Crew" in asked.text
    press(alice, asked, "for 4 seats")
    mine = plans.status(plans.shop_app.user_of(alice))
    assert (mine.plan_id, mine.seats) == ("crew", 4)


@pytest.mark.parametrize("seats", ["1", "51", "-3", "many", ""])
def test_a_number_of_seats_that_nobody_sells_is_refused(
    plans: PlanShop, alice: Person, seats: str
) -> None:
    subscribed(plans, alice)
    answer = alice.browser.get(f"/credits/plan?plan=crew&cycle=month&seats={seats}")
    assert answer.status_code == 422
    assert "Crew has 2 to 50 seats." in answer.text


def test_a_failed_payment_is_said_where_plans_are_chosen(plans: PlanShop, alice: Person) -> None:
    row = plans.subscribe(plans.shop_app.user_of(alice), "basic", card="declined-later")
    plans.advance_to(row.period_end + timedelta(hours=2))
    plans.sweep()
    page = alice.browser.get("/credits/plans").text
    assert "Your last payment failed." in page
    assert "Change your card first." in page
    assert ">Upgrade<" not in page


def test_every_action_of_a_plan_has_words(plans: PlanShop, alice: Person) -> None:
    plans.subscribe(plans.shop_app.user_of(alice), "basic")
    page = alice.page("/credits/plans")
    assert "Cancel plan" in page.all(".plan-current .plan-action")[0].text
    assert all(page.texts(".plan-action"))


def test_the_other_cycle_waits_for_the_end_of_ones_own(plans: PlanShop, alice: Person) -> None:
    plans.subscribe(plans.shop_app.user_of(alice), "premium")
    assert "Available when your month ends on" in alice.browser.get("/credits/plans").text


def test_a_larger_plan_on_money_that_went_back_is_refused_in_each_form(
    plans: PlanShop, alice: Person
) -> None:
    row = plans.subscribe(plans.shop_app.user_of(alice), "basic")
    member = plans.shop_app.user_of(alice)
    plans.refund(plans.invoices(member)[0].payment_intent_id)
    plans.sync(row)
    words = "Your last payment was refunded or disputed"
    as_json = alice.call("POST", "/api/upgrade-plan", {"planId": "premium"})
    assert (as_json.status_code, as_json.json["code"]) == (409, "conflict")
    assert words in as_json.json["detail"]
    shown = alice.browser.get("/credits/plan?plan=premium&cycle=month")
    assert (shown.status_code, words in shown.text) == (409, True)
    fields = {"plan": "premium", "cycle": "month", "nonce": "a-nonce-of-the-form"}
    as_page = alice.post("/credits/plan", fields)
    as_part = alice.post("/credits/plan", fields, headers={"HX-Request": "true"})
    for answer in (as_page, as_part):
        assert (answer.status_code, words in answer.text) == (409, True)
    assert "<html" in as_page.text
    assert "<html" not in as_part.text
    plans.sync(row)
    assert [each.paid_minor for each in plans.invoices(member)] == [1500]
