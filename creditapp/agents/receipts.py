"""Receipts: prove a payment to get one, and prove a receipt to use its credits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy.orm import Session

from creditapp.agents import checkout, requests, settlement, tokens
from creditapp.agents.identity import Identity
from creditapp.agents.models import PaymentRequest, Settlement
from creditapp.agents.rails import Settled
from creditapp.agents.refusals import ReceiptInvalid, SettlementUnknown
from creditapp.agents.settlement import Purchase
from creditapp.agents.tokens import PaymentProof, ReceiptClaims
from creditapp.config import Settings
from creditapp.db import reading, stop_reading, transaction, update_if
from creditapp.services import get
from creditapp.units import MICRO_PER_CREDIT

ELSEWHERE: Final = "ack"
"""The rail of payments that another receipt issuer, which the operator trusts, vouches for."""


@dataclass(frozen=True)
class Receipt:
    """A proven receipt: the payment request that it pays for, and the proof's row."""

    request: PaymentRequest
    settlement: Settlement


def issue(proof: PaymentProof) -> Purchase:
    """Return the receipt of a paid payment request to the holder of its token.

    A payer who signed the proof is named by the receipt, unless the rail has named one. Raises
    ``UnknownPaymentRequest``, ``ReceiptInvalid`` for another option than the paid one, and
    ``SettlementUnknown`` (503, to be asked again) for an unpaid one.
    """
    request = requests.find_by_token(reading(), proof.token)
    settled = settlement.find_settlement(reading(), request.id)
    stop_reading()
    if settled is None:
        checkout.sync_on_return(request)
        settled = settlement.find_settlement(reading(), request.id)
    if settled is None:
        raise SettlementUnknown("No payment of this request has arrived yet.")
    if proof.option_id not in (None, settled.option_id):
        raise ReceiptInvalid(f"This request was paid by the option {settled.option_id}.")
    if proof.payer is not None and settled.payer is None:
        with transaction() as session:
            update_if(session, settled, Settlement.payer.is_(None), payer=proof.payer)
    return settlement.purchase_of(request.id, settled)


def prove(text: str, *, now: datetime) -> Receipt:
    """Return the receipt of a signed text whose every claim agrees with our rows.

    Raises ``ReceiptInvalid``, ``ReceiptExpired``, ``UntrustedReceiptIssuer`` or
    ``UnknownPaymentRequest``. The first receipt of another trusted issuer pays its request, in a
    transaction of its own: then also the refusals of ``settlement.post``.
    """
    identity, session = get(Identity), reading()
    claims = tokens.read_receipt(identity, text, get(Settings).trusted_receipt_issuers, now=now)
    request = requests.find_by_token(session, claims.token)
    if all(option["id"] != claims.option_id for option in request.options):
        raise ReceiptInvalid("The payment request has no such option.")
    settled = settlement.find_settlement(session, request.id)
    if claims.issuer != identity.did:
        settled = _settled_elsewhere(request, claims, settled, now)
    if settled is None or settled.option_id != claims.option_id:
        raise ReceiptInvalid("No such payment of this request is known here.")
    return Receipt(request, settled)


def _settled_elsewhere(
    request: PaymentRequest, claims: ReceiptClaims, settled: Settlement | None, now: datetime
) -> Settlement:
    """Return the settlement that another trusted issuer vouches for; its word is the proof."""
    if settled is None:
        payment = Settled(
            ref=f"{claims.issuer}:{request.id}",
            option_id=claims.option_id,
            livemode=get(Settings).production,
            payer=claims.payer,
        )
        settled = settlement.post(request.id, ELSEWHERE, payment, now=now)
    if not (settled.rail == ELSEWHERE and settled.ref.startswith(f"{claims.issuer}:")):
        raise ReceiptInvalid("This request was paid here: only our own receipt counts.")
    return settled


@dataclass(frozen=True)
class ReceiptBalance:
    """The credits of a receipt."""

    initial_micro: int
    remaining_micro: int
    held_micro: int
    """Set aside for images that are being made."""
    expires_at: datetime
    status: str
    """``active``, ``exhausted``, ``frozen`` (its payment is disputed) or ``refunded``."""


def balance(session: Session, receipt: Receipt, *, now: datetime) -> ReceiptBalance:
    """Return what is left on a receipt."""
    request, balance = receipt.request, settlement.balance(session, receipt.request.id, now=now)
    status = "active" if balance.available_micro else "exhausted"
    if balance.frozen_micro:
        status = "frozen"
    if request.state == "refunded":
        status = "refunded"
    return ReceiptBalance(
        initial_micro=request.count * MICRO_PER_CREDIT,
        remaining_micro=balance.available_micro,
        held_micro=balance.held_micro,
        expires_at=receipt.settlement.expires_at,
        status=status,
    )
