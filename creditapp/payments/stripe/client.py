"""The door to Stripe: the only module that imports its SDK, and only when it is first used.

Answers are small frozen records, because Stripe's own objects are neither dicts nor stable from
one API version to the next. Errors say whether trying again can help and carry no secret. Amounts
are integers of the currency's minor unit; currencies are lowercase as Stripe writes them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

from creditapp.payments.stripe.parsing import id_of
from creditapp.payments.stripe.payment_methods import StripeTopups
from creditapp.payments.stripe.records import (
    CheckoutCreated,
    CheckoutState,
    Event,
    GatewayError,
    SignatureInvalid,
    read_event,
)

if TYPE_CHECKING:
    from stripe import StripeClient
    from stripe.checkout import Session
    from stripe.params.checkout import SessionCreateParams

API_VERSION = "2026-10-28.endive"
"""Pinned, so that an upgrade of the SDK or of the account cannot change what answers mean."""

SIGNATURE_TOLERANCE_SECONDS = 300
"""How far a webhook's timestamp may lie from our clock, in either direction."""

_TIMEOUT_SECONDS = 15.0
_LIVE_PREFIXES = ("sk_live_", "rk_live_")


class StripeGateway(StripeTopups):
    """The gateway on Stripe's API, or on a stand-in at ``api_base``. Safe with many threads."""

    def __init__(
        self,
        secret_key: str,
        webhook_secret: str,
        api_base: str = "",
        *,
        timeout_seconds: float = _TIMEOUT_SECONDS,
        max_network_retries: int = 1,
        promotion_codes: bool = False,
        automatic_tax: bool = False,
    ) -> None:
        self.promotion_codes, self.automatic_tax = promotion_codes, automatic_tax
        self._secret_key = secret_key
        self._webhook_secret = webhook_secret
        self._api_base = api_base.rstrip("/")
        self._timeout_seconds = timeout_seconds
        self._max_network_retries = max_network_retries
        self._client: StripeClient | None = None
        self._client_lock = threading.Lock()

    @property
    def livemode(self) -> bool:
        """Whether the key moves real money."""
        return self._secret_key.startswith(_LIVE_PREFIXES)

    def create_checkout(
        self,
        *,
        purchase_id: str,
        title: str,
        description: str,
        price_minor: int,
        currency: str,
        success_url: str,
        cancel_url: str,
        attempt: int = 1,
        customer_id: str | None = None,
        email: str | None = None,
        price_id: str | None = None,
        metadata: Mapping[str, str] | None = None,
        expires_at: datetime | None = None,
    ) -> CheckoutCreated:
        """Open a Checkout Session in payment mode; see ``Gateway``.

        The purchase's id is on the session *and* on its payment intent, because Stripe does not
        copy metadata from one to the other.
        """
        carried = {**(metadata or {}), "purchase_id": purchase_id}
        params: SessionCreateParams = {
            "mode": "payment",
            "success_url": success_url,
            "cancel_url": cancel_url,
            "client_reference_id": purchase_id,
            "metadata": carried,
            "payment_intent_data": {"metadata": carried, "description": title},
        }
        if price_id:
            params["line_items"] = [{"price": price_id, "quantity": 1}]
        else:
            product = {"name": title} | ({"description": description} if description else {})
            params["line_items"] = [
                {
                    "quantity": 1,
                    "price_data": {
                        "currency": currency.lower(),
                        "unit_amount": price_minor,
                        "product_data": product,  # type: ignore[typeddict-item]  # str values only
                    },
                }
            ]
        if customer_id:
            params["customer"] = customer_id
        elif email:
            params["customer_email"] = email
        if expires_at:
            params["expires_at"] = int(expires_at.timestamp())
        self._add_extras(params)
        with _gateway_errors():
            session = self._stripe().v1.checkout.sessions.create(
                params, {"idempotency_key": f"purchase:{purchase_id}:checkout:{attempt}"}
            )
        if not session.url:
            raise GatewayError("Stripe opened a checkout without a page.", permanent=True)
        return CheckoutCreated(session.id, session.url)

    def retrieve_checkout(self, checkout_id: str) -> CheckoutState:
        """Return a Checkout Session with its refunds and disputes, read one after the other."""
        with _gateway_errors():
            return self._with_reversals(self._stripe().v1.checkout.sessions.retrieve(checkout_id))

    def expire_checkout(self, checkout_id: str) -> CheckoutState:
        """Expire a Checkout Session; one that is complete or expired already stays as it is."""
        import stripe

        with _gateway_errors():
            sessions = self._stripe().v1.checkout.sessions
            session = sessions.retrieve(checkout_id)
            if session.status == "open":
                try:
                    session = sessions.expire(checkout_id)
                except stripe.InvalidRequestError:
                    # Paid, or expired, between the two calls: what is true now is the answer.
                    session = sessions.retrieve(checkout_id)
            return self._with_reversals(session)

    def find_checkout_for(
        self, purchase_id: str, *, created_after: datetime, customer_id: str | None = None
    ) -> CheckoutState | None:
        """Look through the sessions opened since; a complete one wins over an open one.

        Stripe's search would be shorter, but finds a payment only about a minute after it is
        made, and a repeated payment is what the look-up is to prevent.
        """
        since = created_after - timedelta(minutes=5)  # their clock is not ours
        found: list[Session] = []
        with _gateway_errors():
            page = self._stripe().v1.checkout.sessions.list(
                {"limit": 100, "created": {"gte": int(since.timestamp())}}
                | ({"customer": customer_id} if customer_id else {})  # type: ignore[arg-type]
            )
            for session in page.auto_paging_iter():
                carried = session.metadata.to_dict() if session.metadata else {}
                if carried.get("purchase_id") == purchase_id:
                    found.append(session)
            if not found:
                return None
            order = ("complete", "open", "expired")
            return self._with_reversals(min(found, key=lambda each: order.index(str(each.status))))

    def list_checkouts(self, *, created_after: datetime) -> tuple[CheckoutState, ...]:
        """Read the list of Checkout Sessions, a hundred at a time."""
        with _gateway_errors():
            page = self._stripe().v1.checkout.sessions.list(
                {"limit": 100, "created": {"gte": int(created_after.timestamp())}}
            )
            return tuple(_checkout_state(session) for session in page.auto_paging_iter())

    def list_refunded_payments(self, *, created_after: datetime) -> frozenset[str]:
        """Read the list of refunds, whatever became of them."""
        with _gateway_errors():
            page = self._stripe().v1.refunds.list(
                {"limit": 100, "created": {"gte": int(created_after.timestamp())}}
            )
            intents = (id_of(refund.payment_intent) for refund in page.auto_paging_iter())
            return frozenset(each for each in intents if each)

    def list_disputed_payments(self, *, created_after: datetime) -> frozenset[str]:
        """Read the list of disputes, open and closed."""
        with _gateway_errors():
            page = self._stripe().v1.disputes.list(
                {"limit": 100, "created": {"gte": int(created_after.timestamp())}}
            )
            intents = (id_of(dispute.payment_intent) for dispute in page.auto_paging_iter())
            return frozenset(each for each in intents if each)

    def create_refund(
        self, *, refund_id: str, payment_intent_id: str, amount_minor: int, reason: str
    ) -> str:
        """Create a refund that carries our number of it."""
        with _gateway_errors():
            made = self._stripe().v1.refunds.create(
                {
                    "payment_intent": payment_intent_id,
                    "amount": amount_minor,
                    "reason": reason,
                    "metadata": {"refund_id": refund_id},
                },
                {"idempotency_key": f"refund:{refund_id}"},
            )
        return made.id

    def create_customer(self, *, user_id: str, email: str) -> str:
        """Create a customer named by our user's id; a changed address is another request."""
        digest = sha256(email.encode()).hexdigest()[:16]
        with _gateway_errors():
            customer = self._stripe().v1.customers.create(
                {"email": email, "metadata": {"user_id": user_id}},
                {"idempotency_key": f"customer:{user_id}:create:{digest}"},
            )
        return customer.id

    def verify_webhook(self, raw_body: bytes, signature_header: str | None) -> Event:
        """Verify the signature over the raw bytes and return the event.

        Raises ``SignatureInvalid``. An empty secret verifies against an empty key, which anyone
        can forge, so without a secret nothing is genuine. Stripe's SDK accepts any moment in the
        future; here it must lie within the tolerance too, or one recorded signature would be
        good for as long as its forger likes.
        """
        if not self._webhook_secret or not signature_header:
            raise SignatureInvalid("The webhook is not signed, or no secret is set to check it.")
        if not signature_header.isascii():  # the SDK compares texts, and only ASCII ones
            raise SignatureInvalid("The webhook's signature does not match its body.")
        import stripe

        try:
            stripe.WebhookSignature.verify_header(
                raw_body, signature_header, self._webhook_secret, SIGNATURE_TOLERANCE_SECONDS
            )
        except (stripe.SignatureVerificationError, ValueError, IndexError):
            raise SignatureInvalid("The webhook's signature does not match its body.") from None
        if _signed_at(signature_header) > time.time() + SIGNATURE_TOLERANCE_SECONDS:
            raise SignatureInvalid("The webhook was signed in the future.")
        return read_event(raw_body)

    def _with_reversals(self, session: Session) -> CheckoutState:
        state = _checkout_state(session)
        if state.payment_intent_id is None or session.status != "complete":
            return state
        found = self.reversals_of(state.payment_intent_id)
        return replace(state, refunds=found.refunds, disputes=found.disputes)

    def api_base(self) -> str:
        """Return the address of Stripe's stand-in, or nothing for Stripe's own."""
        return self._api_base

    def _errors(self) -> AbstractContextManager[None]:
        return _gateway_errors()

    def _stripe(self) -> StripeClient:
        with self._client_lock:
            if self._client is None:
                import stripe

                api_base = self.api_base()
                self._client = stripe.StripeClient(
                    self._secret_key,
                    stripe_version=API_VERSION,
                    base_addresses={"api": api_base} if api_base else None,
                    max_network_retries=self._max_network_retries,
                    http_client=stripe.RequestsClient(timeout=self._timeout_seconds),
                )
            return self._client


