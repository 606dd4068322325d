"""The dashboard says what the ledger says."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from decimal import Decimal

import pytest
from flask import Flask

from creditapp import ledger
from creditapp.accounts import find_by_email
from creditapp.clock import StoppedClock, now
from creditapp.db import reading, transaction
from creditapp.units import MICRO_PER_CREDIT
from tests.app_factory import Person, Queue, SharedApps
from tests.pages import Element
from tests.web.steps import HTMX, make, queries, submit

pytestmark = pytest.mark.databases("sqlite", "postgresql")


def wallet_of(email: str) -> int:
    """Return the wallet of a person; within an app context."""
    person = find_by_email(reading(), email)
    assert person is not None
    wallet_id = ledger.find_wallet(reading().connection(), "user", person.id)
    assert wallet_id is not None
    return wallet_id


def give(app: Flask, email: str, amount: int, *, source: str = "admin", **options: object) -> None:
    with app.app_context():
        wallet_id = wallet_of(email)
        with transaction() as session:
            number = len(ledger.list_grants(session.connection(), wallet_id))
            ledger.grant(
                session.connection(),
                wallet_id,
                ledger.NewGrant(
                    amount_micro=amount * MICRO_PER_CREDIT,
                    source=source,
                    origin=f"test:{wallet_id}:{number}:{options}",
                    **options,  # type: ignore[arg-type]  # passed on as given
                ),
                now=now(),
            )


def spend(app: Flask, email: str, amount: int, key: str, note: str | None = None) -> None:
    with app.app_context():
        wallet_id = wallet_of(email)
        with transaction() as session:
            ledger.spend(
                session.connection(),
                wallet_id,
                ledger.NewCharge(
                    amount_micro=amount * MICRO_PER_CREDIT,
                    key=key,
                    digest="0" * 64,
                    operation="text-to-image",
                    actor="test",
                    note=note,
                ),
                now=now(),
            )


def rows(page: Element) -> list[list[str]]:
    """Return the history's lines as texts."""
    lines = page.all("#history tr:has(td.history-table-amount)")
    return [line.texts("th, td") for line in lines]


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_numbers_are_those_of_the_ledger(app: Flask, alice: Person, queue: Queue) -> None:
    make(alice, queue, "a fox")
    make(alice, queue, "two boats", n="2")
    assert submit(alice, "held", model="nano-banana-pro").status_code == 303
    give(app, "alice@example.com", 7)
    page = alice.page("/dashboard")
    with app.app_context():
        wallet_id = wallet_of("alice@example.com")
        connection = reading().connection()
        balance = ledger.balance(connection, wallet_id, now=now())
        lines = ledger.statement(connection, wallet_id, limit=100)
    assert balance.available_micro == 53_500_000
    assert balance.held_micro == 2_000_000
    assert "53.5" in page.one("main").text
    (held,) = (text for text in page.texts("main li") if "Held" in text)
    assert held.endswith("2")
    assert len(rows(page)) == len(lines)
    totals = table(alice.browser.get("/dashboard/history.csv").text)
    assert [line["id"] for line in totals] == [line.id for line in lines]
    total = sum(Decimal(line["credits"]) for line in totals)
    assert total == Decimal(balance.available_micro + balance.held_micro) / MICRO_PER_CREDIT
    assert Decimal(totals[0]["total after"]) == total


def test_each_line_is_named_by_its_prompt_until_it_is_deleted(
    alice: Person, charlie: Person, queue: Queue
) -> None:
    path = make(alice, queue, "a fox in the snow, " * 20)
    make(alice, queue, "=two boats", n="2")
    page = alice.page("/dashboard")
    newest, older = rows(page)[:2]
    assert newest[0].startswith("=two boatsText to image, Nano Banana")
    assert older[0].startswith("a fox in the snow, a fox")
    assert "…" in older[0]
    assert page.one(f'#history a[href="{path}"]').text.startswith("a fox in the snow")
    what = [line["what"] for line in table(alice.browser.get("/dashboard/history.csv").text)]
    assert what[0].startswith("'=two boats: Text to image")
    assert "fox" not in charlie.browser.get("/dashboard").text
    assert alice.post(f"{path}/delete").status_code == 303
    assert "a fox" not in alice.browser.get("/dashboard").text
    assert rows(alice.page("/dashboard"))[1][0].startswith("Text to imageNano Banana")


def test_prompts_take_one_query_however_many_there_are(
    app: Flask, alice: Person, queue: Queue
) -> None:
    make(alice, queue, "one")
    with queries(app) as before:
        alice.browser.get("/dashboard")
    for number in range(4):
        make(alice, queue, f"number {number}")
    with queries(app) as after:
        alice.browser.get("/dashboard")
    assert len(after) == len(before)


