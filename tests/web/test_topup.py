"""The automatic top-up on the settings: agreed to in words, stopped by one button."""

from __future__ import annotations

import hashlib
import re

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from creditapp import units
from creditapp.jobs.engine import JobStore
from creditapp.payments.auto_topup import consent as topup_consent
from creditapp.services import get
from tests.app_factory import Person, Queue
from tests.conventions.files import ROOT
from tests.flaky_gateway import cut
from tests.pages import parse_html
from tests.shop_app import ShopApp
from tests.web.steps import make

WORDS = {"1": "a56b68b0466dc586"}  # pragma: allowlist secret
"""The digest of the words that each version stands for; an old version's are never changed."""


def agree(person: Person, **fields: str) -> TestResponse:
    """Send the form of the settings as the page has it, with some fields filled in."""
    sent = {
        "catalog": person.page("/settings").one("#top-up").value("catalog"),
        "pack": "creator",
        "threshold": "20",
        "limit": "50.00",
        "agree": "1",
    }
    return person.post("/settings/top-up", sent | fields)


def section(person: Person) -> str:
    return person.page("/settings").one("#top-up").text


def test_from_off_to_on_over_a_saved_card_and_off_again(shop_app: ShopApp) -> None:
    alice = shop_app.person()
    assert "It is off until you switch it on." in section(alice)
    answer = agree(alice)
    assert answer.status_code == 303
    assert "/pay/" in answer.location
    assert "no card is saved" in section(alice)

    assert alice.browser.get("/settings/top-up/back?cancelled=1").status_code == 303
    assert "no card is saved" in section(alice)
    shop_app.press(
        f"/pay/{answer.location.rsplit('/', 1)[1]}", card="succeeds", email="a@example.com"
    )
    back = alice.browser.get("/settings/top-up/back?session_id=cs")
    assert back.location == "/settings#top-up"
    shown = section(alice)
    assert "Visa ending in 4242" in shown
    assert "$0.00 of $50.00" in shown
    assert "Switch off" in shown

    assert alice.post("/settings/top-up/off", {}).location == "/settings#top-up"
    assert "Switch off" not in section(alice)
    assert agree(alice).location == "/settings#top-up"
    assert "Switch off" in section(alice)


def test_a_picture_that_makes_the_balance_low_is_followed_by_a_top_up(shop_app: ShopApp) -> None:
    alice = shop_app.person()
    page = agree(alice, threshold="50").location
    shop_app.press(f"/pay/{page.rsplit('/', 1)[1]}", card="succeeds", email="a@example.com")
    alice.browser.get("/settings/top-up/back")
    with shop_app.app.app_context():
        queue = get(JobStore)
    assert isinstance(queue, Queue)
    make(alice, queue)
    assert alice.balance() == 50 - 0.5 + 110
    assert "$14.99 of $50.00" in section(alice)
    make(alice, queue)
    assert alice.balance() == 50 - 1 + 110


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"agree": ""}, "Tick the box to agree"),
        ({"threshold": "many"}, "is not a number of credits"),
        ({"threshold": "1e1"}, "is not a number of credits"),
        ({"limit": "5e1"}, "is not an amount of money"),
        ({"threshold": "500"}, "The Creator pack gives 110"),
        ({"limit": ""}, "is not an amount of money"),
        ({"limit": "1"}, "One pack costs $14.99"),
        ({"limit": "50.001"}, "at most 2 decimals"),
        ({"pack": "nothing"}, "Choose one of the packs."),
    ],
)
def test_a_wrong_value_is_named_kept_and_changes_nothing(
    shop_app: ShopApp, fields: dict[str, str], said: str
) -> None:
    alice = shop_app.person()
    answer = agree(alice, **fields)
    assert answer.status_code == 422
    page = parse_html(answer.text)
    assert said in page.text
    assert page.value("limit") == fields.get("limit", "50.00")
    assert "It is off until" in section(alice)


def test_every_wrong_value_is_named_at_once(shop_app: ShopApp) -> None:
    alice = shop_app.person()
    said = parse_html(agree(alice, threshold="500", limit="1", agree="").text).text
    assert "The Creator pack gives 110" in said
    assert "One pack costs $14.99" in said
    assert "Tick the box to agree" in said
    said = parse_html(agree(alice, threshold="500", limit="1").text).text
    assert "The Creator pack gives 110" in said
    assert "One pack costs $14.99" in said


def test_prices_that_changed_are_shown_before_they_are_agreed_to(shop_app: ShopApp) -> None:
    answer = agree(shop_app.person(), catalog="another")
    assert answer.status_code == 409
    assert "Prices were changed" in answer.text


def test_while_stripe_is_silent_the_page_says_so_and_nothing_is_on(shop_app: ShopApp) -> None:
    alice = shop_app.person()
    shop_app.flaky_gateway.before = cut("create_setup_checkout")
    answer = agree(alice)
    shop_app.flaky_gateway.before = lambda name: None
    assert answer.status_code == 503
    assert "Payment is not available right now" in answer.text
    assert "Switch off" not in section(alice)


def test_a_guest_is_sent_to_log_in(app: Flask) -> None:
    guest = Person(app)
    assert "/auth/login" in guest.browser.get("/settings/top-up/back").location
    for path in ("/settings/top-up", "/settings/top-up/off"):
        assert guest.post(path, {}).status_code in (303, 401)


def test_the_words_that_are_agreed_to_have_a_number_of_their_own() -> None:
    template = (ROOT / "templates/components/topup_terms.html").read_text(encoding="utf-8")
    words = re.sub(r"\{#.*?#\}|\{%.*?%\}|<[^>]*>", " ", template, flags=re.DOTALL).split()
    digest = hashlib.sha256(" ".join(words).encode()).hexdigest()[:16]
    assert WORDS[topup_consent.CONSENT_VERSION] == digest


@pytest.mark.parametrize(("text", "currency", "minor"), [("50", "USD", 5000), ("500", "JPY", 500)])
def test_money_is_read_in_its_own_units(text: str, currency: str, minor: int) -> None:
    assert units.minor_from_text(text, currency) == minor


@pytest.mark.parametrize("text", ["0", "-1", "NaN", "inf", "1e20", "", "ten"])
def test_an_invalid_amount_of_money_is_refused(text: str) -> None:
    with pytest.raises(units.AmountInvalid):
        units.minor_from_text(text, "USD")
