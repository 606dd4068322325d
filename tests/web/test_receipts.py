"""The receipt of a purchase: its owner's alone, exact, printable, and the same as a PDF."""

from __future__ import annotations

import subprocess
import sys

import pytest
from sqlalchemy import update

from creditapp.config import Settings
from creditapp.db import transaction
from creditapp.payments.purchases.models import Purchase
from creditapp.payments.subscriptions.models import Invoice
from creditapp.services import get, provide
from creditapp.web.receipt_pdf import draw
from tests.app_factory import Person
from tests.pages import Element
from tests.payments.plan_shop import PlanShop
from tests.shop_app import ShopApp
from tests.web.checkout import buyer_of, find_purchase, return_from_checkout, submit_checkout


def bought(shop_app: ShopApp, person: Person, **altered: object) -> Purchase:
    """Buy a pack in the browser and come back."""
    purchase = find_purchase(shop_app, str(submit_checkout(person).location))
    if altered:
        shop_app.change_session(purchase, **altered)
    shop_app.pay(purchase)
    assert return_from_checkout(person, purchase).status_code == 303
    return shop_app.row(purchase)


def rows(page: Element) -> dict[str, str]:
    """Return the amounts of a receipt by their names."""
    lines = page.all(".receipt-sum tr")
    return {line.one("th").text: line.one("td").text for line in lines}


def test_the_receipt_says_what_was_bought_by_whom_and_from_whom(shop_app: ShopApp) -> None:
    alice = shop_app.person()
    purchase = bought(shop_app, alice)
    page = alice.page(f"/receipts/{purchase.id}")
    assert rows(page) == {"Price": "$14.99", "Total paid": "$14.99"}
    for words in (purchase.id, "Creator pack, 110 credits", buyer_of(shop_app, purchase).email):
        assert words in page.text
    assert "Paid in the sandbox: no real money." in page.text
    assert purchase.paid_at
    assert f"{purchase.paid_at.day} {purchase.paid_at:%B %Y}" in page.text
    assert page.has(f'a[href="/receipts/{purchase.id}.pdf"]')


def test_discount_tax_and_refunds_stand_in_it(shop_app: ShopApp) -> None:
    alice = shop_app.person()
    details = {"amount_discount": 150, "amount_shipping": 0, "amount_tax": 256}
    purchase = bought(shop_app, alice, amount_total=1605, total_details=details)
    shop_app.refund(purchase, "5.00")
    shop_app.sync(purchase)
    assert rows(alice.page(f"/receipts/{purchase.id}")) == {
        "Price": "$14.99",
        "Discount": "−$1.50",
        "Tax": "$2.56",
        "Total paid": "$16.05",
        "Refunded": "−$5.00",
        "Left after refunds": "$11.05",
    }


def test_the_receipt_of_a_plan_names_its_discount_and_tax(shop_app: ShopApp) -> None:
    alice = shop_app.person()
    user = shop_app.user_of(alice)
    plans = PlanShop(shop_app)
    plans.subscribe(user)
    (invoice,) = plans.invoices(user)
    page = alice.page(f"/receipts/{invoice.id}")
    assert rows(page) == {"Price": "$15.00", "Total paid": "$15.00"}
    assert "Paid in the sandbox" in page.text
    with shop_app.app.app_context():
        settings = get(Settings)
    provide(
        shop_app.app, Settings, settings.model_copy(update={"stripe_secret_key": "sk_test_key"})
    )
    try:
        at_stripe = alice.browser.get(f"/receipts/{invoice.id}").text
    finally:
        provide(shop_app.app, Settings, settings)
    assert "Paid in the sandbox" not in at_stripe
    amounts = {"total_minor": 1350, "tax_minor": 100, "paid_minor": 1350}
    with shop_app.app.app_context(), transaction() as session:
        session.execute(update(Invoice).where(Invoice.id == invoice.id).values(**amounts))
    page = alice.page(f"/receipts/{invoice.id}")
    assert rows(page) == {
        "Price": "$15.00", "Discount": "−$2.50", "Tax": "$1.00", "Total paid": "$13.50",
    }  # fmt: skip


