"""Catalog import: prices created, changed, archived; unsellable ones reported by id."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask

from creditapp.catalog import Catalog, versions
from creditapp.clock import now
from creditapp.config import Settings
from creditapp.db import transaction
from creditapp.payments import catalog_import
from creditapp.payments.catalog_import import Diff, compare
from creditapp.payments.stripe.client import StripeGateway
from creditapp.payments.stripe.records import PriceState
from creditapp.services import get, provide
from tests.app_factory import SharedApps

KEY = "operator-key-of-a-test"
PACK = {
    "id": "starter",
    "name": "Starter",
    "price": "4.99",
    "credits": "25",
    "stripe_price_id": "price_starter",
}


def price(price_id: str, **more: Any) -> PriceState:
    values: dict[str, Any] = {
        "active": True,
        "product_name": "Gold",
        "price_minor": 999,
        "currency": "usd",
        "cycle": None,
        "metadata": {"includedCredits": "70"},
    }
    return PriceState(price_id, **{**values, **more})


def test_a_new_price_becomes_a_pack() -> None:
    diff = compare([price("price_1")], {"packs": [PACK], "plans": []}, "USD")
    assert (diff.created, diff.changed, diff.archived) == (["gold"], [], [])
    assert diff.document["packs"][1] == {
        "id": "gold",
        "name": "Gold",
        "price": "9.99",
        "credits": "70",
        "stripe_price_id": "price_1",
    }
    assert diff.as_text() == "+ pack gold: 9.99 USD for 70 credits"


def test_a_second_import_changes_nothing() -> None:
    same = price(
        "price_starter",
        product_name="Starter",
        price_minor=499,
        metadata={"includedCredits": "25.00"},
    )
    diff = compare([same], {"packs": [{**PACK, "price": 4.99, "credits": 25}]}, "USD")
    assert diff.empty
    assert diff.as_text() == "The catalog says what Stripe says."


def test_a_changed_price_keeps_the_catalogs_own_fields() -> None:
    pack = {**PACK, "best_value": True}
    changed = price("price_starter", product_name="Starter", price_minor=599)
    diff = compare([changed], {"packs": [pack]}, "USD")
    assert diff.changed == ["starter"]
    assert diff.document["packs"][0]["best_value"] is True
    assert diff.document["packs"][0]["price"] == "5.99"


def test_an_archived_price_is_removed_even_without_metadata() -> None:
    diff = compare([price("price_starter", active=False, metadata={})], {"packs": [PACK]}, "USD")
    assert (diff.archived, diff.document["packs"]) == (["starter"], [])


def test_prices_without_the_metadata_are_ignored() -> None:
    assert compare([price("price_1", metadata={})], {"packs": []}, "USD").empty


def test_two_cycles_are_a_plan_and_one_is_not() -> None:
    month = price("price_m", cycle="month", price_minor=1900)
    year = price("price_y", cycle="year", price_minor=19000)
    diff = compare([month, year], {"plans": []}, "USD")
    assert diff.created == ["gold"]
    plan = diff.document["plans"][0]
    assert (plan["month"], plan["year"], plan["credits"]) == ("19.00", "190.00", "70")
    alone = compare([month], {"plans": []}, "USD")
    assert alone.empty
    assert [(each.price_id, each.text) for each in alone.problems] == [
        ("price_m", "plan gold has no price by the year")
    ]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"metadata": {"includedCredits": "many"}}, "no number"),
        ({"metadata": {"includedCredits": "-5"}}, "above zero"),
        ({"metadata": {"includedCredits": "NaN"}}, "above zero"),
        ({"metadata": {"includedCredits": "1e12"}}, "above zero"),
        ({"metadata": {"includedCredits": "0.0000001"}}, "six decimals"),
        ({"currency": "eur"}, "in EUR"),
        ({"price_minor": None}, "no fixed price"),
        ({"price_minor": 49}, "its price must be at least $0.50, Stripe's least charge"),
        ({"cycle": "other"}, "neither by the month"),
        ({"product_name": "***"}, "creditappId"),
    ],
)
def test_an_unsellable_price_is_reported_and_changes_nothing(
    more: dict[str, Any], words: str
) -> None:
    diff = compare([price("price_bad", **more), price("price_good")], {"packs": []}, "USD")
    ((problem),) = diff.problems
    assert problem.price_id == "price_bad"
    assert words in problem.text
    assert diff.created == ["gold"]


# --- prices that replace others, stand beside others, or leave half a plan ------------------------

MONTH = {"cycle": "month", "price_minor": 1900}
YEAR = {"cycle": "year", "price_minor": 19000}
PLAN = {
    "id": "gold",
    "name": "Gold",
    "tagline": "Shines",
    "month": "19.00",
    "year": "190.00",
    "credits": "70",
    "stripe_month_id": "price_m",
    "stripe_year_id": "price_y",
}
FREE = {"id": "free", "name": "Free", "tagline": "To begin with"}


def synced(prices: list[PriceState], document: dict[str, Any]) -> Diff:
    """Return the changes of a first import, after which a second one finds none."""
    first = compare(prices, document, "USD")
    again = compare(prices[::-1], first.document, "USD")
    assert again.empty, again.as_text()
    assert again.as_text().startswith("The catalog says what Stripe says.")
    assert (again.document, again.problems) == (first.document, first.problems)
    return first


def problems(diff: Diff) -> list[tuple[str, str]]:
    return [(each.price_id, each.text) for each in diff.problems]


def test_a_replaced_price_keeps_the_packs_position_and_fields() -> None:
    pack = {**PACK, "best_value": True, "prices": {"EUR": "4.50"}}
    other = {"id": "pro", "name": "Pro", "price": "9.99", "credits": "60"}
    old = price("price_starter", product_name="Starter", active=False)
    new = price("price_0", product_name="Starter", price_minor=549)
    diff = synced([old, new], {"packs": [pack, other]})
    assert (diff.created, diff.changed, diff.archived) == ([], ["starter"], [])
    assert diff.document["packs"] == [
        {**pack, "price": "5.49", "credits": "70", "stripe_price_id": "price_0"},
        other,
    ]
    assert diff.as_text() == "~ pack starter: 5.49 USD for 70 credits"


@pytest.mark.parametrize("old_metadata", [{"includedCredits": "25"}, {}])
def test_a_replaced_price_is_found_where_the_catalog_has_an_id_of_its_own(
    old_metadata: dict[str, str],
) -> None:
    pack = {**PACK, "id": "small", "best_value": True}
    old = price("price_starter", product_name="Starter", active=False, metadata=old_metadata)
    new = price("price_2", product_name="Starter")
    diff = synced([old, new], {"packs": [pack]})
    assert diff.changed == ["small"]
    (found,) = diff.document["packs"]
    assert (found["id"], found["best_value"], found["stripe_price_id"]) == (
        "small",
        True,
        "price_2",
    )


def test_the_catalogs_price_stays_beside_a_second_one() -> None:
    second = price("price_0", product_name="Starter")
    mine = price("price_starter", product_name="Starter", price_minor=499)
    document = {"packs": [{**PACK, "credits": "70"}]}
    diff = synced([second, mine], document)
    assert diff.empty
    assert diff.document == document
    assert problems(diff) == [("price_0", "another price is that pack already; set creditappId")]


def test_a_second_price_does_not_replace_one_that_lost_its_metadata() -> None:
    second = price("price_0", product_name="Starter")
    mine = price("price_starter", product_name="Starter", metadata={})
    diff = synced([second, mine], {"packs": [PACK]})
    assert diff.empty
    assert {price_id for price_id, _ in problems(diff)} == {"price_0", "price_starter"}


def test_of_two_new_prices_the_first_by_id_becomes_the_pack() -> None:
    diff = synced([price("price_2"), price("price_1", price_minor=499)], {"packs": []})
    assert diff.created == ["gold"]
    assert diff.document["packs"][0]["stripe_price_id"] == "price_1"
    assert problems(diff) == [("price_2", "another price is that pack already; set creditappId")]


def test_two_prices_of_one_product_are_two_packs_by_their_own_ids() -> None:
    marked = {"includedCredits": "90", "creditappId": "gold-large"}
    diff = synced([price("price_1"), price("price_2", metadata=marked)], {"packs": []})
    assert (diff.created, diff.problems) == (["gold", "gold-large"], [])


@pytest.mark.parametrize("known", ["price_1", "price_2"])
def test_a_pack_by_its_own_id_may_join_another_of_its_product_later(known: str) -> None:
    named = {"includedCredits": "90", "creditappId": "gold-large"}
    prices = [price("price_1"), price("price_2", metadata=named)]
    first = synced([each for each in prices if each.id == known], {"packs": []})
    diff = synced(prices, first.document)
    assert (len(diff.created), diff.problems) == (1, [])


def test_an_explicit_id_is_not_the_slug_of_another_pack() -> None:
    """The catalog sells the product Gold as ``small``; an operator gives a price the id gold."""
    mine = price("price_starter", price_minor=499, metadata={"includedCredits": "25"})
    given = price("price_1", metadata={"includedCredits": "70", "creditappId": "gold"})
    diff = synced([mine, given], {"packs": [{**PACK, "id": "small", "name": "Gold"}]})
    assert (diff.created, diff.problems) == (["gold"], [])


def test_a_price_without_the_id_of_the_one_it_replaces_finds_its_place() -> None:
    marked = {"includedCredits": "70", "creditappId": "starter"}
    old = price("price_starter", product_name="Starter pack", metadata=marked, active=False)
    diff = synced([old, price("price_2", product_name="Starter pack")], {"packs": [PACK]})
    assert (diff.created, diff.changed, diff.archived) == ([], ["starter"], [])


def test_names_with_an_empty_slug_are_different() -> None:
    old = price("price_starter", product_name="银", active=False)
    diff = synced([old, price("price_2", product_name="金")], {"packs": [PACK]})
    assert diff.archived == ["starter"]
    assert [price_id for price_id, _ in problems(diff)] == ["price_2"]


def test_two_packs_that_the_catalog_sells_of_one_product_are_both_kept() -> None:
    packs = [PACK, {**PACK, "id": "promo", "stripe_price_id": "price_promo"}]
    found = [price(each["stripe_price_id"], product_name="Starter") for each in packs]
    diff = synced(found, {"packs": packs})
    assert (sorted(diff.changed), diff.problems) == (["promo", "starter"], [])
    left = synced([found[0], replace(found[1], active=False)], diff.document)
    assert (left.changed, left.archived) == ([], ["promo"])


@pytest.mark.parametrize(
    ("gone", "left", "cycle"), [("price_m", "price_y", "month"), ("price_y", "price_m", "year")]
)
def test_a_plan_with_one_archived_price_is_reported_and_stays(
    gone: str, left: str, cycle: str
) -> None:
    states = {"price_m": price("price_m", **MONTH), "price_y": price("price_y", **YEAR)}
    dearer = replace(states[left], price_minor=99000)
    diff = synced([replace(states[gone], active=False), dearer], {"plans": [PLAN]})
    assert diff.empty
    assert diff.document["plans"] == [PLAN]
    assert problems(diff) == [
        (gone, f"it is archived, and plan gold has no other price by the {cycle}")
    ]


def test_a_half_archived_plan_is_reported_beside_an_unsellable_price() -> None:
    year = price("price_y", **YEAR, metadata={"includedCredits": "many"})
    diff = synced([price("price_m", **MONTH, active=False), year], {"plans": [PLAN]})
    assert (diff.empty, diff.document["plans"]) == (True, [PLAN])
    assert [price_id for price_id, _ in problems(diff)] == ["price_y", "price_m"]


def test_a_plan_with_both_prices_archived_is_removed() -> None:
    both = [price("price_m", **MONTH, active=False), price("price_y", **YEAR, active=False)]
    by_the_week = price("price_w", cycle="other")
    diff = synced([*both, by_the_week], {"plans": [FREE, PLAN]})
    assert (diff.archived, diff.document["plans"]) == (["gold"], [FREE])
    assert diff.as_text().startswith("- plan gold\n! price_w: ")


@pytest.mark.parametrize("plan_id", ["gold", "best"])
def test_a_plans_replaced_price_keeps_its_position_and_fields(plan_id: str) -> None:
    plan = {**PLAN, "id": plan_id, "unused": "carry", "trial_days": 7}
    prices = [
        price("price_m", **MONTH, active=False),
        price("price_m2", **{**MONTH, "price_minor": 2100}),
        price("price_y", **YEAR),
    ]
    diff = synced(prices, {"plans": [plan, FREE]})
    assert (diff.created, diff.changed, diff.archived) == ([], [plan_id], [])
    assert diff.document["plans"] == [
        {**plan, "month": "21.00", "stripe_month_id": "price_m2"},
        FREE,
    ]
    assert diff.problems == []


def test_of_two_prices_by_the_month_the_one_in_the_catalog_stays() -> None:
    prices = [price("price_0", **MONTH), price("price_m", **MONTH), price("price_y", **YEAR)]
    diff = synced(prices, {"plans": [PLAN]})
    assert (diff.empty, diff.document["plans"]) == (True, [PLAN])
    words = "another price is that plan by the month already; set creditappId"
    assert problems(diff) == [("price_0", words)]


def test_a_plan_in_the_catalog_under_its_own_id_is_not_made_a_second_time() -> None:
    plan = {**PLAN, "id": "best"}
    diff = synced([price("price_m", **MONTH), price("price_y", **YEAR)], {"plans": [plan]})
    assert (diff.empty, diff.problems) == (True, [])


# --- the route -----------------------------------------------------------------------------------


@pytest.fixture
def app(shared_apps: SharedApps) -> Flask:
    """An app whose catalog was imported, on the sandbox."""
    made = shared_apps.fresh("sqlite", {"ADMIN_API_KEY": KEY})
    with made.app_context():
        settings = get(Settings)
        with transaction() as session:
            imported = versions.import_file(session, settings.catalog, now=now())
        provide(made, Catalog, imported.catalog)
    return made


def make(app: Flask, name: str, minor: int, included: str, cycle: str | None = None) -> str:
    """Create a price in the sandbox, as on Stripe's dashboard."""
    with app.app_context():
        gateway = get(StripeGateway)
        client = gateway
        return str(
            client.v1.prices.create(
                {
                    "currency": "usd",
                    "unit_amount": minor,
                    "product_data": {"name": name},
                    "metadata": {"includedCredits": included},
                    **({"recurring": {"interval": cycle}} if cycle else {}),
                }
            ).id
        )


