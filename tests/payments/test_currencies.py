"""Packs in several currencies: priced by the catalog, paid as chosen, never converted."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from flask import Flask

from creditapp.catalog import CatalogInvalid, packs_view
from creditapp.catalog.load import parse
from creditapp.currencies import CURRENCIES
from creditapp.errors import ValidationFailed
from creditapp.payments.purchases import packs
from creditapp.payments.purchases.packs import Order
from creditapp.stripe_sandbox import currencies as of_sandbox
from tests.app_factory import SharedApps
from tests.shop_app import CREATOR, ShopApp

pytestmark = pytest.mark.in_turn

STUDIO = Path(__file__).resolve().parents[2] / "creditapp" / "catalog" / "studio.toml"
PRICES = {"starter": "4.50", "creator": "13.99", "pro": "27.99", "enterprise": "45.99"}


def in_euros(**prices: object) -> str:
    """Return the studio's catalog with prices in euros and in the given currencies."""
    text = STUDIO.read_text()
    for pack_id, price in PRICES.items():
        elsewhere = f'EUR = "{price}", JPY = {int(float(price) * 160)}'
        text = text.replace(
            f'id = "{pack_id}"\n', f'id = "{pack_id}"\nprices = {{ {elsewhere} }}\n', 1
        )
    for old, new in prices.items():
        text = text.replace(old, str(new))
    return text


@pytest.fixture(scope="module")
def catalog_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalog with three currencies."""
    file = tmp_path_factory.mktemp("catalog") / "shop.toml"
    file.write_text(in_euros())
    return file


@pytest.fixture
def app(database_kind: str, shared_apps: SharedApps, catalog_file: Path) -> Flask:
    """The app that sells in three currencies."""
    return shared_apps.fresh(database_kind, {"CREDITAPP_CATALOG": str(catalog_file)})


def test_each_currency_has_its_own_prices() -> None:
    catalog = parse(tomllib.loads(in_euros()), file="shop.toml")
    assert catalog.currencies == ("USD", "EUR", "JPY")
    euros = packs_view(catalog, "EUR")
    assert [view.pack.price_minor for view in euros] == [450, 1399, 2799, 4599]
    assert euros[1].saving_percent == 29
    assert packs_view(catalog, "JPY")[0].pack.price_minor == 720
    assert packs_view(catalog)[0].pack.price_minor == 499


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('EUR = "4.50"', 'EUR = "4.505"', "at most 2 decimals in EUR"),
        ('EUR = "4.50"', "EUR = 0", "greater than zero"),
        ('EUR = "4.50"', 'EUR = "0.49"', r"prices.EUR: must be at least €0.50, Stripe's least"),
        ('EUR = "4.50"', 'GBP = "0.29"', "must be at least £0.30"),
        ('EUR = "4.50"', 'CZK = "14.99"', "must be at least 15.00 CZK"),
        ('EUR = "4.50"', 'ISK = "5.50"', "must have at most 0 decimals in ISK"),
        ('EUR = "4.50"', 'UGX = "18000.50"', "must have at most 0 decimals in UGX"),
        ('EUR = "4.50"', 'KWD = "1.499"', "must have 3 decimals, of which the last is 0 in KWD"),
        ("JPY = 720", 'JPY = "720.5"', "must have at most 0 decimals in JPY"),
        ('EUR = "4.50"', "VND = 100000000", "must be at most 99,999,999 VND"),
        ('EUR = "4.50"', "XAU = 5", "XAU is none"),
        ('EUR = "4.50"', 'USD = "4.50"', "own price"),
        ('EUR = "4.50"', 'Euro = "4.50"', "ISO 4217"),
    ],
)
def test_an_invalid_price_is_refused_with_the_catalog(old: str, new: str, words: str) -> None:
    with pytest.raises(CatalogInvalid, match=words):
        parse(tomllib.loads(in_euros().replace(old, new)), file="shop.toml")


def test_a_currency_missing_from_a_pack_is_not_offered() -> None:
    text = in_euros().replace('prices = { EUR = "4.50", ', "prices = { ")
    assert parse(tomllib.loads(text), file="shop.toml").currencies == ("USD", "JPY")


@pytest.mark.parametrize(("currency", "minor"), [("EUR", 1399), ("JPY", 2238), ("", 1499)])
def test_the_credits_are_the_same_in_every_currency(
    shop_app: ShopApp, currency: str, minor: int
) -> None:
    alice = shop_app.member()
    with shop_app.app.app_context():
        purchase = packs.start_checkout(
            Order("creator", "", currency=currency), alice, key=currency + "k"
        )
    shop_app.pay(purchase)
    row = shop_app.sync(purchase)
    assert (row.state, row.price_minor, row.currency) == ("paid", minor, currency or "USD")
    assert shop_app.credits(alice) == CREATOR
    shop_app.refund(purchase)
    shop_app.sync(purchase)
    assert shop_app.credits(alice) == 0


def test_a_checkout_in_another_currency_grants_nothing(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    with shop_app.app.app_context():
        purchase = packs.start_checkout(Order("creator", "", currency="EUR"), alice, key="other")
    shop_app.change_session(purchase, currency="usd")
    shop_app.pay(purchase)
    assert shop_app.sync(purchase).state == "review"
    assert shop_app.credits(alice) == 0


def test_a_currency_that_is_not_sold_is_refused(shop_app: ShopApp) -> None:
    alice = shop_app.member()
    with shop_app.app.app_context(), pytest.raises(ValidationFailed):
        packs.start_checkout(Order("creator", "", currency="CHF"), alice, key="francs")


def test_the_page_offers_the_currencies_and_remembers_the_choice(shop_app: ShopApp) -> None:
    alice = shop_app.person()
    assert "currency=EUR" in alice.browser.get("/credits").text
    assert "Pay €13.99" in alice.browser.get("/credits?currency=EUR").text
    assert "Pay €13.99" in alice.browser.get("/credits").text
    assert "Pay €13.99" in alice.browser.get("/credits?currency=CHF").text
    found = shop_app.app.test_client().get("/api/credit-packs?currency=eur").json
    assert found[1]["priceMinor"] == 1399
    assert shop_app.app.test_client().get("/api/credit-packs?currency=CHF").status_code == 422


def test_the_sandbox_charges_by_the_same_rules() -> None:
    """Two tables of the same page, each written for itself."""
    assert {code.lower() for code in CURRENCIES} == of_sandbox.CODES
    for code, currency in CURRENCIES.items():
        name = code.lower()
        assert (
            currency.digits,
            currency.step_minor,
            currency.least_minor,
            currency.most_minor,
        ) == (
            of_sandbox.decimals(name),
            of_sandbox.step(name),
            of_sandbox.minimum(name),
            of_sandbox.maximum(name),
        ), code
