"""Payment requests of agents, their settlements, and what rails remember of payments."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from creditapp import db
from creditapp.db import UtcDateTime

STATES = ("open", "settling", "paid", "refunded")
REF_LENGTH = 255
"""Of a payment's id at its rail, such as a transaction's hash."""


class PaymentRequest(db.Model):
    """An offer of image credits at a pinned price, stored before its token is made.

    ``open``: nobody paid yet. ``settling``: one payment is with its rail, and no other is taken.
    ``paid``: the receipt's wallet has the credits. ``refunded``: an operator paid back the unused
    ones. Every change is a compare-and-set.
    """

    __tablename__ = "payment_requests"
    __table_args__ = (
        CheckConstraint(f"state IN {STATES!r}", name="state"),
        CheckConstraint("count > 0", name="count"),
        CheckConstraint("price_minor > 0", name="price_minor"),
        CheckConstraint("refunded_micro >= 0", name="refunded_micro"),
        CheckConstraint(
            "(state = 'settling') = (payment_fingerprint IS NOT NULL)", name="payment_fingerprint"
        ),
        UniqueConstraint("checkout_id"),
        Index("ix_payment_requests_next_check_at", "next_check_at"),
        Index(
            "ix_payment_requests_unpaid",
            "expires_at",
            postgresql_where=text("state IN ('open', 'settling')"),
            sqlite_where=text("state IN ('open', 'settling')"),
        ),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    count: Mapped[int] = mapped_column(Integer)
    """Image credits."""
    price_minor: Mapped[int] = mapped_column(BigInteger)
    """Of all of them together."""
    currency: Mapped[str] = mapped_column(String(3))
    catalog_version: Mapped[str] = mapped_column(String(64))
    options: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    """The token's payment options, from which the same token can be signed again."""
    token_sha256: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(12), default="open")
    payment_rail: Mapped[str | None] = mapped_column(String(24))
    payment_fingerprint: Mapped[str | None] = mapped_column(String(64))
    """A hash of the payment that is with its rail now."""
    payment_lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """Until when the request that handed it over may still work on it."""
    checkout_id: Mapped[str | None] = mapped_column(String(REF_LENGTH))
    """Of the page at Stripe, once somebody opened it."""
    checkout_url: Mapped[str | None] = mapped_column(Text)
    next_check_at: Mapped[datetime] = mapped_column(UtcDateTime)
    """When the sweep asks Stripe about the page, whose event may be lost; 9999-12-31 for never."""
    refunded_micro: Mapped[int] = mapped_column(BigInteger, default=0)
    """Unused credits that an operator took back in order to refund them."""
    version: Mapped[int] = mapped_column(Integer, default=1)
    """Increases with every sync of a payment at Stripe, so that of two at once one posts."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    paid_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Settlement(db.Model):
    """The one payment that paid a payment request, as its rail proved it."""

    __tablename__ = "settlements"
    __table_args__ = (
        UniqueConstraint("payment_request_id"),
        UniqueConstraint("rail", "ref"),
        UniqueConstraint("payment_fingerprint"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    payment_request_id: Mapped[str] = mapped_column(ForeignKey("payment_requests.id"))
    rail: Mapped[str] = mapped_column(String(24))
    ref: Mapped[str] = mapped_column(String(REF_LENGTH))
    """The payment's id at its rail."""
    option_id: Mapped[str] = mapped_column(String(64))
    payer: Mapped[str | None] = mapped_column(String(255))
    """The payer's DID, where the rail or the payer named one."""
    payment_fingerprint: Mapped[str | None] = mapped_column(String(64))
    """Of a payment that came in a request's headers."""
    paid_minor: Mapped[int] = mapped_column(BigInteger)
    """The price, with the tax that Stripe may have added."""
    livemode: Mapped[bool] = mapped_column()
    """Whether real money moved."""
    sandbox: Mapped[bool] = mapped_column()
    """Whether a demo took it: production does not start beside such credits."""
    grant_id: Mapped[int] = mapped_column(ForeignKey("grants.id"))
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    """The end of the receipt and, until a freeze extends them, of its credits."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class PaymentClaim(db.Model):
    """A key that a rail claims once for a payment, with what it remembers of it."""

    __tablename__ = "payment_claims"

    key: Mapped[str] = mapped_column(String(REF_LENGTH), primary_key=True)
    value: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
