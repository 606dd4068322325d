"""The automatic top-up by JSON: read with a key, changed by its member alone, never by surprise."""

from __future__ import annotations

from typing import Any

import pytest

from creditapp.catalog import Catalog
from creditapp.payments.auto_topup import charge as topup_charge
from creditapp.services import get, provide
from tests.api.contract import Program
from tests.api.test_keys import holder
from tests.app_factory import Person
from tests.flaky_gateway import cut
from tests.payments.topup_shop import TopupShop
from tests.shop_app import ShopApp

PATH = "/api/billing/auto-topup"


@pytest.fixture
def tops(shop_app: ShopApp) -> TopupShop:
    return TopupShop(shop_app)


@pytest.fixture
def alice(tops: TopupShop) -> Person:
    return tops.shop_app.person()


def agreed(api: Program, **changes: object) -> dict[str, Any]:
    """Return the body of a consent to what the API shows now."""
    shown = api.get(PATH)
    body = {
        "enabled": True,
        "packId": "creator",
        "threshold": 20,
        "limitMinor": 5000,
        "termsVersion": shown["termsVersion"],
        "catalog": shown["catalog"],
    }
    return {name: value for name, value in {**body, **changes}.items() if value is not None}


def put(api: Program, **changes: object) -> Any:
    answer = api.call("PUT", PATH, agreed(api, **changes))
    assert answer.status_code == 200, answer.text
    return answer.json


def switch_on(tops: TopupShop, api: Program, **changes: object) -> None:
    """Agree, save a card on Stripe's page and come back."""
    tops.save_card(put(api, **changes)["setupUrl"])
    api.person.browser.get("/settings/top-up/back")


def test_from_off_to_on_over_a_saved_card_and_off_again(tops: TopupShop, alice: Person) -> None:
    api = Program(alice)
    shown = api.get(PATH)
    assert (shown["enabled"], shown["state"], shown["agreement"]) == (False, "off", None)
    needed = put(api, limitMinor=2000)
    assert (needed["enabled"], needed["state"], needed["card"]) == (False, "card_needed", None)
    tops.save_card(needed["setupUrl"])
    assert api.get(PATH)["state"] == "card_needed"  # until she came back, or the webhook did
    alice.browser.get("/settings/top-up/back")
    shown = api.get(PATH)
    assert (shown["enabled"], shown["state"], shown["setupUrl"]) == (True, "on", None)
    assert shown["card"] == {"brand": "visa", "last4": "4242"}
    agreement = shown["agreement"]
    assert (agreement["packId"], agreement["priceMinor"], agreement["currency"]) == (
        "creator",
        1499,
        "USD",
    )
    assert (agreement["threshold"], agreement["limitMinor"], agreement["credits"]) == (
        20,
        2000,
        110,
    )
    assert api.call("PUT", PATH, {"enabled": False}).json["state"] == "stopped"
    assert api.get(PATH)["stoppedReason"] == "member"
    again = put(api, threshold=30)
    assert (again["state"], again["setupUrl"], again["agreement"]["threshold"]) == ("on", None, 30)
    assert "Switch off" in alice.page("/settings").one("#top-up").text


def test_its_charges_count_against_the_limit_that_was_agreed_to(
    tops: TopupShop, alice: Person
) -> None:
    api, member = Program(alice), tops.shop_app.user_of(alice)
    switch_on(tops, api, threshold=60, limitMinor=2000)
    with tops.app.app_context():
        topup_charge.charge_if_low(member.id)
    shown = api.get(PATH)
    assert (alice.balance(), shown["chargedMinor"]) == (160, 1499)
    assert shown["resetsAt"] is not None


