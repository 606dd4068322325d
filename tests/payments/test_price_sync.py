"""Stripe's prices in the catalog: created, changed, archived, and the bad ones reported by id."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from creditapp import use_catalog
from creditapp.catalog import Catalog, versions
from creditapp.clock import now
from creditapp.config import Settings
from creditapp.db import transaction
from creditapp.payments import price_sync
from creditapp.payments.gateway import Gateway
from creditapp.payments.gateway_types import PriceState
from creditapp.payments.price_sync import compare
from creditapp.wiring import the
from tests.conftest import build_app, close_app

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


def test_the_same_again_changes_nothing() -> None:
    same = price(
        "price_starter",
        product_name="Starter",
        price_minor=499,
        metadata={"includedCredits": "25.00"},
    )
    diff = compare([same], {"packs": [{**PACK, "price": 4.99, "credits": 25}]}, "USD")
    assert diff.empty
    assert diff.as_text() == "The catalog says what Stripe says."


def test_a_changed_price_keeps_what_the_catalog_adds() -> None:
    pack = {**PACK, "best_value": True}
    changed = price("price_starter", product_name="Starter", price_minor=599)
    diff = compare([changed], {"packs": [pack]}, "USD")
    assert diff.changed == ["starter"]
    assert diff.document["packs"][0]["best_value"] is True
    assert diff.document["packs"][0]["price"] == "5.99"


def test_an_archived_price_leaves_the_shelf_also_without_its_mark() -> None:
    diff = compare([price("price_starter", active=False, metadata={})], {"packs": [PACK]}, "USD")
    assert (diff.archived, diff.document["packs"]) == (["starter"], [])


def test_prices_without_the_mark_are_nobodys_business() -> None:
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
        ({"cycle": "other"}, "neither by the month"),
        ({"product_name": "***"}, "creditappId"),
    ],
)
def test_a_bad_price_is_named_and_changes_nothing(more: dict[str, Any], words: str) -> None:
    diff = compare([price("price_bad", **more), price("price_good")], {"packs": []}, "USD")
    ((problem),) = diff.problems
    assert problem.price_id == "price_bad"
    assert words in problem.text
    assert diff.created == ["gold"]


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    """An app whose catalog was imported, on the sandbox."""
    made = build_app(f"sqlite:///{tmp_path}/a.sqlite", tmp_path, {"ADMIN_API_KEY": KEY})
    with made.app_context():
        settings = the(Settings)
        with transaction() as session:
            imported = versions.import_file(session, settings.catalog, now=now())
        use_catalog(made, settings, imported.catalog)
    yield made
    close_app(made)


def make(app: Flask, name: str, minor: int, included: str, cycle: str | None = None) -> str:
    """Create a price at the bank, as an operator does on Stripe's dashboard."""
    with app.app_context():
        gateway = the(Gateway)
        client = gateway._stripe()  # type: ignore[attr-defined]
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


def test_the_route_takes_prices_into_the_shop(app: Flask) -> None:
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
        pack = the(Catalog).pack("gold")
        assert pack is not None
        assert (pack.price_minor, pack.stripe_price_id) == (9900, gold)
    again = browser.post("/api/billing/sync-prices", headers={"x-admin-key": KEY})
    assert (again.json["created"], again.json["changed"]) == ([], [])


def test_without_the_operators_key_the_route_is_not_there(sqlite_app: Flask) -> None:
    assert sqlite_app.test_client().post("/api/billing/sync-prices").status_code == 404


def test_a_catalog_that_would_not_stand_is_refused_whole(app: Flask) -> None:
    make(app, "Same as starter", 499, "30")  # two packs of one price cannot both be sold
    before = _version(app)
    answer = app.test_client().post("/api/billing/sync-prices", headers={"x-admin-key": KEY})
    assert answer.status_code == 409
    assert "stays as it is" in answer.json["detail"]
    assert _version(app) == before


def _packs(browser: Any) -> list[str]:
    return [each["id"] for each in json.loads(browser.get("/api/credit-packs").text)]


def _version(app: Flask) -> str:
    with app.app_context():
        return the(Catalog).version


assert price_sync.MARK == "includedCredits"
