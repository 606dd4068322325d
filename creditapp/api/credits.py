"""``/api/credits``: a member's balance and history, or a guest's allowance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from flask import Blueprint, Response, request
from pydantic import Field, PlainSerializer

from creditapp import ledger
from creditapp.api.requests import page_size
from creditapp.catalog import Catalog
from creditapp.clock import NEVER, now
from creditapp.db import reading
from creditapp.errors import ValidationFailed
from creditapp.http.documented import Documented
from creditapp.http.json_provider import json_response
from creditapp.http.policies import policy
from creditapp.http.schemas import Credits, Moment, Schema, one_of
from creditapp.http.sessions import require_member
from creditapp.http.viewer import Viewer, viewer
from creditapp.ledger import StatementLine
from creditapp.ledger.entry_types import TYPES
from creditapp.pagination import page_of, parse_cursor
from creditapp.services import get
from creditapp.units import credits_number

routes = Blueprint("credits", __name__)


def _public(metadata: dict[str, str | int]) -> dict[str, object]:
    """Return the metadata that a member may see, with amounts in credits."""
    public: dict[str, object] = {
        name: value for name, value in metadata.items() if name in ("feature", "source", "key")
    }
    if "asked" in metadata:
        public["held"] = credits_number(int(metadata["asked"]))
    return public


class Expiring(Schema):
    """Credits that expire at one moment."""

    amount_micro: Credits
    expires_at: Moment


class Wallet(Schema):
    """A member's credits. ``balance`` can be spent and does not include what is held."""

    balance_micro: Credits
    held_micro: Credits
    frozen_micro: Credits
    owed_micro: Credits
    lifetime_granted_micro: Credits
    lifetime_spent_micro: Credits
    welcome_micro: Credits
    purchased_micro: Credits
    expiring: list[Expiring]


class Transaction(Schema):
    """One entry of the history. ``balanceAfter`` is the total, including what is held."""

    id: str
    type: Annotated[str, one_of(TYPES)]
    amount_micro: Credits
    balance_after_micro: Credits
    operation: str
    note: str | None = Field(None, alias="description")
    metadata: Annotated[dict[str, Any], PlainSerializer(_public)]
    created_at: Moment


class GuestInfo(Schema):
    """A guest's allowance of free images."""

    limit: int
    remaining: int
    reset_at: Moment | None = None
    signup_url: str
    signup_credits: Credits


class CreditsAnswer(Schema):
    """A member's credits with the latest transactions, or a guest's allowance."""

    credits: Wallet | None = None
    transactions: list[Transaction] | None = None
    guest_info: GuestInfo | None = None


class BalanceAnswer(Schema):
    """A member's balance."""

    balance_micro: Credits
    lifetime_spent_micro: Credits


class TransactionPage(Schema):
    """A page of the history; the last page has no ``nextCursor``."""

    items: list[Transaction]
    next_cursor: str | None = None


@routes.get("/credits")
@policy("public", scope="read")
@Documented("The caller's credits, or a guest's allowance", CreditsAnswer, query=["limit"])
def show_credits() -> Response:
    """Return a member's credits with the latest transactions, or a guest's allowance."""
    limit = page_size(10)
    current_viewer = viewer()
    if current_viewer.kind == "guest":
        return json_response(CreditsAnswer(guest_info=guest_info(current_viewer)))
    if current_viewer.wallet_id is None:
        return json_response(CreditsAnswer(credits=_EMPTY, transactions=[]))
    connection = reading().connection()
    summary = ledger.summary(connection, current_viewer.wallet_id, now=now())
    lines = ledger.statement(connection, current_viewer.wallet_id, limit=limit)
    balance = summary.balance
    wallet = Wallet(
        balance_micro=balance.available_micro,
        held_micro=balance.held_micro,
        frozen_micro=balance.frozen_micro,
        owed_micro=balance.owed_micro,
        lifetime_granted_micro=balance.lifetime_granted_micro,
        lifetime_spent_micro=balance.lifetime_spent_micro,
        welcome_micro=balance.lifetime_welcome_micro,
        purchased_micro=balance.lifetime_purchased_micro,
        expiring=[
            Expiring.model_validate(lot) for lot in summary.expiring if lot.expires_at < NEVER
        ],
    )
    return json_response(CreditsAnswer(credits=wallet, transactions=_transactions(lines)))


@routes.get("/credits/balance")
@policy("user", scope="read")
@Documented("The balance", BalanceAnswer)
def show_balance() -> Response:
    """Return a member's balance and lifetime spending."""
    return json_response(BalanceAnswer.model_validate(viewer()))


@routes.get("/credits/transactions")
@policy("user", scope="read")
@Documented("The history, newest first", TransactionPage, query=["cursor", "limit", "type"])
def list_transactions() -> Response:
    """Return a page of a member's history."""
    require_member()
    limit, current_viewer = page_size(), viewer()
    type_ = request.args.get("type")
    if type_ is not None and type_ not in TYPES:
        raise ValidationFailed.of("type", f"A type is one of {', '.join(TYPES)}.")
    cursor = parse_cursor(request.args.get("cursor"), ledger.CURSOR)
    if current_viewer.wallet_id is None:
        return json_response(TransactionPage(items=[]))
    lines = ledger.statement(
        reading().connection(),
        current_viewer.wallet_id,
        limit=limit + 1,
        before_seq=int(cursor) if cursor else None,
        type_=type_,
    )
    page = page_of(lines, limit, lambda line: line.seq)
    items = _transactions(page.rows)
    return json_response(TransactionPage(items=items, next_cursor=page.next_cursor))


def guest_info(current_viewer: Viewer) -> GuestInfo:
    """Return a guest's allowance."""
    return GuestInfo(
        limit=current_viewer.guest_limit,
        remaining=current_viewer.guest_remaining,
        reset_at=current_viewer.guest_reset_at,
        signup_url="/auth/signup",
        signup_credits=get(Catalog).welcome_micro,
    )


def _transactions(lines: Sequence[StatementLine]) -> list[Transaction]:
    return [Transaction.model_validate(line) for line in lines]


_EMPTY = Wallet.model_validate(dict.fromkeys(Wallet.model_fields, 0) | {"expiring": []})
