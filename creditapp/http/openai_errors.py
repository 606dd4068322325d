"""Errors below ``/v1``: in OpenAI's envelope, with the codes of every other answer."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Response, request
from pydantic import BaseModel, Field

from creditapp.errors import AppError, ValidationFailed
from creditapp.generation.providers import ProviderError
from creditapp.http.json_provider import json_response
from creditapp.http.schemas import Credits, Moment, Schema

PREFIX = "/v1"

_TYPES = {
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    409: "conflict_error",
    429: "rate_limit_error",
}
_REPEATABLE_CODES = ("rate_limited", "idempotency_in_progress", "request_timeout")
"""Refusals that ended before anything was held: the SDKs may repeat the request by themselves."""

_LEFT_OUT = frozenset(("type", "title", "status", "detail", "error", "errors"))
"""Members of a problem that the envelope has in another form."""


class OpenAIErrorDetail(Schema):
    """An error with its code; the members after ``code`` belong to single codes."""

    message: str
    type: str
    param: str | None = Field(description="The parameter that it is about.")
    code: str
    request_id: str | None = None
    support_email: str | None = None
    required: Credits | None = None
    balance: Credits | None = None
    shortfall: Credits | None = None
    packs_url: str | None = None
    plans_url: str | None = None
    limit: float | None = None
    reset_at: Moment | None = None
    signup_url: str | None = None
    credits_charged: Credits | None = None
    generation_id: str | None = None


class OpenAIError(BaseModel):
    """An error as OpenAI's clients read it."""

    error: OpenAIErrorDetail


def is_below_v1() -> bool:
    """Whether the request's address is one of OpenAI's shape."""
    return request.path == PREFIX or request.path.startswith(f"{PREFIX}/")


def envelope(error: AppError, problem: Mapping[str, object] | None = None) -> dict[str, object]:
    """Return an error in OpenAI's envelope, with the further members of its problem object."""
    members: dict[str, object] = {
        "message": error.detail,
        "type": _TYPES.get(error.status, "invalid_request_error"),
        "param": _param(error),
        "code": error.code,
    }
    if error.status >= 500:
        members["type"] = "server_error"
    further = problem if problem is not None else error.fields
    kept = {name: value for name, value in further.items() if name not in _LEFT_OUT}
    return {"error": {**kept, **members}}


def error_response(error: AppError, problem: Mapping[str, object]) -> Response:
    """Return the response of an error, and say whether a client may repeat it by itself."""
    headers = dict(error.headers)
    headers["x-should-retry"] = "true" if _may_be_repeated(error) else "false"
    if error.code == "idempotency_in_progress":
        headers.setdefault("Retry-After", "2")
    return json_response(envelope(error, problem), error.status, headers)


def _param(error: AppError) -> str | None:
    if isinstance(error, ValidationFailed) and error.errors:
        return error.errors[0]["field"]
    param = error.fields.get("param")
    return param if isinstance(param, str) else None


def _may_be_repeated(error: AppError) -> bool:
    """Whether repeating the request pays nothing twice; the SDKs do so twice without asking."""
    if error.code in _REPEATABLE_CODES:
        return True
    if error.status < 500:
        return False
    if isinstance(error, ProviderError) and (error.permanent or error.may_have_charged):
        return error.code == "generation_timeout" and _has_key()
    return request.method == "GET" or _has_key()


def _has_key() -> bool:
    return "Idempotency-Key" in request.headers
