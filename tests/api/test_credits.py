"""``/api/credits``: balance and history, in plain numbers."""

from __future__ import annotations

import re
from datetime import timedelta

from flask import Flask

from creditapp import ledger
from creditapp.db import transaction
from tests.api.contract import Program
from tests.app_factory import Person
from tests.generation.studio import Studio
from tests.generation.test_submit import change_wallet


def give(app: Flask, person: Person, micro: int, studio: Studio, **grant: object) -> None:
    """Grant credits by hand."""
    change_wallet(
        app,
        person,
        lambda connection, wallet_id: ledger.grant(
            connection,
            wallet_id,
            ledger.NewGrant(
                amount_micro=micro,
                source="admin",
                origin=f"test:{wallet_id}:{micro}",
                **grant,  # type: ignore[arg-type]
            ),
            now=studio.clock.now(),
        ),
    )


def test_a_members_credits(app: Flask, api: Program, studio: Studio) -> None:
    ends_at = studio.clock.now() + timedelta(days=30)
    give(app, api.person, 7_500_000, studio, expires_at=ends_at)
    studio.make(api.person)
    studio.ask(api.person, n=2)
    found = api.get("/api/credits")
    credits = found["credits"]
    assert (credits["balance"], credits["held"], credits["owed"]) == (56, 1, 0)
    assert (credits["lifetimeGranted"], credits["lifetimeSpent"]) == (57.5, 0.5)
    assert (credits["welcome"], credits["purchased"]) == (50, 0)
    (expiring,) = credits["expiring"]
    assert expiring["amount"] in (6, 7, 7.5)
    assert expiring["expiresAt"] == f"{ends_at:%Y-%m-%dT%H:%M:%S.000Z}"
    assert [line["type"] for line in found["transactions"]] == ["DEBIT", "CREDIT", "CREDIT"]
    assert found["guestInfo"] is None
    assert len(api.get("/api/credits?limit=1")["transactions"]) == 1
    assert api.get("/api/credits/balance") == {"balance": 56, "lifetimeSpent": 0.5}


def test_a_guest_sees_the_images_left(guest_api: Program) -> None:
    found = guest_api.get("/api/credits")
    assert (found["credits"], found["transactions"]) == (None, None)
    assert found["guestInfo"] == {
        "limit": 3,
        "remaining": 3,
        "resetAt": None,
        "signupUrl": "/auth/signup",
        "signupCredits": 50,
    }
    guest_api.refused(401, "authentication_required", "GET", "/api/credits/balance")
    guest_api.refused(401, "authentication_required", "GET", "/api/credits/transactions")


def test_amounts_are_plain_numbers_down_to_a_millionth(
    app: Flask, api: Program, studio: Studio
) -> None:
    give(app, api.person, 1, studio)
    give(app, api.person, 123_456_789_000_000, studio)
    text = api.call("GET", "/api/credits").text
    assert '"amount":0.000001' in text
    assert '"amount":123456789,' in text
    assert '"balance":123456839.000001' in text
    assert not re.search(r"\d[eE][-+]?\d", text), "an exponent"
    assert not re.search(r":\d+\.\d{7}", text), "more than six decimals"


def test_the_history_is_paged_and_filtered_by_type(
    app: Flask, api: Program, studio: Studio
) -> None:
    for number in range(1, 4):
        give(app, api.person, number * 1_000_000, studio)
    studio.make(api.person)
    every = api.get("/api/credits/transactions")["items"]
    assert [line["amount"] for line in every] == [-0.5, 3, 2, 1, 50]
    assert [line["balanceAfter"] for line in every] == [55.5, 56, 53, 51, 50]
    assert every[0]["operation"] == "text-to-image"
    assert every[0]["description"]

    seen, cursor = [], ""
    while True:
        page = api.get(f"/api/credits/transactions?limit=2{cursor}")
        seen += page["items"]
        if page["nextCursor"] is None:
            break
        cursor = f"&cursor={page['nextCursor']}"
    assert seen == every
    debits = api.get("/api/credits/transactions?type=DEBIT")["items"]
    assert [line["amount"] for line in debits] == [-0.5]
    assert api.get("/api/credits/transactions?type=PURCHASE")["items"] == []
    problem = api.refused(422, "validation_failed", "GET", "/api/credits/transactions?type=debit")
    assert problem["errors"][0]["field"] == "type"


def test_balance_after_includes_held_credits(api: Program, studio: Studio) -> None:
    studio.ask(api.person, n=4)
    (line,) = api.get("/api/credits/transactions")["items"]
    assert line["balanceAfter"] == 50
    assert api.get("/api/credits/balance")["balance"] == 48


def test_a_member_sees_only_their_own_history(
    api: Program, charlie: Person, studio: Studio
) -> None:
    studio.make(charlie, n=3)
    assert [line["amount"] for line in api.get("/api/credits/transactions")["items"]] == [50]


def test_expired_credits_are_gone_before_the_sweep(
    app: Flask, api: Program, studio: Studio
) -> None:
    give(app, api.person, 5_000_000, studio, expires_at=studio.clock.now() + timedelta(hours=1))
    assert api.get("/api/credits/balance")["balance"] == 55
    studio.clock.advance(timedelta(hours=2))
    assert api.get("/api/credits/balance")["balance"] == 50
    with app.app_context(), transaction() as session:
        for wallet_id in ledger.due_wallets(session.connection(), now=studio.clock.now()):
            ledger.expire(session.connection(), wallet_id, now=studio.clock.now())
    (line, *_) = api.get("/api/credits/transactions")["items"]
    assert (line["type"], line["amount"]) == ("EXPIRY", -5)
