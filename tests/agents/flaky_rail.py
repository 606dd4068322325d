"""A rail that refuses, hangs, or loses its answers, as a test tells it."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping

from creditapp.agents.models import PaymentRequest, Settlement
from creditapp.agents.rails import Payment, PaymentOption, Settled

HEADER = "x-flaky-payment"


class FlakyRail:
    """Payments are texts in a header, ``<request id>:<anything>``; money moves once for each."""

    name = "flaky"

    def __init__(self) -> None:
        self.paid: dict[str, str] = {}
        """The payments that moved money, with the requests that they paid."""
        self.before: Callable[[], None] = lambda: None
        """Called before money moves."""
        self.after: Callable[[], None] = lambda: None
        """Called after it, before the answer."""
        self.calls = 0
        self.refunds: list[tuple[str, int]] = []
        self.pays_back = True
        self._lock = threading.Lock()

    def payment_option(self, request: PaymentRequest) -> PaymentOption:
        return PaymentOption(id="flaky", amount=request.price_minor, decimals=2, currency="USD")

    def challenge_headers(self, request: PaymentRequest) -> Mapping[str, str]:
        return {"X-Flaky-Challenge": request.id}

    def read_payment(self, headers: Mapping[str, str]) -> Payment | None:
        text = headers.get(HEADER)
        if text is None:
            return None
        fingerprint = hashlib.sha256(text.encode()).hexdigest()
        request_id = text.partition(":")[0] or None
        return Payment(rail=self.name, request_id=request_id, fingerprint=fingerprint)

    def settle(self, request: PaymentRequest, headers: Mapping[str, str]) -> Settled:
        self.calls += 1
        text = headers[HEADER]
        if text not in self.paid:
            self.before()
            with self._lock:
                self.paid[text] = request.id
        self.after()
        return self._settled(text)

    def recover(self, request: PaymentRequest) -> Settled | None:
        texts = [text for text, request_id in self.paid.items() if request_id == request.id]
        return self._settled(texts[0]) if texts else None

    def refund(self, settlement: Settlement, amount_minor: int, refund_id: str) -> bool:
        if refund_id not in dict(self.refunds):
            self.refunds.append((refund_id, amount_minor))
        return self.pays_back

    def _settled(self, text: str) -> Settled:
        return Settled(
            ref=text,
            option_id="flaky",
            livemode=False,
            payer="did:example:buyer",
            headers={"X-Flaky-Response": "paid"},
        )