def test_the_route_imports_prices(app: Flask) -> None:
    browser = app.test_client()
    gold = make(app, "Gold", 9900, "1500")
    bad = make(app, "Bad", 100, "lots")
    assert browser.post("/api/billing/sync-prices").status_code == 401
    assert browser.post("/api/billing/sync-prices?dryRun=1", headers={"x-admin-key": KEY}).json == {
        "created": ["gold"],
        "changed": [],
        "archived": [],
        "problems": [{"priceId": bad, "problem": "includedCredits is no number"}],
        "version": _version(app),
    }
    assert "gold" not in _packs(browser)
    before = _version(app)
    answer = browser.post("/api/billing/sync-prices", headers={"x-admin-key": KEY})
    assert answer.json["created"] == ["gold"]
    assert answer.json["version"] != before
    assert "gold" in _packs(browser)
    with app.app_context():
        pack = get(Catalog).pack("gold")
        assert pack is not None
        assert (pack.price_minor, pack.stripe_price_id) == (9900, gold)
    again = browser.post("/api/billing/sync-prices", headers={"x-admin-key": KEY})
    assert (again.json["created"], again.json["changed"]) == ([], [])


def test_without_the_operators_key_the_route_is_not_found(shared_apps: SharedApps) -> None:
    app = shared_apps.fresh("sqlite")
    assert app.test_client().post("/api/billing/sync-prices").status_code == 404


def test_an_invalid_catalog_is_refused_whole(app: Flask) -> None:
    make(app, "Same as starter", 499, "30")  # two packs of one price cannot both be sold
    before = _version(app)
    answer = app.test_client().post("/api/billing/sync-prices", headers={"x-admin-key": KEY})
    assert answer.status_code == 409
    assert "is unchanged" in answer.json["detail"]
    assert _version(app) == before


def _packs(browser: Any) -> list[str]:
    return [each["id"] for each in json.loads(browser.get("/api/credit-packs").text)]


def _version(app: Flask) -> str:
    with app.app_context():
        return get(Catalog).version


assert catalog_import.CREDITS_KEY == "includedCredits"
