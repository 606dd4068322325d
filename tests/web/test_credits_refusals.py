"""Each refusal of the credits page in each caller's form: page, component, problem+json."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from creditapp.catalog import Catalog
from creditapp.payments.stripe.client import StripeGateway
from creditapp.services import get, provide
from tests.app_factory import Person
from tests.pages import parse_html
from tests.shop_app import ShopApp
from tests.web.checkout import HTMX, buyer_of, checkout_form, find_purchase, submit_checkout


@pytest.fixture
def alice(shop_app: ShopApp) -> Person:
    return shop_app.person()


# --- refusals in each form --------------------------------------------------------------------


@pytest.fixture
def nowhere(shop_app: ShopApp) -> Iterator[None]:
    gateway = StripeGateway("sk_test_x", "whsec_x", "http://127.0.0.1:9", max_network_retries=0)
    provide(shop_app.app, StripeGateway, gateway)
    yield
    provide(shop_app.app, StripeGateway, shop_app.flaky_gateway)


REFUSALS = [
    ("unknown pack", {"pack": "no-such-pack"}, 404, "not_found"),
    ("no pack", {"pack": ""}, 404, "not_found"),
    ("old prices", {"catalog": "of yesterday"}, 409, "conflict"),
    ("no nonce", {"nonce": ""}, 422, "validation_failed"),
    ("a nonce too long", {"nonce": "x" * 65}, 422, "validation_failed"),
]


@pytest.mark.parametrize(("what", "wrong", "status", "code"), REFUSALS)
def test_refusals_as_page_component_and_json(
    shop_app: ShopApp, alice: Person, what: str, wrong: dict[str, str], status: int, code: str
) -> None:
    page = submit_checkout(alice, checkout_form(alice, **wrong))
    assert page.status_code == status, what
    assert f'data-code="{code}"' in page.text
    assert "<html" in page.text
    assert 'name="pack"' in page.text, "the packs are there to choose again"
    fresh = parse_html(page.text).value("catalog")
    with shop_app.app.app_context():
        assert fresh == get(Catalog).digest

    part = submit_checkout(alice, checkout_form(alice, **wrong), **HTMX)
    assert (part.status_code, "<html" in part.text) == (status, False)
    assert f'data-code="{code}"' in part.text

    said = submit_checkout(alice, checkout_form(alice, **wrong), Accept="application/json")
    assert (said.status_code, said.content_type) == (status, "application/problem+json")
    assert said.json
    assert said.json["code"] == code


@pytest.mark.usefixtures("nowhere")
def test_while_stripe_is_down_each_form_says_that_nothing_was_paid(
    shop_app: ShopApp, alice: Person
) -> None:
    fields = checkout_form(alice)
    page = submit_checkout(alice, fields)
    assert page.status_code == 503
    assert "You were not charged" in page.text
    assert page.headers["Retry-After"] == "30"
    part = submit_checkout(alice, fields, **HTMX)
    assert (part.status_code, "<html" in part.text) == (503, False)
    said = submit_checkout(alice, fields, Accept="application/json")
    assert said.json
    assert (said.status_code, said.json["code"], said.json["creditsCharged"]) == (
        503,
        "provider_unavailable",
        0,
    )
    assert "sk_test" not in page.text + part.text + said.text

    provide(shop_app.app, StripeGateway, shop_app.flaky_gateway)
    again = submit_checkout(alice, fields)
    assert again.status_code == 303
    purchase = find_purchase(shop_app, str(again.location))
    assert len(shop_app.purchases(buyer_of(shop_app, purchase))) == 1, (
        "the same purchase, tried again"
    )


def test_a_form_without_its_token_is_refused(shop_app: ShopApp, alice: Person) -> None:
    answer = alice.browser.post("/credits/checkout", data=checkout_form(alice))
    assert answer.status_code == 403
    assert 'data-code="csrf_failed"' in answer.text
