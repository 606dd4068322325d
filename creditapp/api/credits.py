"""``/api/credits``: a member's balance and history, or what a guest has left."""

from __future__ import annotations

import re
from typing import Annotated, Any

from flask import Blueprint, Response, request
from pydantic import SerializerFunctionWrapHandler, WithJsonSchema, model_serializer

from creditapp import ledger
from creditapp.api.requests import page_size
from creditapp.catalog import Catalog
from creditapp.clock import NEVER, now
from creditapp.db import reading
from creditapp.errors import ValidationFailed
from creditapp.http.json_provider import json_response, rfc3339
from creditapp.http.openapi import documented
from creditapp.http.policies import policy
from creditapp.http.schemas import Credits, Moment, Schema
from creditapp.http.sessions import require_member
from creditapp.http.viewer import Viewer, viewer
from creditapp.ledger import StatementLine
from creditapp.services import get
from creditapp.units import credits_number

routes = Blueprint("credits", __name__)


TYPES = ("PURCHASE", "CREDIT", "DEBIT", "REFUND", "EXPIRY")
OneOfTypes = Annotated[str, WithJsonSchema({"type": "string", "enum": list(TYPES)})]


class Expiring(Schema):
    """Credits that end at one moment."""

    amount: Credits
    expires_at: Moment


class Wallet(Schema):
    """What a member has. ``balance`` can be spent; what is held stands apart."""

    balance: Credits
    held: Credits
    frozen: Credits
    owed: Credits
    lifetime_granted: Credits
    lifetime_spent: Credits
    welcome: Credits
    purchased: Credits
    expiring: list[Expiring]


class Transaction(Schema):
    """One line of history. ``balanceAfter`` is the total, with what is held."""

    id: str
    type: OneOfTypes
    amount: Credits
    balance_after: Credits
    operation: str
    description: str | None = None
    metadata: dict[str, Any]
    created_at: Moment


class GuestInfo(Schema):
    """What a guest has left."""

    limit: int
    remaining: int
    reset_at: Moment | None = None
    signup_url: str
    signup_credits: Credits

    @model_serializer(mode="wrap")
    def _whole(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Before the first use nothing comes back at any moment: the field is there, and null.
        return {"resetAt": None, **write(self)}


class CreditsAnswer(Schema):
    """A member's credits with the latest transactions, or what a guest has left."""

    credits: Wallet | None = None
    transactions: list[Transaction] | None = None
    guest_info: GuestInfo | None = None


class BalanceAnswer(Schema):
    """A member's balance alone."""

    balance: Credits
    lifetime_spent: Credits


class TransactionPage(Schema):
    """A page of history; ``nextCursor`` is missing on the last one."""

    items: list[Transaction]
    next_cursor: str | None = None


@routes.get("/credits")
@policy("public")
@documented("What the caller can spend", CreditsAnswer, query=["limit"])
def show_credits() -> Response:
    """Return a member's credits with the latest transactions, or a guest's allowance."""
    limit = page_size(10)
    looks = viewer()
    if looks.kind == "guest":
        return json_response(CreditsAnswer(guest_info=guest_info(looks)))
    if looks.wallet_id is None:
        return json_response(CreditsAnswer(credits=_empty(), transactions=[]))
    connection, moment = reading().connection(), now()
    summary = ledger.summary(connection, looks.wallet_id, now=moment)
    lines = ledger.statement(connection, looks.wallet_id, now=moment, limit=limit)
    has = summary.balance
    wallet = Wallet(
        balance=credits_number(has.available_micro),
        held=credits_number(has.held_micro),
        frozen=credits_number(has.frozen_micro),
        owed=credits_number(has.owed_micro),
        lifetime_granted=credits_number(has.lifetime_granted_micro),
        lifetime_spent=credits_number(has.lifetime_spent_micro),
        welcome=credits_number(has.lifetime_welcome_micro),
        purchased=credits_number(has.lifetime_purchased_micro),
        expiring=[
            Expiring(amount=credits_number(each.amount_micro), expires_at=rfc3339(each.expires_at))
            for each in summary.expiring
            if each.expires_at < NEVER
        ],
    )
    return json_response(
        CreditsAnswer(credits=wallet, transactions=[_transaction(each) for each in lines])
    )


@routes.get("/credits/balance")
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
    return json_response(
        BalanceAnswer(
            balance=credits_number(looks.balance_micro), lifetime_spent=credits_number(spent)
        )
    )


@routes.get("/credits/transactions")
@policy("user")
@documented("The history, newest first", TransactionPage, query=["cursor", "limit", "type"])
def list_transactions() -> Response:
    """Return a page of a member's history."""
    require_member()
    limit, looks = page_size(25), viewer()
    wanted = request.args.get("type")
    if wanted is not None and wanted not in TYPES:
        raise ValidationFailed.of("type", f"A type is one of {', '.join(TYPES)}.")
    cursor = request.args.get("cursor")
    if cursor is not None and re.fullmatch(r"[0-9]{1,18}", cursor) is None:
        raise ValidationFailed.of("cursor", "Send the nextCursor of the page before.")
    if looks.wallet_id is None:
        return json_response(TransactionPage(items=[]))
    lines = ledger.statement(
        reading().connection(),
        looks.wallet_id,
        now=now(),
        limit=limit + 1,
        before_seq=int(cursor) if cursor else None,
        types=[wanted] if wanted else None,
    )
    page = lines[:limit]
    return json_response(
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
        signup_credits=credits_number(get(Catalog).welcome_micro),
    )


def _transaction(line: StatementLine) -> Transaction:
    return Transaction(
        id=line.id,
        type=line.type,
        amount=credits_number(line.amount_micro),
        balance_after=credits_number(line.balance_after_micro),
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
        shown["held"] = credits_number(int(metadata["asked"]))
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
