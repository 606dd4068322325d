"""The x402 facilitator: asked whether a payment is good, and told to settle it.

Its address comes from the operator's settings alone. No redirect is followed, nothing is retried,
and nothing that it answers is believed beyond what was asked: an answer that does not clearly say
"no money moved" leaves the outcome unknown.

Source: x402 specification 2, facilitator interface.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import structlog

from creditapp.agents.refusals import (
    CredentialReplayed,
    PaymentRefused,
    PaymentServiceUnavailable,
    SettlementUnknown,
)
from creditapp.generation.providers import transport
from creditapp.generation.providers.protocol import ProviderError

VERIFY_SECONDS: Final = 8.0
SETTLE_SECONDS: Final = 25.0
"""A block takes some seconds. Twice both, for the wait and for the reading, is below the lease."""

REST_SECONDS: Final = 60.0
"""Pause of the sweep after a call without an answer: it may have to ask about many payments."""

ANSWER_BYTES_MAX: Final = 64 * 1024

_NO_MONEY_MOVED: Final = re.compile(r"(invalid|insufficient|unsupported)_\w{1,80}")
"""Reasons of x402 that were found before anything was sent to the chain. All others, such as
``unexpected_settle_error`` and ``settlement_pending``, may come after it."""

_SENT_TO_CHAIN: Final = ("invalid_transaction_state",)

_TRANSACTION: Final = re.compile(r"[0-9A-Za-z_-]{8,128}")

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Transfer:
    """Money that moved to this site, by one transaction."""

    transaction: str


class Facilitator:
    """The operator's facilitator."""

    def __init__(self, url: str, token: str = "") -> None:
        self._url, self._token = url, token
        self._rests_until = 0.0

    @property
    def rests(self) -> bool:
        """Whether it did not answer just now, so that a sweep need not wait for it again."""
        return time.monotonic() < self._rests_until

    def verify(self, payment: Mapping[str, Any], terms: Mapping[str, Any]) -> None:
        """Ask whether a payment could be settled now. No money moves.

        Raises ``PaymentRefused`` when not, ``CredentialReplayed`` when it was settled before, and
        ``PaymentServiceUnavailable`` without an answer.
        """
        try:
            answer = self._post("/verify", payment, terms, VERIFY_SECONDS)
        except ProviderError as error:
            log.warning("facilitator unavailable", step="verify", reason=error.reason)
            raise PaymentServiceUnavailable from None
        body = _parsed(answer)
        if answer.status == 200 and body.get("isValid") is True:
            return
        reason = _word(body.get("invalidReason"))
        if answer.status >= 500 or body.get("isValid") is not False:
            log.warning("facilitator unavailable", step="verify", reason=f"http_{answer.status}")
            raise PaymentServiceUnavailable
        raise _refusal(reason)

    def settle(
        self, payment: Mapping[str, Any], terms: Mapping[str, Any], *, again: bool = False
    ) -> Transfer:
        """Have a payment settled, and return its transaction.

        ``again``: an earlier attempt may have moved the money, so no refusal says that it did not.
        Raises ``PaymentRefused`` when no money moved, ``CredentialReplayed`` when somebody used the
        authorization before, and ``SettlementUnknown`` when the answer leaves that open.
        """
        try:
            answer = self._post("/settle", payment, terms, SETTLE_SECONDS)
        except ProviderError as error:
            self._rests_until = time.monotonic() + REST_SECONDS
            raise _unknown(error.reason) from None
        body = _parsed(answer)
        if answer.status == 200 and body.get("success") is True:
            return Transfer(_transaction(body, payment, terms))
        reason = _word(body.get("errorReason"))
        if again or answer.status >= 500 or not _moved_nothing(body, reason):
            raise _unknown(f"http_{answer.status}_{reason}")
        raise _refusal(reason)

    def _post(
        self, path: str, payment: Mapping[str, Any], terms: Mapping[str, Any], seconds: float
    ) -> transport.Answer:
        body = {"x402Version": 2, "paymentPayload": payment, "paymentRequirements": terms}
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        return transport.call(
            "POST",
            self._url + path,
            headers=headers,
            body=body,
            bytes_max=ANSWER_BYTES_MAX,
            timeout_seconds=seconds,
        )


def _parsed(answer: transport.Answer) -> dict[str, Any]:
    """Return the answer's object; empty for anything else, which then means nothing."""
    try:
        body = answer.json()
    except ProviderError:
        return {}
    return body if isinstance(body, dict) else {}


def _moved_nothing(body: Mapping[str, Any], reason: str) -> bool:
    return (
        body.get("success") is False
        and not body.get("transaction")
        and reason not in _SENT_TO_CHAIN
        and _NO_MONEY_MOVED.fullmatch(reason) is not None
    )


def _refusal(reason: str) -> PaymentRefused | CredentialReplayed:
    # The token's contract uses a nonce once: it was used, so a second signature would pay again.
    if "nonce" in reason or "already" in reason:
        return CredentialReplayed("This authorization was used before.")
    return PaymentRefused(f"The facilitator refuses the payment: {reason or 'no reason given'}.")


def _transaction(
    body: Mapping[str, Any], payment: Mapping[str, Any], terms: Mapping[str, Any]
) -> str:
    """Return the transaction of an answer that fits the question; else the outcome is unknown."""
    transaction, payer = body.get("transaction"), body.get("payer")
    if not isinstance(transaction, str) or not _TRANSACTION.fullmatch(transaction):
        raise _unknown("no_transaction")
    if body.get("network") != terms["network"]:
        raise _unknown("other_network")
    if payer is not None and str(payer).lower() != _payer(payment).lower():
        raise _unknown("other_payer")
    if body.get("amount") not in (None, terms["amount"]):
        raise _unknown("other_amount")
    return transaction


def _payer(payment: Mapping[str, Any]) -> str:
    payer: str = payment["payload"]["authorization"]["from"]
    return payer


def _word(value: object) -> str:
    """Return a reason, if it is one word: what a stranger wrote is neither shown nor logged."""
    return value if isinstance(value, str) and re.fullmatch(r"\w{1,100}", value) else ""


def _unknown(reason: str) -> SettlementUnknown:
    log.warning("settlement unknown", reason=reason)
    return SettlementUnknown()