def test_the_seller_is_who_the_operator_says(shop_app: ShopApp) -> None:
    alice = shop_app.person()
    purchase = bought(shop_app, alice)
    with shop_app.app.app_context():
        settings = get(Settings)
    try:
        acme = settings.model_copy(
            update={
                "seller_name": "Acme & Sons",
                "seller_address": "1 Harbour Street; Port Town;Ireland ",
                "seller_tax_id": "VAT IE1",
                "support_email": "help@acme.example",
            }
        )
        provide(shop_app.app, Settings, acme)
        page = alice.page(f"/receipts/{purchase.id}")
    finally:
        provide(shop_app.app, Settings, settings)
    lines = ("Acme & Sons", "1 Harbour Street", "Port Town", "Ireland", "VAT IE1")
    assert "".join(lines) + "help@acme.example" in page.text


def test_strangers_guests_and_the_unpaid_get_none(shop_app: ShopApp) -> None:
    alice, charlie = shop_app.person(), shop_app.person()
    purchase = bought(shop_app, alice)
    unpaid = find_purchase(shop_app, str(submit_checkout(alice).location))
    for ending in ("", ".pdf"):
        assert charlie.browser.get(f"/receipts/{purchase.id}{ending}").status_code == 404
        assert alice.browser.get(f"/receipts/{unpaid.id}{ending}").status_code == 404
        assert alice.browser.get(f"/receipts/pur_none{ending}").status_code == 404
        guest = Person(shop_app.app).browser.get(f"/receipts/{purchase.id}{ending}")
        assert guest.status_code == 303
        assert "/auth/login" in str(guest.location)
        assert alice.post(f"/receipts/{purchase.id}{ending}").status_code == 405


def test_the_pdf_is_one_and_says_the_same_each_time(shop_app: ShopApp) -> None:
    alice = shop_app.person()
    purchase = bought(shop_app, alice)
    answers = [alice.browser.get(f"/receipts/{purchase.id}.pdf") for _ in range(2)]
    first = answers[0]
    assert first.status_code == 200
    assert first.mimetype == "application/pdf"
    assert first.data.startswith(b"%PDF-")
    assert first.data.rstrip().endswith(b"%%EOF")
    assert first.data == answers[1].data
    assert purchase.id in first.headers["Content-Disposition"]
    assert first.headers["Cache-Control"] == "no-store"
    assert len(first.data) < 100_000


@pytest.mark.parametrize(
    "name", ["<b>Al</b> & <para>", "Żółć Ελλάδα 李 \U0001f680", "x" * 40, "A" * 20 + " " + "B" * 19]
)
def test_any_name_can_be_drawn(shop_app: ShopApp, name: str) -> None:
    alice = shop_app.person()
    assert alice.post("/settings/profile", {"name": name, "low_balance": "1"}).status_code == 303
    purchase = bought(shop_app, alice)
    page = alice.browser.get(f"/receipts/{purchase.id}")
    assert "<b>Al" not in page.text
    assert "<para>" not in page.text
    assert alice.browser.get(f"/receipts/{purchase.id}.pdf").data.startswith(b"%PDF-")


def test_the_dashboard_leads_to_it(shop_app: ShopApp) -> None:
    alice = shop_app.person()
    purchase = bought(shop_app, alice)
    assert alice.page("/dashboard").texts(f'a[href="/receipts/{purchase.id}"]') == ["Creator pack"]
    shop_app.refund(purchase)
    shop_app.sync(purchase)
    assert len(alice.page("/dashboard").all(f'a[href="/receipts/{purchase.id}"]')) == 2


def test_the_library_for_pdfs_is_imported_only_when_one_is_drawn() -> None:
    script = (
        "import sys; from creditapp import create_app; "
        "from creditapp.web import receipts; print('reportlab' in sys.modules)"
    )
    shown = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == "False"
    assert callable(draw)