def test_another_card_is_saved_while_the_first_is_charged(tops: TopupShop, alice: Person) -> None:
    api = Program(alice)
    switch_on(tops, api)
    second = put(api, newCard=True)
    assert (second["state"], second["card"]["last4"]) == ("on", "4242")
    assert "/pay/" in second["setupUrl"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"packId": "none"}, "packId"),
        ({"packId": None}, "packId"),
        ({"threshold": 0}, "threshold"),
        ({"threshold": 500}, "threshold"),
        ({"threshold": "20"}, "threshold"),
        ({"limitMinor": 1}, "limitMinor"),
        ({"limitMinor": 50.5}, "limitMinor"),
        ({"limitMinor": 10**12}, "limitMinor"),
        ({"termsVersion": None}, "termsVersion"),
        ({"catalog": ""}, "catalog"),
        ({"enabled": "yes"}, "enabled"),
        ({"enabled": None}, "enabled"),
        ({"newCard": "yes"}, "newCard"),
    ],
    ids=str,
)
def test_a_wrong_value_is_named_and_changes_nothing(
    alice: Person, changes: dict[str, object], field: str
) -> None:
    api = Program(alice)
    problem = api.refused(422, "validation_failed", "PUT", PATH, agreed(api, **changes))
    assert [error["field"] for error in problem["errors"]] == [field]
    assert api.get(PATH)["state"] == "off"


@pytest.mark.parametrize("changes", [{"termsVersion": "0"}, {"catalog": "another"}], ids=str)
def test_other_terms_or_prices_than_were_shown_are_not_agreed_to(
    alice: Person, changes: dict[str, object]
) -> None:
    api = Program(alice)
    api.refused(409, "conflict", "PUT", PATH, agreed(api, **changes))
    assert api.get(PATH)["state"] == "off"


def test_prices_that_change_between_reading_and_agreeing_are_refused(
    tops: TopupShop, alice: Person
) -> None:
    api = Program(alice)
    body = agreed(api)
    with tops.app.app_context():
        catalog = get(Catalog)
    provide(tops.app, Catalog, catalog.model_copy(update={"digest": "changed"}))
    api.refused(409, "conflict", "PUT", PATH, body)
    assert api.get(PATH)["state"] == "off"


def test_a_key_reads_it_with_its_scope_and_never_changes_it(tops: TopupShop, alice: Person) -> None:
    api = Program(alice)
    switch_on(tops, api)
    program = holder(alice)
    assert program.call("GET", PATH).json["state"] == "on"
    assert program.code("PUT", PATH, agreed(api, limitMinor=100_000)) == "forbidden"
    assert program.code("PUT", PATH, {"enabled": False}) == "forbidden"
    assert holder(alice, scopes=["purchase"]).code("GET", PATH) == "forbidden"
    assert api.get(PATH)["agreement"]["limitMinor"] == 5000


def test_guests_and_others_see_and_change_only_their_own(tops: TopupShop, alice: Person) -> None:
    switch_on(tops, Program(alice))
    stranger, guest = Program(tops.shop_app.person()), Program(Person(tops.app))
    assert stranger.get(PATH)["state"] == "off"
    assert stranger.call("PUT", PATH, {"enabled": False}).json["state"] == "off"
    guest.refused(401, "authentication_required", "GET", PATH)
    guest.refused(401, "authentication_required", "PUT", PATH, {"enabled": False})
    assert Program(alice).get(PATH)["state"] == "on"


def test_another_site_cannot_switch_it_on(alice: Person) -> None:
    api = Program(alice)
    body = agreed(api)
    answer = api.call("PUT", PATH, body, Sec_Fetch_Site="cross-site")
    assert (answer.status_code, answer.json["code"]) == (403, "csrf_failed")
    assert api.get(PATH)["state"] == "off"


def test_while_stripe_is_silent_nothing_is_switched_on(tops: TopupShop, alice: Person) -> None:
    api = Program(alice)
    body = agreed(api)
    tops.shop_app.flaky_gateway.before = cut("create_setup_checkout")
    api.refused(503, "provider_unavailable", "PUT", PATH, body)
    tops.shop_app.flaky_gateway.before = lambda name: None
    assert not api.get(PATH)["enabled"]
    assert put(api)["setupUrl"] is not None
