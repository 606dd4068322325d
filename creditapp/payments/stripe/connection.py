"""Connection to Stripe: the SDK's client, its errors, and the options of every checkout.

The SDK is imported when it is first used, because it takes long to load.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from creditapp.payments.stripe.records import CheckoutCreated, CheckoutRequest, GatewayError

if TYPE_CHECKING:
    from stripe import HTTPClient, StripeClient, V1Services
    from stripe.params.checkout import SessionCreateParams

API_VERSION = "2026-10-28.endive"
"""Pinned, so that an upgrade of the SDK or of the account cannot change the meaning of answers."""

_TIMEOUT_SECONDS = 15.0
_LIVE_PREFIXES = ("sk_live_", "rk_live_")

P = ParamSpec("P")
T = TypeVar("T")


class StripeConnection:
    """Stripe's API, or a stand-in at ``api_base``; safe to share between threads."""

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
        self.webhook_secret = webhook_secret
        self._api_base = api_base.rstrip("/")
        self._timeout_seconds = timeout_seconds
        self._max_network_retries = max_network_retries
        self._client: StripeClient | None = None
        self._client_lock = threading.Lock()
        self.admit: Callable[[], None] = lambda: None
        """Called before each request to Stripe; raises to refuse it. ``http`` sets it."""

    @property
    def livemode(self) -> bool:
        """Whether the key moves real money."""
        return self._secret_key.startswith(_LIVE_PREFIXES)

    def api_base(self) -> str:
        """Return the address of a stand-in, or an empty string for Stripe's own."""
        return self._api_base

    @property
    def v1(self) -> V1Services:
        """The SDK's services, made at the first call; every request to Stripe gets them here."""
        self.admit()
        with self._client_lock:
            if self._client is None:
                import stripe

                api_base = self.api_base()
                self._client = stripe.StripeClient(
                    self._secret_key,
                    stripe_version=API_VERSION,
                    base_addresses={"api": api_base} if api_base else None,
                    max_network_retries=self._max_network_retries,
                    http_client=self.http_client(),
                )
            return self._client.v1

    def http_client(self) -> HTTPClient:
        """Return the client that sends the SDK's requests."""
        import stripe

        return stripe.RequestsClient(timeout=self._timeout_seconds)

    def open_checkout(self, params: SessionCreateParams, key: str) -> CheckoutCreated:
        """Open a Checkout Session; the same idempotency key returns the same one."""
        with gateway_errors():
            session = self.v1.checkout.sessions.create(params, {"idempotency_key": key})
        if not session.url:
            raise GatewayError("Stripe opened a checkout without a page.", permanent=True)
        return CheckoutCreated(session.id, session.url)

    def open_purchase_checkout(
        self, params: SessionCreateParams, request: CheckoutRequest
    ) -> CheckoutCreated:
        """Open the checkout of a purchase, with the operator's options.

        Credits do not depend on the options.
        """
        params["success_url"], params["cancel_url"] = request.success_url, request.cancel_url
        params["client_reference_id"] = request.purchase_id
        params["metadata"] = request.metadata
        if request.expires_at:
            params["expires_at"] = int(request.expires_at.timestamp())
        if self.promotion_codes:
            params["allow_promotion_codes"] = True
        if self.automatic_tax:
            params["automatic_tax"] = {"enabled": True}
            if "customer" in params:
                # Tax needs an address, which Checkout asks for and stores with the customer.
                params["customer_update"] = {"address": "auto"}
        return self.open_checkout(
            params, f"purchase:{request.purchase_id}:checkout:{request.attempt}"
        )


@contextmanager
def gateway_errors() -> Iterator[None]:
    """Turn the SDK's errors into ``GatewayError``; drop the original, which holds the request."""
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
        detail = f"{error.http_status or ''}: {error.user_message or 'no text'}{request}"
        raise GatewayError(
            f"Stripe: {type(error).__name__} {detail}",
            permanent=isinstance(error, permanent),
            code=error.code,
            declined=isinstance(error, stripe.CardError),
            param=getattr(error, "param", None),
        ) from None


def none_if_missing(retrieve: Callable[P, T]) -> Callable[P, T | None]:
    """Make a retrieval return None for an id that Stripe does not know, as after a key change.

    Other errors become ``GatewayError``.
    """

    @wraps(retrieve)
    def call(*args: P.args, **kwargs: P.kwargs) -> T | None:
        try:
            with gateway_errors():
                return retrieve(*args, **kwargs)
        except GatewayError as error:
            if error.code != "resource_missing":
                raise
            return None

    return call
