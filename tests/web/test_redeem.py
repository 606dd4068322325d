"""The page that adds the rest of an agent's receipt to an account."""

from __future__ import annotations

import pytest
from flask import Flask

from tests.agents.conftest import AgentShop
from tests.app_factory import Person

pytestmark = pytest.mark.databases("sqlite", "postgresql")


@pytest.fixture
def receipt(app: Flask) -> str:
    """A receipt of three credits."""
    return AgentShop(app).receipt(3)


def test_a_member_adds_what_is_left(alice: Person, receipt: str) -> None:
    page = alice.page("/credits/redeem")
    form = page.one('form[action="/credits/redeem"]')

    answer = alice.post("/credits/redeem", {**form.fields(), "receipt": f" {receipt}\n"})

    assert (answer.status_code, answer.headers["Location"]) == (303, "/dashboard")
    assert "3 credits added" in alice.page("/dashboard").text
    assert alice.call("GET", "/api/credits/balance").json["balance"] == 53


def test_a_receipt_is_added_once(alice: Person, receipt: str) -> None:
    alice.post("/credits/redeem", {"receipt": receipt})

    again = alice.post("/credits/redeem", {"receipt": receipt})

    assert again.status_code == 422
    assert "Nothing is left on this receipt." in again.text
    assert alice.call("GET", "/api/credits/balance").json["balance"] == 53


@pytest.mark.parametrize("text", ["", "nothing like it", "a.b.c"])
def test_what_is_no_receipt_is_explained_and_not_shown_again(alice: Person, text: str) -> None:
    answer = alice.post("/credits/redeem", {"receipt": text})

    assert answer.status_code == 422
    assert "This is not a receipt." in answer.text
    assert 'value="nothing like it"' not in answer.text


def test_the_page_is_linked_from_the_credits(alice: Person) -> None:
    assert alice.page("/credits").one('a[href="/credits/redeem"]').text


def test_a_guest_logs_in_first(guest: Person, receipt: str) -> None:
    answer = guest.browser.get("/credits/redeem")

    assert answer.headers["Location"].startswith("/auth/login?next=/credits/redeem")
