"""The credits page: to the checkout, back from it, and each refusal in each caller's form."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from tests.app_factory import Person
from tests.shop_app import ShopApp
from tests.web.checkout import (
    HTMX,
    buyer_of,
    checkout_form,
    find_purchase,
    paid_page,
    return_from_checkout,
    submit_checkout,
)

EVIL = [
    "//evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "https://evil.example/",
    "https:evil.example",
    "javascript:alert(1)",
    "/\t/evil.example",
    "/\n/evil.example",
    " //evil.example",
    "///evil.example",
    "http:///evil.example",
    "@evil.example",
    "/" + "a" * 600,
]


@pytest.fixture
def alice(shop_app: ShopApp) -> Person:
    return shop_app.person()


# --- there and back ---------------------------------------------------------------------------


def test_pay_leads_to_the_checkout_and_back_to_where_the_buyer_was(
    shop_app: ShopApp, alice: Person
) -> None:
    answer = submit_checkout(alice, checkout_form(alice, next="/gallery?page=2&q="))
    assert answer.status_code == 303
    assert str(answer.location).startswith("http://localhost/sandbox/pay/")
    purchase = find_purchase(shop_app, str(answer.location))
    paid = shop_app.pay(purchase)
    assert str(paid.location).startswith(
        f"http://localhost/credits/purchases/{purchase.id}/back?session_id=cs_test"
    )
    home = alice.browser.get(str(paid.location))
    assert home.status_code == 303
    assert home.location == f"/credits/purchases/{purchase.id}?purchase=success"
    page = alice.page(str(home.location))
    assert page.one("h1").text == "110 credits added"
    assert "160 credits" in page.one(".payment-state").text
    assert page.one(f'a[href="/receipts/{purchase.id}"]').text == "Receipt"
    assert page.one('a[href="/gallery?page=2&q="]').text == "Back to the gallery"
    assert page.one(".button-main").text == "Generate an image"
    assert alice.balance() == 160


def test_on_the_credits_page_the_header_leads_to_the_packs_that_are_there(alice: Person) -> None:
    link = alice.page("/credits?pack=pro").one(".header-wallet a.button")
    assert link["href"] == "#packs"
    assert not link.has_attribute("hx-get")
    assert alice.page("/dashboard").one(".header-wallet a.button").has_attribute("hx-get")


def test_with_htmx_the_browser_is_sent_to_the_checkout_itself(
    shop_app: ShopApp, alice: Person
) -> None:
    answer = submit_checkout(alice, **HTMX)
    assert answer.status_code == 204
    assert "/sandbox/pay/" in answer.headers["HX-Redirect"]


def test_leaving_the_checkout_says_that_nothing_was_paid(shop_app: ShopApp, alice: Person) -> None:
    purchase = find_purchase(shop_app, str(submit_checkout(alice).location))
    home = return_from_checkout(alice, purchase, "?cancelled=1")
    assert home.location == "/credits?purchase=cancelled"
    assert "You were not charged" in alice.browser.get(str(home.location)).text


def test_cancelled_in_one_tab_and_paid_in_another_counts_as_paid(
    shop_app: ShopApp, alice: Person
) -> None:
    purchase = find_purchase(shop_app, str(submit_checkout(alice).location))
    shop_app.pay(purchase)
    assert return_from_checkout(alice, purchase, "?cancelled=1").location == paid_page(purchase)
    assert alice.balance() == 160


def test_opening_the_return_address_without_paying_gives_nothing(
    shop_app: ShopApp, alice: Person
) -> None:
    purchase = find_purchase(shop_app, str(submit_checkout(alice).location))
    assert return_from_checkout(alice, purchase).location == "/credits?purchase=cancelled"
    assert alice.balance() == 50


def test_reloading_the_return_page_adds_nothing(shop_app: ShopApp, alice: Person) -> None:
    purchase = find_purchase(shop_app, str(submit_checkout(alice).location))
    shop_app.pay(purchase)
    for _ in range(3):
        assert return_from_checkout(alice, purchase).location == paid_page(purchase)
    assert (shop_app.count_grants(purchase), alice.balance()) == (1, 160)


def test_the_back_button_after_paying_tells_how_it_went_and_buys_nothing(
    shop_app: ShopApp, alice: Person
) -> None:
    fields = checkout_form(alice)
    purchase = find_purchase(shop_app, str(submit_checkout(alice, fields).location))
    shop_app.pay(purchase)
    shop_app.deliver(purchase)
    again = submit_checkout(alice, fields)
    assert again.location == f"/credits/purchases/{purchase.id}/back"
    assert alice.browser.get(str(again.location)).location == paid_page(purchase)
    assert len(shop_app.purchases(buyer_of(shop_app, purchase))) == 1
    assert str(submit_checkout(alice).location) != str(again.location), (
        "the page as it is now buys anew"
    )


def test_a_double_click_is_one_purchase_and_two_tabs_are_two(
    shop_app: ShopApp, alice: Person
) -> None:
    fields = checkout_form(alice)
    first, second = submit_checkout(alice, fields).location, submit_checkout(alice, fields).location
    assert first == second
    other = submit_checkout(alice, checkout_form(alice)).location
    assert other != first
    purchase = find_purchase(shop_app, str(first))
    assert len(shop_app.purchases(buyer_of(shop_app, purchase))) == 2


# --- where to come back to --------------------------------------------------------------------


@pytest.mark.parametrize("target", EVIL)
def test_the_way_back_never_leads_to_another_site(
    shop_app: ShopApp, alice: Person, target: str
) -> None:
    page = alice.browser.get("/credits", query_string={"next": target}).text
    assert 'name="next" value="/credits"' in page
    answer = submit_checkout(alice, checkout_form(alice, next=target))
    purchase = find_purchase(shop_app, str(answer.location))
    assert purchase.return_to == "/credits"
    assert return_from_checkout(alice, purchase).location == "/credits?purchase=cancelled"


@pytest.mark.parametrize(
    ("target", "home"),
    [
        ("/", "/?purchase=cancelled"),
        ("/gallery?purchase=success&x=1", "/gallery?x=1&purchase=cancelled"),
        ("/dashboard#history", "/dashboard?purchase=cancelled"),
        ("/gallery?q=a%26b%20%C3%BC", "/gallery?q=a%26b+%C3%BC&purchase=cancelled"),
    ],
)
def test_the_way_back_keeps_its_query_and_one_outcome(
    shop_app: ShopApp, alice: Person, target: str, home: str
) -> None:
    purchase = find_purchase(
        shop_app, str(submit_checkout(alice, checkout_form(alice, next=target)).location)
    )
    assert return_from_checkout(alice, purchase, "?cancelled=1").location == home


# --- whose purchase it is ---------------------------------------------------------------------


def test_another_buyers_purchase_is_not_there(shop_app: ShopApp, alice: Person) -> None:
    purchase = find_purchase(shop_app, str(submit_checkout(alice).location))
    charlie = shop_app.person()
    for path in ("", "/back"):
        address = f"/credits/purchases/{purchase.id}{path}"
        assert charlie.browser.get(address).status_code == 404
        assert charlie.browser.get(address.replace("pur_", "pur_0")).status_code == 404
    shop_app.pay(purchase)
    assert charlie.browser.get(f"/credits/purchases/{purchase.id}/back").status_code == 404
    assert shop_app.row(purchase).state == "open", "a stranger's look changes nothing"


def test_another_buyers_nonce_is_another_purchase(shop_app: ShopApp, alice: Person) -> None:
    fields = checkout_form(alice)
    mine = submit_checkout(alice, fields).location
    charlie = shop_app.person()
    assert submit_checkout(charlie, fields).location != mine


def test_a_buyer_whose_session_ended_comes_back_to_the_purchase_after_logging_in(
    shop_app: ShopApp, alice: Person
) -> None:
    purchase = find_purchase(shop_app, str(submit_checkout(alice).location))
    shop_app.pay(purchase)
    stranger = Person(shop_app.app)
    answer = return_from_checkout(stranger, purchase)
    assert answer.status_code == 303
    target = urlsplit(str(answer.location))
    assert target.path == "/auth/login"
    assert parse_qs(target.query)["next"] == [
        f"/credits/purchases/{purchase.id}/back?session_id=cs"
    ]


def test_an_anonymous_buyer_logs_in_and_finds_the_pack_again(
    shop_app: ShopApp, alice: Person
) -> None:
    fields = {**checkout_form(alice), "next": "/gallery"}
    guest = Person(shop_app.app)
    answer = submit_checkout(guest, fields)
    assert answer.status_code == 303
    target = urlsplit(str(answer.location))
    assert target.path == "/auth/login"
    (next_page,) = parse_qs(target.query)["next"]
    assert next_page == "/credits?pack=creator&next=/gallery"
    form = alice.page(next_page).one('form[action="/credits/checkout"]').fields()
    assert (form["pack"], form["next"]) == ("creator", "/gallery")
    with_htmx = submit_checkout(guest, fields, **HTMX)
    assert (with_htmx.status_code, with_htmx.headers["HX-Redirect"]) == (204, answer.location)


def test_an_anonymous_program_is_refused(shop_app: ShopApp) -> None:
    answer = Person(shop_app.app).browser.post(
        "/credits/checkout", data={"pack": "creator"}, headers={"Accept": "application/json"}
    )
    assert answer.status_code == 401
    assert answer.json
    assert (answer.json["code"], answer.json["signupUrl"]) == (
        "authentication_required",
        "/auth/signup",
    )