def test_the_parts_of_a_balance_are_told_apart(app: Flask, alice: Person) -> None:
    give(app, "alice@example.com", 25, source="purchase", paid_minor=499, currency="usd")
    give(app, "alice@example.com", 5, source="promotion")
    page = alice.page("/dashboard")
    looks = [part["class"] for part in page.all(".balance-bar rect")]
    assert len(looks) == len(set(looks)) == 3
    assert [key["class"] for key in page.all(".balance-key rect")] == looks


def test_a_week_of_spending_is_what_the_images_cost(
    app: Flask, alice: Person, queue: Queue, clock: StoppedClock
) -> None:
    make(alice, queue, "today", n="3")
    clock.advance(timedelta(days=2))
    make(alice, queue, "the day after tomorrow")
    chart = alice.page("/dashboard").one("[aria-labelledby=usage-heading]").text
    assert "3 images" in chart
    assert "1 image" in chart
    clock.advance(timedelta(days=30))
    assert "3 images" not in alice.page("/dashboard").one("[aria-labelledby=usage-heading]").text


def test_only_a_week_of_spending_has_a_scale(alice: Person, queue: Queue) -> None:
    assert not alice.page("/dashboard").has(".usage-chart-line")
    make(alice, queue, "today")
    assert alice.page("/dashboard").has(".usage-chart-line")


def test_expiring_credits_are_shown_with_their_time(
    app: Flask, alice: Person, clock: StoppedClock
) -> None:
    give(
        app, "alice@example.com", 5, source="promotion", expires_at=clock.now() + timedelta(days=3)
    )
    page = alice.browser.get("/dashboard").text
    assert "Promotion" in page
    assert "in 3 days" in page
    clock.advance(timedelta(days=4))
    page = alice.browser.get("/dashboard").text
    assert "in 3 days" not in page
    assert alice.balance() == 50


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [("", 4), ("bought", 1), ("given", 1), ("spent", 2), ("back", 0), ("expired", 0)],
)
def test_the_history_is_filtered(app: Flask, chosen: str, expected: int) -> None:
    alice = Person(app).sign_up("alice@example.com")
    give(app, "alice@example.com", 25, source="purchase", paid_minor=499, currency="usd")
    for number in range(2):
        spend(app, "alice@example.com", 1, f"test:{number}")
    page = alice.page("/dashboard", query_string={"type": chosen})
    assert len(rows(page)) == expected
    sheet = alice.browser.get("/dashboard/history.csv", query_string={"type": chosen})
    assert len(table(sheet.text)) == expected
    link = page.one('a[href^="/dashboard/history.csv"]')["href"]
    assert link.endswith(f"type={chosen}") or not chosen


def test_an_unknown_filter_is_refused_in_words(alice: Person) -> None:
    answer = alice.browser.get("/dashboard?type=x'--")
    assert answer.status_code == 422
    assert 'data-code="validation_failed"' in answer.text
    assert alice.browser.get("/dashboard/history.csv?type=x").status_code == 422


def test_a_long_history_comes_in_pages_without_gaps(app: Flask) -> None:
    alice = Person(app).sign_up("alice@example.com")
    for number in range(30):
        spend(app, "alice@example.com", 1, f"test:{number}")
    first = alice.page("/dashboard?type=spent")
    following = first.one('a[href*="cursor="]')["href"]
    assert "type=spent" in following
    second = alice.page(following)
    fragment = alice.page(following, headers=HTMX)
    assert not fragment.has("html")
    assert rows(second) == rows(fragment)
    assert (len(rows(first)), len(rows(second))) == (25, 5)
    assert not second.has('#history [href*="cursor="]')
    totals = [row[-1] for row in rows(first) + rows(second)]
    assert len(set(totals)) == 30


@pytest.mark.parametrize("cursor", ["0", "-1", "x", "9" * 30, "1e3", "٣"])
def test_a_made_up_cursor_harms_nobody(app: Flask, cursor: str) -> None:
    alice = Person(app).sign_up("alice@example.com")
    assert alice.browser.get("/dashboard", query_string={"cursor": cursor}).status_code == 200


