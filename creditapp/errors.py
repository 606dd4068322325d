"""Errors that callers may see: one class each, with status, code and title.

A module defines its own errors; those here are shared. The error handler in ``http/problems.py``
renders them as problem+json, as a component, or as a page.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar


class AppError(Exception):
    """An error that the caller may see: its text and fields must hold nothing secret."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Something went wrong"

    def __init__(
        self,
        detail: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        **fields: object,
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.fields = fields
        """Extra members of the problem+json object, by their JSON names."""
        self.headers = dict(headers or {})


class MalformedRequest(AppError):
    """The body is not what its content type says."""

    status, code, title = 400, "malformed_request", "The request could not be read"


class UnsupportedParameter(AppError):
    """A parameter, or a value of it, that is known elsewhere and not served here."""

    status, code, title = 400, "unsupported_parameter", "This parameter is not supported"

    def __init__(self, param: str, detail: str | None = None) -> None:
        super().__init__(detail or f"{param} is not supported here; leave it out.", param=param)


class ModelNotFound(AppError):
    """No model of this name does what was asked for."""

    status, code, title = 404, "model_not_found", "There is no such model"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, param="model")


class AuthenticationRequired(AppError):
    """The request needs a signed-in user."""

    status, code, title = 401, "authentication_required", "Sign in to continue"

    def __init__(self, detail: str | None = None, **fields: object) -> None:
        fields.setdefault("signupUrl", "/auth/signup")
        super().__init__(detail, headers={"WWW-Authenticate": "Bearer"}, **fields)


class TokenInvalid(AppError):
    """The API key or access token is unknown, altered or revoked."""

    status, code, title = 401, "token_invalid", "This key does not work"

    def __init__(self, detail: str) -> None:
        header = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
        super().__init__(detail, headers=header, signupUrl="/auth/signup")


class TokenExpired(TokenInvalid):
    """The API key or access token has ended."""

    status, code, title = 401, "token_expired", "This key has ended"


class Forbidden(AppError):
    """The caller is authenticated and may not do this."""

    status, code, title = 403, "forbidden", "This is not allowed"


class CsrfFailed(AppError):
    """A form without a valid CSRF token."""

    status, code, title = 403, "csrf_failed", "This form has expired"


class NotFound(AppError):
    """The object does not exist or belongs to another user: the answer is the same."""

    status, code, title = 404, "not_found", "There is nothing here"


class Conflict(AppError):
    """The object is in a state that does not allow this."""

    status, code, title = 409, "conflict", "This cannot be done now"


class IdempotencyKeyReused(AppError):
    """An idempotency key was sent again with another body."""

    status, code, title = 409, "idempotency_key_reused", "This key was used for another request"


class IdempotencyInProgress(AppError):
    """A request with this idempotency key is still running."""

    status, code, title = 409, "idempotency_in_progress", "This request is already running"


class PayloadTooLarge(AppError):
    """The body is larger than this route accepts."""

    status, code, title = 413, "payload_too_large", "This is too large"


class UnsupportedMediaType(AppError):
    """The route does not accept this content type."""

    status, code, title = 415, "unsupported_media_type", "This type of content is not accepted"


class ValidationFailed(AppError):
    """One or more fields are invalid; each is named with what is allowed."""

    status, code, title = 422, "validation_failed", "Some fields need another value"

    def __init__(self, errors: Sequence[Mapping[str, str]]) -> None:
        self.errors = [dict(error) for error in errors]
        super().__init__(" ".join(error["message"] for error in self.errors), errors=self.errors)

    @property
    def by_field(self) -> dict[str, str]:
        """The message of each field."""
        return {error["field"]: error["message"] for error in self.errors}

    @classmethod
    def of(cls, field: str, message: str) -> ValidationFailed:
        """Return the error of one field."""
        return cls.of_fields({field: message})

    @classmethod
    def of_fields(cls, messages: Mapping[str, str]) -> ValidationFailed:
        """Return the error of several fields, each with its message."""
        return cls([{"field": field, "message": text} for field, text in messages.items()])

    def renamed(self, names: Mapping[str, str]) -> ValidationFailed:
        """Return the error with other names for fields, or for lists such as ``images.0``."""
        return ValidationFailed(
            [
                {**each, "field": names.get(each["field"].partition(".")[0], each["field"])}
                for each in self.errors
            ]
        )


class RateLimited(AppError):
    """Too many requests from one caller in a short time."""

    status, code, title = 429, "rate_limited", "Too many requests"

    @classmethod
    def after(cls, seconds: float, detail: str, *, limit: int | None = None) -> RateLimited:
        """Return the error with the headers of every rate limit: whole seconds, at least one."""
        wait = str(max(1, math.ceil(seconds)))
        headers = {"RateLimit-Limit": str(limit)} if limit is not None else {}
        headers |= {"Retry-After": wait, "RateLimit-Remaining": "0", "RateLimit-Reset": wait}
        return cls(detail, headers=headers)


class PaymentUnavailable(AppError):
    """Stripe did not answer. Nothing was paid, and the purchase can be tried again."""

    status, code, title = 503, "provider_unavailable", "Payment is not available right now"

    def __init__(self) -> None:
        super().__init__(
            "The payment page could not be opened. You were not charged; try again in a moment.",
            headers={"Retry-After": "30"},
            creditsCharged=0,
        )
