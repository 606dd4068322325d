"""Errors: a class for each code that a program may handle, else one for its status."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class CreditAppError(Exception):
    """The base of every error of this package."""


class ConnectionLost(CreditAppError):
    """No whole answer came, however often the request was sent.

    The server may have done it. The same call with the same ``idempotency_key`` finds out, and is
    paid once; the key is None where the call has none.
    """

    def __init__(self, reason: str, idempotency_key: str | None = None) -> None:
        super().__init__(reason)
        self.idempotency_key = idempotency_key


class WaitTimeout(CreditAppError):
    """A generation did not end within the wait; it goes on, and ``wait`` may be called again."""

    def __init__(self, generation_id: str) -> None:
        super().__init__(f"{generation_id} is not finished yet")
        self.generation_id = generation_id


class ApiError(CreditAppError):
    """An answer with an error. ``problem`` has all its members (RFC 9457)."""

    def __init__(
        self, status: int, problem: Mapping[str, Any], retry_after: float | None = None
    ) -> None:
        self.status = status
        self.problem = dict(problem)
        self.code = str(problem.get("code") or "")
        self.detail = str(problem.get("detail") or f"The server answered {status}.")
        self.request_id = problem.get("requestId")
        self.retry_after = retry_after
        """Seconds to wait before another attempt, where the server says so."""
        super().__init__(f"{self.detail} ({self.code or status})")


class AuthenticationFailed(ApiError):
    """The API key is missing, unknown, revoked or has ended (401)."""


class PaymentRequired(ApiError):
    """Credits, a budget or a ceiling do not suffice (402); nothing was charged."""


class InsufficientCredits(PaymentRequired):
    """The balance is too low: ``problem`` has required, balance and shortfall."""


class BudgetExceeded(PaymentRequired):
    """The key's budget has less left: ``problem`` has required, limit and resetAt."""


class MaxCreditsExceeded(PaymentRequired):
    """It costs more than ``max_credits``: ``problem`` has required and limit."""


class PermissionDenied(ApiError):
    """The key may not do this (403)."""


class NotFound(ApiError):
    """There is no such object, or it is another's (404)."""


class Conflict(ApiError):
    """The object is in another state (409)."""


class IdempotencyKeyReused(Conflict):
    """The key was used with another body."""


class ValidationFailed(ApiError):
    """Fields are invalid (400, 422): ``problem`` has errors."""


class PromptRejected(ValidationFailed):
    """The model, or the site's moderation before it, refuses the prompt."""


class RateLimited(ApiError):
    """Too many requests (429), for longer than the client waits."""


class ServerError(ApiError):
    """The server or a vendor failed (5xx)."""


class GenerationFailed(ServerError):
    """The model failed; nothing was charged."""


class GenerationTimeout(ServerError):
    """The model did not answer in time; nothing was charged."""


class ProviderUnavailable(ServerError):
    """The model is unavailable; nothing was charged."""


_BY_CODE: dict[str, type[ApiError]] = {
    "insufficient_credits": InsufficientCredits,
    "budget_exceeded": BudgetExceeded,
    "max_credits_exceeded": MaxCreditsExceeded,
    "idempotency_key_reused": IdempotencyKeyReused,
    "prompt_rejected": PromptRejected,
    "generation_failed": GenerationFailed,
    "generation_timeout": GenerationTimeout,
    "provider_unavailable": ProviderUnavailable,
}
_BY_STATUS: dict[int, type[ApiError]] = {
    400: ValidationFailed,
    401: AuthenticationFailed,
    402: PaymentRequired,
    403: PermissionDenied,
    404: NotFound,
    409: Conflict,
    422: ValidationFailed,
    429: RateLimited,
}


def error_of(status: int, problem: Mapping[str, Any], retry_after: float | None = None) -> ApiError:
    """Return the error of an answer."""
    usual = ServerError if status >= 500 else ApiError
    kind = _BY_CODE.get(str(problem.get("code")), _BY_STATUS.get(status, usual))
    return kind(status, problem, retry_after)
