"""Rail: the interface of a way to pay, such as Stripe Checkout, x402 or MPP.

A rail offers itself in the payment request's token (``payment_option``) and in the headers of the
402 (``challenge_headers``), recognises its payment in a request's headers (``read_payment``), and
settles it (``settle``). ``payment.pay`` calls ``settle`` with no transaction open, for one
payment of a payment request at a time, and grants the credits afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from creditapp.agents.models import PaymentRequest, Settlement


@dataclass(frozen=True, kw_only=True)
class PaymentOption:
    """One way to pay, as the token names it; 300 with 2 ``decimals`` is 3.00."""

    id: str
    amount: int | str
    decimals: int
    currency: str
    recipient: str | None = None
    """None is this site's DID."""
    network: str | None = None
    payment_service: str | None = None
    """The address that takes the payment."""

    def claims(self, *, recipient: str, receipt_service: str) -> dict[str, Any]:
        """Return the option as a member of the token's ``paymentOptions``."""
        claims = {
            "id": self.id,
            "amount": self.amount,
            "decimals": self.decimals,
            "currency": self.currency,
            "recipient": self.recipient or recipient,
            "network": self.network,
            "paymentService": self.payment_service,
            "receiptService": receipt_service,
        }
        return {name: value for name, value in claims.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class Payment:
    """A payment that came in a request's headers, not settled yet."""

    rail: str
    request_id: str | None
    """The payment request that it pays; None where it names none: then one is stored for it."""
    fingerprint: str = field(repr=False)
    """A SHA-256, in hexadecimal, of the signed payment: the same payment has the same one."""
    idempotency_key: str | None = None
    """The key that came within the payment; the header ``Idempotency-Key`` comes first."""


@dataclass(frozen=True, kw_only=True)
class Settled:
    """A payment that went through, as the rail proved it."""

    ref: str
    """The payment's id at the rail, such as a transaction's hash: used for one request only."""
    option_id: str
    livemode: bool
    """Whether real money moved."""
    paid_minor: int | None = None
    """The money that came, in the request's currency; None is the price."""
    payer: str | None = None
    """The payer's DID, such as ``did:pkh:eip155:84532:0x...``."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers of the answer, such as ``PAYMENT-RESPONSE``."""


class Rail(Protocol):
    """A way to pay. Nothing here is called within a transaction, but for the first two methods."""

    @property
    def name(self) -> str:
        """The rail's name in settlements, such as ``x402``."""

    def payment_option(self, request: PaymentRequest) -> PaymentOption | None:
        """Return the option for the token, or None where this rail cannot take this amount.

        Called before the request is stored: id, count, price and expiry are set. No network.
        """

    def challenge_headers(self, request: PaymentRequest) -> Mapping[str, str]:
        """Return this rail's headers of the 402; none for a rail without. No network."""

    def read_payment(self, headers: Mapping[str, str]) -> Payment | None:
        """Return the payment in a request's headers; None without one of this rail.

        The names of ``headers`` are in lower case, here and in ``settle``.

        Raises ``PaymentRefused`` for one that cannot be read. Settles nothing.
        """

    def settle(self, request: PaymentRequest, headers: Mapping[str, str]) -> Settled:
        """Settle the payment in the headers of exactly the price of ``request``.

        Called again with the same payment after an unknown outcome or a crash: it then returns the
        settlement that exists instead of settling twice. Raises ``PaymentRefused`` when no money
        moved, ``CredentialReplayed`` for a payment used before, and ``SettlementUnknown`` when
        nobody knows; any other error counts as unknown too.
        """

    def recover(self, request: PaymentRequest) -> Settled | None:
        """Return the settlement of the payment that a dead process handed over, or None for none.

        Asked by a sweep while ``request`` is ``settling`` and its lease has lapsed. None opens the
        request again; ``SettlementUnknown`` asks later again.
        """

    def refund(self, settlement: Settlement, amount_minor: int, refund_id: str) -> bool:
        """Pay back a part of a settlement; return False where the operator has to send it.

        Safe to repeat with the same ``refund_id``.
        """
