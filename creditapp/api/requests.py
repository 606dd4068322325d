"""Request parsing that several resources share."""

from __future__ import annotations

import secrets
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final, TypeVar

from flask import request
from pydantic import BaseModel

from creditapp.accounts import Member
from creditapp.catalog import IMAGE_TO_IMAGE, TEXT_TO_IMAGE
from creditapp.errors import ValidationFailed
from creditapp.generation.orders import ONCE
from creditapp.http import forms
from creditapp.http.json_provider import parse_members, read_json
from creditapp.http.schemas import RequestSchema
from creditapp.http.sessions import require_member
from creditapp.pagination import PAGE_SIZE, PAGE_SIZE_MAX
from creditapp.units import AmountInvalid, credits_number, micro_from_decimal, micro_from_text

Body = TypeVar("Body", bound=BaseModel)


class IdempotentBody(RequestSchema):
    """The base of bodies that may carry the idempotency key themselves."""

    idempotency_key: str | None = None


SpendingBody = TypeVar("SpendingBody", bound=IdempotentBody)


def parse_body(schema: type[Body]) -> Body:
    """Return the request's JSON body as a schema; raise ``ValidationFailed``."""
    return parse_members(schema, read_json())


def with_model(body: dict[str, Any]) -> dict[str, Any]:
    """Return a body with ``aiModel`` as ``model``; ``model`` wins if a client sends both."""
    named = {name: value for name, value in body.items() if name != "aiModel"}
    return {"model": body["aiModel"], **named} if "aiModel" in body else named


def operation_of(body: dict[str, Any]) -> str:
    """Return the operation of a body of images: from images, if it has some, else from text."""
    return IMAGE_TO_IMAGE if body.get("images") or body.get("mask") else TEXT_TO_IMAGE


def require_key(body_key: str | None) -> str:
    """Return the caller's key, where one is required; raise ``ValidationFailed`` without one.

    The header ``Idempotency-Key`` comes before the body's ``idempotencyKey``.
    """
    key = request.headers.get("Idempotency-Key", body_key)
    if key is None:
        text = "Send an Idempotency-Key, so that a repeated request pays once."
        raise ValidationFailed.of("idempotencyKey", text)
    return _checked(key)


def parse_spending(schema: type[SpendingBody]) -> tuple[Member, SpendingBody, str]:
    """Return who spends, with the most that the request may cost, the body and its key."""
    members = read_json()
    max_micro = pop_max_micro(members)
    body = parse_members(schema, members)
    return replace(require_member(), max_micro=max_micro), body, require_key(body.idempotency_key)


CREDIT_HEADERS: Final = ("X-Credits-Cost", "X-Credits-Remaining")
"""The headers that ``credit_headers`` returns."""


def credit_headers(used_micro: int, remaining_micro: int) -> dict[str, str]:
    """Return the headers of every answer that spent: what it took, and what can be spent."""
    return {
        "X-Credits-Cost": str(credits_number(used_micro)),
        "X-Credits-Remaining": str(credits_number(remaining_micro)),
    }


def idempotency_key(body_key: str | None, route: str) -> str:
    """Return the caller's key for this route, or a new one: without a key nothing repeats.

    The header ``Idempotency-Key`` comes before the body's ``idempotencyKey``.
    """
    return key_of_route(request.headers.get("Idempotency-Key", body_key), route)


def key_of_route(key: str | None, route: str) -> str:
    """Return a caller's key as one of this route, or a new one without any."""
    if key is None:
        return f"{ONCE}{secrets.token_hex(16)}"
    return f"{route}:{_checked(key)}"


def optional_key(body_key: str | None) -> str | None:
    """Return the caller's key, or None; the header comes before the body's ``idempotencyKey``."""
    key = request.headers.get("Idempotency-Key", body_key)
    return None if key is None else _checked(key)


def _checked(key: str) -> str:
    if not 1 <= len(key) <= 100 or not key.isprintable() or not key.isascii():
        raise ValidationFailed.of("Idempotency-Key", "A key is 1-100 printable ASCII characters.")
    return key


def pop_max_micro(body: dict[str, Any]) -> int | None:
    """Remove ``maxCredits`` from a body; return the most that the request may cost, or None.

    Of it and the header ``X-Max-Credits`` the smaller one counts: a client may send the header with
    every request, and neither may raise the other. An assistant's header is set by its person, and
    no model can raise it.
    """
    member, header = body.pop("maxCredits", None), request.headers.get("X-Max-Credits")
    if isinstance(member, str) and request.is_json:  # only in a form every field is a text
        raise ValidationFailed.of("maxCredits", "maxCredits is a number of credits.")
    limits = [micro for each in (member, header) if (micro := _max_micro(each)) is not None]
    return min(limits, default=None)


def _max_micro(value: object) -> int | None:
    """Return the microcredits of a ``maxCredits``; raise ``ValidationFailed`` for a wrong one."""
    if value is None:
        return None
    try:
        if isinstance(value, str):
            return micro_from_text(value)
        if isinstance(value, int | Decimal) and not isinstance(value, bool):
            return micro_from_decimal(Decimal(value))
    except AmountInvalid as error:
        raise ValidationFailed.of("maxCredits", str(error)) from None
    raise ValidationFailed.of("maxCredits", "maxCredits is a number of credits.")


def replay_headers(*, replayed: bool) -> dict[str, str]:
    """Return the header that marks a stored response."""
    return {"Idempotent-Replayed": "true"} if replayed else {}


def page_size(default: int = PAGE_SIZE) -> int:
    """Return the ``limit`` of the query; raise ``ValidationFailed`` for an invalid one."""
    size = forms.whole("limit", 6) or 0 if "limit" in request.args else default
    if not 1 <= size <= PAGE_SIZE_MAX:
        raise ValidationFailed.of("limit", f"A limit is a whole number from 1 to {PAGE_SIZE_MAX}.")
    return size