def _checkout_state(session: Session) -> CheckoutState:
    details = session.total_details
    return CheckoutState(
        id=session.id,
        status=session.status or "open",
        payment_status=session.payment_status,
        amount_subtotal=session.amount_subtotal,
        amount_total=session.amount_total,
        currency=session.currency,
        payment_intent_id=id_of(session.payment_intent),
        customer_id=id_of(session.customer),
        subscription_id=id_of(session.subscription),
        metadata=session.metadata.to_dict() if session.metadata else {},
        livemode=session.livemode,
        url=session.url,
        expires_at=datetime.fromtimestamp(session.expires_at, UTC),
        discount_minor=details.amount_discount if details else None,
        tax_minor=details.amount_tax if details else None,
    )


@contextmanager
def _gateway_errors() -> Iterator[None]:
    """Turn the SDK's errors into ours; the original is dropped because it holds the request."""
    import stripe

    permanent = (
        stripe.InvalidRequestError,
        stripe.AuthenticationError,
        stripe.PermissionError,
        stripe.IdempotencyError,
        stripe.CardError,
    )
    try:
        yield
    except stripe.StripeError as error:
        request = f" (request {error.request_id})" if error.request_id else ""
        said = f"{error.http_status or ''}: {error.user_message or 'no text'}{request}"
        raise GatewayError(
            f"Stripe: {type(error).__name__} {said}",
            permanent=isinstance(error, permanent),
            code=error.code,
            declined=isinstance(error, stripe.CardError),
        ) from None


def _signed_at(signature_header: str) -> int:
    """Return the first timestamp of the header: the one that the SDK has verified."""
    return int(next(part[2:] for part in signature_header.split(",") if part.startswith("t=")))