def test_a_spreadsheet_runs_nothing_from_the_history(app: Flask) -> None:
    alice = Person(app).sign_up("alice@example.com")
    dangerous = ['=HYPERLINK("http://evil.example")', "+1", "-1", "@SUM(A1)", "\t=1", 'a,"b"\n=c']
    for number, text in enumerate(dangerous):
        give(app, "alice@example.com", number + 1, source="purchase", note=text)
    answer = alice.browser.get("/dashboard/history.csv")
    assert answer.mimetype == "text/csv"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="credits.csv"'
    assert answer.headers["Cache-Control"] == "no-store"
    sheet = table(answer.text)
    assert len(sheet) == len(dangerous) + 1
    for line in sheet:
        assert not line["what"].startswith(("=", "+", "-", "@", "\t", "\r"))
    assert not alice.page("/dashboard").has('[href^="http://evil"]')


def test_a_failed_wish_shows_that_nothing_was_charged(alice: Person, queue: Queue) -> None:
    made = submit(alice, "a fox", model="flux-dev").location
    assert alice.post(f"{made}/cancel").status_code == 303
    newest = " ".join(rows(alice.page("/dashboard"))[0])
    assert "Nothing was charged" in newest
    assert alice.balance() == 50


def test_a_member_sees_only_their_own_history(app: Flask, alice: Person, charlie: Person) -> None:
    spend(app, "alice@example.com", 3, "test:1", note="a secret of Alice's")
    assert "a secret of Alice" in alice.browser.get("/dashboard").text
    for path in ("/dashboard", "/dashboard/history.csv"):
        assert "a secret" not in charlie.browser.get(path).text
    assert "50" in charlie.page("/dashboard").one("main").text


def test_guests_are_asked_to_log_in_and_other_methods_refused(guest: Person) -> None:
    for path in ("/dashboard", "/dashboard/history.csv"):
        answer = guest.browser.get(path)
        assert (answer.status_code, answer.location) == (303, f"/auth/login?next={path}")
        assert guest.browser.get(path, headers=HTMX).status_code == 401
        told = guest.browser.get(path, headers={"Accept": "application/json"})
        assert (told.status_code, told.json["code"]) == (401, "authentication_required")
    assert guest.post("/dashboard").status_code == 405


def test_the_history_says_why_credits_were_removed(app: Flask) -> None:
    alice = Person(app).sign_up("alice@example.com")
    give(app, "alice@example.com", 10, source="purchase", paid_minor=499, currency="usd")
    give(app, "alice@example.com", 20, source="purchase", paid_minor=999, currency="usd")
    with app.app_context():
        wallet_id = wallet_of("alice@example.com")
        with transaction() as session:
            connection = session.connection()
            _, first, second = ledger.list_grants(connection, wallet_id)
            ledger.revoke(connection, first.id, 10_000_000, now=now(), reason="refund")
            ledger.revoke(connection, second.id, 20_000_000, now=now(), reason="dispute")
    lost, refunded = rows(alice.page("/dashboard"))[:2]
    assert lost[0].startswith("Lost dispute")
    assert refunded[0].startswith("Refunded purchase")
    assert (lost[1], refunded[1]) == ("Removed", "Removed")
    sheet = table(alice.browser.get("/dashboard/history.csv").text)
    assert [line["what"].partition(":")[0] for line in sheet[:2]] == [
        "Lost dispute",
        "Refunded purchase",
    ]


def test_the_history_shows_that_new_credits_repaid_a_debt(app: Flask) -> None:
    alice = Person(app).sign_up("alice@example.com")
    give(app, "alice@example.com", 10, source="purchase", paid_minor=499, currency="usd")
    spend(app, "alice@example.com", 60, "test:all")
    with app.app_context():
        wallet_id = wallet_of("alice@example.com")
        with transaction() as session:
            connection = session.connection()
            (pack,) = [
                grant
                for grant in ledger.list_grants(connection, wallet_id, include_spent=True)
                if grant.source == "purchase"
            ]
            ledger.revoke(connection, pack.id, 10_000_000, now=now(), reason="refund")
    give(app, "alice@example.com", 25, source="purchase", paid_minor=1499, currency="usd")
    newest = rows(alice.page("/dashboard"))[0]
    assert newest[0].startswith("Repaid debt")
    assert newest[2] == "−10"


@pytest.mark.databases("sqlite")
def test_in_dollars_a_balance_below_five_is_warned_of(shared_apps: SharedApps) -> None:
    shop = shared_apps.fresh("sqlite", {"CREDITAPP_CATALOG": "dollars"})
    alice = Person(shop).open_account("alice@example.com")
    alice.post("/settings/api-key-mode", {"api_key_mode": "credits"})
    give(shop, alice.email, 4)
    assert "below your warning level of $5.00" in alice.page("/dashboard").one(".low-balance").text
    give(shop, alice.email, 1, priority=1)
    assert not alice.page("/dashboard").has(".low-balance")
