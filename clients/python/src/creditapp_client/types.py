"""The objects of the API, as JSON has them. Credits are ``int`` or an exact ``Decimal``."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, TypedDict

Credits = int | Decimal


class Balance(TypedDict):
    """The balance, and everything spent so far."""

    balance: Credits
    lifetimeSpent: Credits


class Charge(TypedDict):
    """The cost of a call, and the balance after it."""

    used: Credits
    remaining: Credits


class Asset(TypedDict):
    """One generated file."""

    url: str
    mimeType: str
    width: int | None
    height: int | None
    seconds: Decimal | int | None


class Generation(TypedDict):
    """A generation with its state and its files."""

    id: str
    status: str
    operation: str
    model: str
    prompt: str
    progress: int
    preview: bool
    createdAt: str
    assets: list[Asset]
    imageUrl: str | None
    credits: Charge | None
    error: dict[str, Any] | None


class Quote(TypedDict):
    """The price of an order before it is made."""

    operation: str
    model: str | None
    cost: Credits
    description: str
    lines: list[dict[str, Any]]
    estimated: bool
    version: str
    millionTokens: dict[str, Credits] | None
    balance: Credits | None
    affordable: bool | None
    shortfall: Credits | None


class Transaction(TypedDict):
    """One entry of the history."""

    id: str
    type: str
    amount: Credits
    balanceAfter: Credits
    operation: str
    description: str | None
    metadata: dict[str, Any]
    createdAt: str


class Spend(TypedDict):
    """Credits that were spent for a feature."""

    success: bool
    entryId: str | None
    spent: Credits
    balance: Credits
    credits: Charge


class Hold(TypedDict):
    """Credits that were set aside: ``open``, ``captured`` or ``released``."""

    id: str
    state: str
    amount: Credits
    captured: Credits
    expiresAt: str
    balance: Credits
    credits: Charge


class ChatAnswer(TypedDict):
    """An answer to a conversation."""

    id: str
    conversationId: str | None
    model: str
    message: dict[str, Any]
    finishReason: str
    preview: bool
    omittedMessages: int
    usage: dict[str, Any]
    credits: Charge
    error: dict[str, Any] | None


class AccessToken(TypedDict):
    """A token by which one feature may spend for a minute."""

    token: str
    expiresAt: str
