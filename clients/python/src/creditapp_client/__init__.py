"""The client of a CreditApp server."""

from creditapp_client.chat import ChatStream
from creditapp_client.client import CreditApp
from creditapp_client.errors import (
    ApiError,
    AuthenticationFailed,
    BudgetExceeded,
    Conflict,
    ConnectionLost,
    CreditAppError,
    GenerationFailed,
    GenerationTimeout,
    IdempotencyKeyReused,
    InsufficientCredits,
    MaxCreditsExceeded,
    NotFound,
    PaymentRequired,
    PermissionDenied,
    PromptRejected,
    ProviderUnavailable,
    RateLimited,
    ServerError,
    ValidationFailed,
    WaitTimeout,
)
from creditapp_client.transport import RetryPolicy

__all__ = [
    "ApiError",
    "AuthenticationFailed",
    "BudgetExceeded",
    "ChatStream",
    "Conflict",
    "ConnectionLost",
    "CreditApp",
    "CreditAppError",
    "GenerationFailed",
    "GenerationTimeout",
    "IdempotencyKeyReused",
    "InsufficientCredits",
    "MaxCreditsExceeded",
    "NotFound",
    "PaymentRequired",
    "PermissionDenied",
    "PromptRejected",
    "ProviderUnavailable",
    "RateLimited",
    "RetryPolicy",
    "ServerError",
    "ValidationFailed",
    "WaitTimeout",
]
