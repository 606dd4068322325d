"""``/api/credits``: a member's balance and history, or what a guest has left."""

from __future__ import annotations

import re

from flask import Response, request

from creditapp import ledger
from creditapp.api import api
from creditapp.api.models import (
    TYPES,
    Answer,
    BalanceAnswer,
    CreditsAnswer,
    Expiring,
    GuestInfo,
    Transaction,
    TransactionPage,
    Wallet,
    credits,
)
from creditapp.catalog import Catalog
from creditapp.clock import NEVER, now
from creditapp.db import reading
from creditapp.errors import ValidationFailed
from creditapp.http.json_provider import answer, rfc3339
from creditapp.http.openapi import documented
from creditapp.http.security import policy, require_member
from creditapp.http.viewer import Viewer, viewer
from creditapp.ledger import StatementLine
from creditapp.services import get

LIMIT_MAX = 100


def reply(body: Answer, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return an answer as JSON."""
    return answer(body.as_json(), status, headers)


@api.get("/credits")
@policy("public")
@documented("What the caller can spend", CreditsAnswer, query=["limit"])
def show_credits() -> Response:
    """Return a member's credits with the latest transactions, or a guest's allowance."""
    limit = limit_asked(10)
    looks = viewer()
    if looks.kind == "guest":
        return reply(CreditsAnswer(guest_info=guest_info(looks)))
    if looks.wallet_id is None:
        return reply(CreditsAnswer(credits=_empty(), transactions=[]))
    connection, moment = reading().connection(), now()
    summary = ledger.summary(connection, looks.wallet_id, now=moment)
    lines = ledger.statement(connection, looks.wallet_id, now=moment, limit=limit)
    has = summary.balance
    wallet = Wallet(
        balance=credits(has.available_micro),
        held=credits(has.held_micro),
        frozen=credits(has.frozen_micro),
        owed=credits(has.owed_micro),
        lifetime_granted=credits(has.lifetime_granted_micro),
        lifetime_spent=credits(has.lifetime_spent_micro),
        welcome=credits(has.lifetime_welcome_micro),
        purchased=credits(has.lifetime_purchased_micro),
        expiring=[
            Expiring(amount=credits(each.amount_micro), expires_at=rfc3339(each.expires_at))
            for each in summary.expiring
            if each.expires_at < NEVER
        ],
    )
    return reply(CreditsAnswer(credits=wallet, transactions=[_transaction(each) for each in lines]))


@api.get("/credits/balance")
@policy("user")
@documented("The balance alone", BalanceAnswer)
def show_balance() -> Response:
    """Return a member's balance and what was spent in all."""
    require_member()
    looks = viewer()
    spent = 0
    if looks.wallet_id is not None:
        has = ledger.balance(reading().connection(), looks.wallet_id, now=now())
        spent = has.lifetime_spent_micro
    return reply(BalanceAnswer(balance=credits(looks.balance_micro), lifetime_spent=credits(spent)))


@api.get("/credits/transactions")
@policy("user")
@documented("The history, newest first", TransactionPage, query=["cursor", "limit", "type"])
def list_transactions() -> Response:
    """Return a page of a member's history."""
    require_member()
    limit, looks = limit_asked(25), viewer()
    wanted = request.args.get("type")
    if wanted is not None and wanted not in TYPES:
        raise ValidationFailed.of("type", f"A type is one of {', '.join(TYPES)}.")
    cursor = request.args.get("cursor")
    if cursor is not None and re.fullmatch(r"[0-9]{1,18}", cursor) is None:
        raise ValidationFailed.of("cursor", "Send the nextCursor of the page before.")
    if looks.wallet_id is None:
        return reply(TransactionPage(items=[]))
    lines = ledger.statement(
        reading().connection(),
        looks.wallet_id,
        now=now(),
        limit=limit + 1,
        before_seq=int(cursor) if cursor else None,
        types=[wanted] if wanted else None,
    )
    page = lines[:limit]
    return reply(
        TransactionPage(
            items=[_transaction(each) for each in page],
            next_cursor=str(page[-1].seq) if len(lines) > limit else None,
        )
    )


def guest_info(looks: Viewer) -> GuestInfo:
    """Return what a guest has left, as JSON says it."""
    return GuestInfo(
        limit=looks.guest_limit,
        remaining=looks.guest_remaining,
        reset_at=rfc3339(looks.guest_reset_at) if looks.guest_reset_at else None,
        signup_url="/auth/signup",
        signup_credits=credits(get(Catalog).welcome_micro),
    )


def _transaction(line: StatementLine) -> Transaction:
    return Transaction(
        id=line.id,
        type=line.type,
        amount=credits(line.amount_micro),
        balance_after=credits(line.balance_after_micro),
        operation=line.operation,
        description=line.note,
        metadata=_public(line.metadata),
        created_at=rfc3339(line.created_at),
    )


def _public(metadata: dict[str, str | int]) -> dict[str, object]:
    """Return what a member may see of a line's context; amounts become credits."""
    shown: dict[str, object] = {
        name: value for name, value in metadata.items() if name in ("feature", "source", "key")
    }
    if "asked" in metadata:
        shown["held"] = credits(int(metadata["asked"]))
    return shown


def _empty() -> Wallet:
    return Wallet(
        balance=0,
        held=0,
        frozen=0,
        owed=0,
        lifetime_granted=0,
        lifetime_spent=0,
        welcome=0,
        purchased=0,
        expiring=[],
    )


def limit_asked(default: int) -> int:
    """Return how many items the caller wants; raise ``ValidationFailed`` for what is no limit."""
    text = request.args.get("limit")
    if text is None:
        return default
    if re.fullmatch(r"[0-9]{1,6}", text) is None or not 1 <= int(text) <= LIMIT_MAX:
        raise ValidationFailed.of("limit", f"A limit is a whole number from 1 to {LIMIT_MAX}.")
    return int(text)
