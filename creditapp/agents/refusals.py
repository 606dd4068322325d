"""Refusals of buying and of receipts: one class each."""

from __future__ import annotations

from typing import Final

from creditapp.errors import AppError, PaymentUnavailable


class ReceiptInvalid(AppError):
    """The receipt is no receipt of this server, or was altered."""

    status, code, title = 401, "receipt_invalid", "This receipt is not valid"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})


class ReceiptExpired(ReceiptInvalid):
    """The receipt and its credits have ended."""

    status, code, title = 401, "receipt_expired", "This receipt has ended"


class UntrustedReceiptIssuer(ReceiptInvalid):
    """The receipt's signature is another issuer's."""

    status, code, title = 401, "untrusted_receipt_issuer", "This receipt's issuer is not trusted"


class UnknownPaymentRequest(ReceiptInvalid):
    """The payment request is not one of this server's."""

    status, code, title = 401, "unknown_payment_request", "This payment request is unknown"


class PaymentRequestExpired(AppError):
    """The payment request can no longer be paid."""

    status, code, title = 410, "payment_request_expired", "This payment request has expired"


class PaymentRequestNotOpen(AppError):
    """The payment request is paid, or another payment of it is under way."""

    status, code, title = 409, "payment_request_not_open", "This payment request is not open"


class CredentialReplayed(AppError):
    """The payment was used before."""

    status, code, title = 403, "credential_replayed", "This payment was used before"


class SettlementUnknown(AppError):
    """The rail did not say whether the payment went through: never pay twice for that."""

    status, code, title = 503, "settlement_unknown", "The payment's outcome is not known yet"

    def __init__(self, detail: str | None = None) -> None:
        text = "Do not pay again. Send the same payment again in a moment to learn its outcome."
        super().__init__(detail or text, headers={"Retry-After": "5"})


class CreditsExhausted(AppError):
    """The receipt has no credit left."""

    status, code, title = 409, "credits_exhausted", "This receipt has no credits left"


class Refunded(AppError):
    """The receipt's unused credits were paid back."""

    status, code, title = 409, "refunded", "This receipt was refunded"


class PaymentServiceUnavailable(AppError):
    """The rail did not answer before any money moved."""

    status, code, title = 503, "provider_unavailable", "Payment is not available right now"

    def __init__(self) -> None:
        super().__init__(
            "The payment service does not answer. Nothing was charged; send the same again later.",
            headers={"Retry-After": "10"},
            creditsCharged=0,
        )


class PaymentRefused(Exception):
    """A rail refuses a payment, and no money moved: the buyer is asked for another.

    The reason is shown to the buyer and must hold nothing secret.
    """


class PaidBefore(PaymentRefused):
    """The payer has paid for the same before, under the same name of the payment."""

    def __init__(self, request_id: str) -> None:
        super().__init__("This payment identifier has paid before; nothing was charged now.")
        self.request_id = request_id


OF_RECEIPTS: Final[tuple[type[AppError], ...]] = (
    *(ReceiptInvalid, ReceiptExpired, UntrustedReceiptIssuer, UnknownPaymentRequest, Refunded),
)
"""Refusals of a route that takes a receipt, or the token of a payment request."""

OF_PAYMENTS: Final[tuple[type[AppError], ...]] = (
    *(
        UnknownPaymentRequest,
        PaymentRequestExpired,
        PaymentRequestNotOpen,
        CredentialReplayed,
        SettlementUnknown,
        PaymentUnavailable,
    ),
)
"""Refusals of a route that takes a payment."""
