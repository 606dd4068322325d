"""Steps of buying a pack on the credits page."""

from __future__ import annotations

from werkzeug.test import TestResponse

from creditapp.accounts import User
from creditapp.db import snapshot
from creditapp.payments.purchases.models import Purchase
from tests.app_factory import Person
from tests.shop_app import ShopApp

HTMX = {"HX-Request": "true"}


def checkout_form(person: Person, **fields: str) -> dict[str, str]:
    """Open the packs and return the fields that the form sends."""
    hidden = person.page("/credits").fields()
    shown = {name: hidden[name] for name in ("catalog", "nonce", "next")}
    return {**shown, "pack": "creator", **fields}


def submit_checkout(
    person: Person, fields: dict[str, str] | None = None, **headers: str
) -> TestResponse:
    """Press Pay."""
    return person.post("/credits/checkout", fields or checkout_form(person), headers=headers)


def find_purchase(shop_app: ShopApp, checkout_url: str) -> Purchase:
    """Return the purchase of a checkout URL."""
    checkout_id = checkout_url.rpartition("/")[2]
    with shop_app.app.app_context(), snapshot() as session:
        purchase = session.query(Purchase).filter_by(checkout_id=checkout_id).one()
        session.expunge_all()
        return purchase


def buyer_of(shop_app: ShopApp, purchase: Purchase) -> User:
    with shop_app.app.app_context(), snapshot() as session:
        user = session.get(User, purchase.user_id)
        assert user
        return user


def return_from_checkout(
    person: Person, purchase: Purchase, query: str = "?session_id=cs"
) -> TestResponse:
    return person.browser.get(f"/credits/purchases/{purchase.id}/back{query}")


def paid_page(purchase: Purchase) -> str:
    """Return the path to which a buyer who has paid returns."""
    return f"/credits/purchases/{purchase.id}?purchase=success"
