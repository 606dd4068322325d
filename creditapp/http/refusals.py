"""The errors that a route may answer with: those of its policy and body, and its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from flask import Flask
from werkzeug.routing import Rule

from creditapp.errors import (
    AppError,
    AuthenticationRequired,
    Conflict,
    CsrfFailed,
    Forbidden,
    IdempotencyInProgress,
    IdempotencyKeyReused,
    MalformedRequest,
    NotFound,
    PayloadTooLarge,
    PaymentUnavailable,
    RateLimited,
    TokenExpired,
    TokenInvalid,
    UnsupportedMediaType,
    ValidationFailed,
)
from creditapp.http.body_reader import RequestTimeout
from creditapp.http.documented import Documented, documentation_of
from creditapp.http.policies import SAFE_METHODS, policy_of, scope_of
from creditapp.http.rate_limiting import is_limited
from creditapp.http.stripe_requests import declares_stripe
from creditapp.ledger import AccountFrozen, BudgetExceeded, InsufficientCredits, MaxCreditsExceeded

OF_EVERY_ROUTE: Final[tuple[type[AppError], ...]] = (MalformedRequest, AppError)
OF_SPENDING: Final = (InsufficientCredits, BudgetExceeded, MaxCreditsExceeded, AccountFrozen)
_OF_A_BODY: Final = (PayloadTooLarge, RequestTimeout)
_OF_A_KEY: Final = (IdempotencyKeyReused, IdempotencyInProgress, ValidationFailed)


def refusals_of(app: Flask, rule: Rule, method: str) -> list[type[AppError]]:
    """Return one class for each code that a method of a route may be refused with, by status."""
    documentation = documentation_of(app.view_functions[rule.endpoint])
    kinds: list[type[AppError]] = list(OF_EVERY_ROUTE)
    if documentation is not None:
        if policy_of(app, rule.endpoint) != "signature":
            kinds += _of_input(documentation)
        if declares_stripe(app, rule.endpoint):
            kinds += [PaymentUnavailable]
        kinds += documentation.refuses
    kinds += _of_policy(app, rule.endpoint, method)
    if is_limited(app, rule.endpoint):
        kinds += [RateLimited]
    if method not in SAFE_METHODS:
        kinds += _OF_A_BODY
    if rule.arguments:
        kinds += [NotFound]
    # Of classes with the same code the first one is described.
    by_code = {(kind.status, kind.code): kind for kind in reversed(kinds)}
    return sorted(by_code.values(), key=lambda kind: (kind.status, kind.code))


def _of_policy(app: Flask, endpoint: str, method: str) -> Iterator[type[AppError]]:
    name, scope = policy_of(app, endpoint), scope_of(app, endpoint)
    match name:
        case "user" | "admin":
            yield from (AuthenticationRequired, Forbidden)
        case "key":
            yield from (AuthenticationRequired, NotFound)
    if scope is not None:
        yield from (TokenInvalid, TokenExpired, Forbidden)
    if method not in SAFE_METHODS and name not in ("key", "signature"):
        yield CsrfFailed


def _of_input(documentation: Documented) -> Iterator[type[AppError]]:
    if documentation.body is not None:
        yield from (UnsupportedMediaType, ValidationFailed)
    if documentation.takes_file:
        yield from (UnsupportedMediaType, ValidationFailed)
    if documentation.query:
        yield ValidationFailed
    if "Idempotency-Key" in documentation.headers:
        yield from (*_OF_A_KEY, Conflict)
    if "X-Max-Credits" in documentation.headers:
        yield from (*OF_SPENDING, ValidationFailed)
