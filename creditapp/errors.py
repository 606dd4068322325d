"""Refusals: one class each, with its status, its code and the words for people.

A module defines the refusals that are its own; the ones here belong to every door. The one error
handler in ``web/errors.py`` renders them as problem+json, as a component, or as a page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar


class AppError(Exception):
    """A refusal that the outside may see: nothing secret belongs into its text or fields."""

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
        """The extra members of the problem+json object, by their JSON names."""
        self.headers = dict(headers or {})


class MalformedRequest(AppError):
    """The body is not what its content type says."""

    status, code, title = 400, "malformed_request", "The request could not be read"


class AuthenticationRequired(AppError):
    """Nobody is signed in, and this needs somebody."""

    status, code, title = 401, "authentication_required", "Sign in to continue"

    def __init__(self, detail: str | None = None, **fields: object) -> None:
        fields.setdefault("signupUrl", "/auth/signup")
        super().__init__(detail, headers={"WWW-Authenticate": "Bearer"}, **fields)


class Forbidden(AppError):
    """The caller is known and may not do this."""

    status, code, title = 403, "forbidden", "This is not allowed"


class CsrfFailed(AppError):
    """A form came without the token that proves it is ours."""

    status, code, title = 403, "csrf_failed", "This form has expired"


class NotFound(AppError):
    """There is no such thing, or it belongs to somebody else: the two look the same."""

    status, code, title = 404, "not_found", "Not found"


class Conflict(AppError):
    """The thing is in a state that does not allow this."""

    status, code, title = 409, "conflict", "This cannot be done now"


class IdempotencyKeyReused(AppError):
    """The same key came with another body."""

    status, code, title = 409, "idempotency_key_reused", "This key was used for another request"


class IdempotencyInProgress(AppError):
    """The same request is being worked on right now."""

    status, code, title = 409, "idempotency_in_progress", "This request is already running"


class PayloadTooLarge(AppError):
    """The body is larger than this route reads."""

    status, code, title = 413, "payload_too_large", "This is too large"


class UnsupportedMediaType(AppError):
    """The body's content type is not one that this route reads."""

    status, code, title = 415, "unsupported_media_type", "This type of content is not accepted"


class ValidationFailed(AppError):
    """One or more fields are wrong; each is named with what would be right."""

    status, code, title = 422, "validation_failed", "Some fields need another value"

    def __init__(self, errors: Sequence[Mapping[str, str]], detail: str | None = None) -> None:
        self.errors = [dict(error) for error in errors]
        super().__init__(
            detail or " ".join(error["message"] for error in self.errors), errors=self.errors
        )

    @classmethod
    def of(cls, field: str, message: str) -> ValidationFailed:
        """Return the refusal of one field."""
        return cls([{"field": field, "message": message}])


class RateLimited(AppError):
    """Too many requests from one place in a short time."""

    status, code, title = 429, "rate_limited", "Too many requests"
