"""What a buyer does on the credits page, in one line each."""

from __future__ import annotations

import re
from html import unescape

from werkzeug.test import TestResponse

from creditapp.accounts import User
from creditapp.db import snapshot
from creditapp.payments.purchases.models import Purchase
from tests.app_factory import Person
from tests.shop_app import ShopApp

HTMX = {"HX-Request": "true"}


def form(person: Person, **fields: str) -> dict[str, str]:
    """Open the packs and return what the form would send."""
    page = person.browser.get("/credits").text
    hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page))
    names = {name: unescape(hidden[name]) for name in ("catalog", "nonce", "next")}
    return {**names, "pack": "creator", **fields}


def press(person: Person, fields: dict[str, str] | None = None, **more: str) -> TestResponse:
    """Press Pay."""
    return person.post("/credits/checkout", fields or form(person), headers=more)


def the_purchase(shop_app: ShopApp, checkout_url: str) -> Purchase:
    """Return the purchase behind a checkout's address."""
    checkout_id = checkout_url.rpartition("/")[2]
    with shop_app.app.app_context(), snapshot() as session:
        found = session.query(Purchase).filter_by(checkout_id=checkout_id).one()
        session.expunge_all()
        return found


def buyer(shop_app: ShopApp, purchase: Purchase) -> User:
    with shop_app.app.app_context(), snapshot() as session:
        found = session.get(User, purchase.user_id)
        assert found
        return found


def back(person: Person, purchase: Purchase, query: str = "?session_id=cs") -> TestResponse:
    return person.browser.get(f"/credits/purchases/{purchase.id}/back{query}")
