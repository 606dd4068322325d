"""Requests that ask Stripe: claimed before asking, counted for each member, bounded in threads."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from creditapp.http.policies import policy
from creditapp.http.stripe_requests import asks_stripe
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.stripe.client import StripeGateway
from creditapp.rate_limits import PURCHASE_QUESTIONS, STRIPE_REQUESTS, stripe_requests
from creditapp.services import get
from tests.app_factory import Person
from tests.shop_app import CREATOR, ShopApp
from tests.web.checkout import paid_page

pytestmark = pytest.mark.databases("sqlite", "postgresql")

RETURNS = 20


class Slow:
    """A hook that keeps each call of Stripe for a while and counts those at the same time."""

    def __init__(self, seconds: float = 0.3) -> None:
        self.seconds, self.busy, self.busy_most = seconds, 0, 0
        self._lock = threading.Lock()

    def __call__(self, _name: str) -> None:
        with self._lock:
            self.busy += 1
            self.busy_most = max(self.busy_most, self.busy)
        time.sleep(self.seconds)
        with self._lock:
            self.busy -= 1


def open_at_once(*visits: tuple[Person, str]) -> list[TestResponse]:
    """Open pages in threads that start together, each in a window of its person."""
    barrier = threading.Barrier(len(visits))

    def open_page(person: Person, path: str) -> TestResponse:
        browser = person.app.test_client()
        cookie = person.browser.get_cookie("creditapp_session")
        assert cookie
        browser.set_cookie("creditapp_session", cookie.value)
        barrier.wait()
        return browser.get(path)

    with ThreadPoolExecutor(len(visits)) as pool:
        return list(pool.map(lambda visit: open_page(*visit), visits))


def back(purchase: Purchase) -> str:
    return f"/credits/purchases/{purchase.id}/back"


def test_twenty_returns_at_once_ask_stripe_once(shop_app: ShopApp) -> None:
    person = shop_app.person()
    purchase = shop_app.start_checkout(shop_app.user_of(person))
    shop_app.pay(purchase)
    shop_app.flaky_gateway.calls.clear()
    slow = shop_app.flaky_gateway.after = Slow()
    answers = open_at_once(*[(person, back(purchase))] * RETURNS)
    assert {answer.status_code for answer in answers} == {303}
    assert (dict(shop_app.flaky_gateway.calls), slow.busy_most) == ({"retrieve_checkout": 1}, 1)
    assert shop_app.credits(shop_app.user_of(person)) == CREATOR


def test_an_ended_purchase_is_answered_from_its_row(shop_app: ShopApp) -> None:
    person = shop_app.person()
    purchase = shop_app.buy_and_pay(shop_app.user_of(person))
    shop_app.flaky_gateway.calls.clear()
    for _ in range(STRIPE_REQUESTS.limit + 5):
        answer = person.browser.get(back(purchase))
        assert answer.headers["Location"] == paid_page(purchase)
    assert not shop_app.flaky_gateway.calls


def test_an_unpaid_purchase_is_asked_about_again_after_some_seconds(shop_app: ShopApp) -> None:
    person = shop_app.person()
    purchase = shop_app.start_checkout(shop_app.user_of(person))
    for _ in range(3):
        person.browser.get(back(purchase))
    assert shop_app.flaky_gateway.calls["retrieve_checkout"] == 1
    shop_app.pay(purchase)
    shop_app.clock.advance(PURCHASE_QUESTIONS.window)
    assert person.browser.get(back(purchase)).headers["Location"] == paid_page(purchase)
    assert shop_app.flaky_gateway.calls["retrieve_checkout"] == 2


def test_at_most_a_quarter_of_the_threads_wait_for_stripe(shop_app: ShopApp) -> None:
    seats = stripe_requests(shop_app.settings.threads)
    persons = [shop_app.person() for _ in range(RETURNS)]
    purchases = [shop_app.start_checkout(shop_app.user_of(person)) for person in persons]
    for purchase in purchases:
        shop_app.pay(purchase)
    slow = shop_app.flaky_gateway.after = Slow(1.0)
    visits = [(person, back(purchase)) for person, purchase in zip(persons, purchases, strict=True)]
    answers = open_at_once(*visits)
    assert {answer.status_code for answer in answers} == {303}, "the others are told to wait"
    assert slow.busy_most == seats
    slow.busy_most = 0
    answers = open_at_once(*[(person, "/api/billing/portal-link") for person in persons])
    refused = [answer for answer in answers if answer.status_code == 503]
    assert (len(refused), slow.busy_most) == (RETURNS - seats, seats)
    assert refused[0].json["code"] == "provider_unavailable"
    assert int(refused[0].headers["Retry-After"]) > 0
    shop_app.flaky_gateway.after = lambda name: None
    answers = open_at_once(*[(person, "/api/billing/portal-link") for person in persons[:seats]])
    assert {answer.status_code for answer in answers} == {303}, "every seat was given back"


def test_a_member_asks_stripe_twenty_times_a_minute(shop_app: ShopApp) -> None:
    alice, charlie = shop_app.person(), shop_app.person()
    portal = [alice.browser.get("/api/billing/portal-link") for _ in range(STRIPE_REQUESTS.limit)]
    assert {answer.status_code for answer in portal} == {303}
    refused = alice.browser.get("/api/billing/portal-link")
    assert (refused.status_code, refused.json["code"]) == (429, "rate_limited")
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    bought = alice.call("POST", "/api/billing/checkout-session", {"packId": "creator"})
    assert bought.status_code == 429
    assert shop_app.purchases(shop_app.user_of(alice)) == [], "refused before it was stored"
    assert charlie.browser.get("/api/billing/portal-link").status_code == 303
    shop_app.clock.advance(timedelta(minutes=1))
    assert alice.browser.get("/api/billing/portal-link").status_code == 303


def test_a_webhook_without_a_seat_is_stored_and_handled_later(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    purchase = shop_app.start_checkout(alice)
    shop_app.pay(purchase)
    event = shop_app.event(purchase, "checkout.session.completed")
    seats = stripe_requests(shop_app.settings.threads)
    persons = [shop_app.person() for _ in range(seats)]
    shop_app.flaky_gateway.after = Slow(1.0)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(
            open_at_once, *[(person, "/api/billing/portal-link") for person in persons]
        )
        time.sleep(0.5)
        assert shop_app.send(event).status_code == 200
        waiting.result()
    assert shop_app.credits(alice) == 0
    shop_app.flaky_gateway.after = lambda name: None
    shop_app.sweep(after=timedelta(seconds=5))
    assert shop_app.credits(alice) == CREATOR


def test_a_view_that_does_not_declare_it_cannot_call_stripe(own_app: Flask) -> None:
    @policy("public")
    def ask() -> str:
        get(StripeGateway).list_prices()
        return "asked"

    own_app.add_url_rule("/undeclared", "undeclared", ask)
    own_app.add_url_rule("/declared", "declared", asks_stripe(policy("public")(lambda: ask())))
    browser = Person(own_app).browser
    assert browser.get("/declared").text == "asked"
    assert browser.get("/undeclared").status_code == 500
