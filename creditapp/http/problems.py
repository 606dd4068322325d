"""The error handler: renders an error as problem+json, as a component for HTMX, or as a page."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Any

import structlog
from flask import Flask, Response, current_app, g, make_response, redirect, request, url_for
from flask_limiter.errors import RateLimitExceeded
from pydantic import Field
from werkzeug.exceptions import (
    HTTPException,
    InternalServerError,
    MethodNotAllowed,
    RequestEntityTooLarge,
)
from werkzeug.wrappers import Response as AnyResponse

from creditapp.clock import rfc3339
from creditapp.config import Settings
from creditapp.errors import (
    AppError,
    AuthenticationRequired,
    NotFound,
    PayloadTooLarge,
    PaymentUnavailable,
    ValidationFailed,
)
from creditapp.http import mistakes
from creditapp.http.json_provider import json_response
from creditapp.http.openai_errors import error_response, is_below_v1
from creditapp.http.problem_view import problem_view
from creditapp.http.rate_limiting import rate_limited
from creditapp.http.rendering import Components, render_block, render_page, wants_fragment
from creditapp.http.schemas import Credits, Moment, Schema
from creditapp.ledger import InsufficientCredits
from creditapp.logs import error_fields
from creditapp.payments.stripe.records import GatewayError
from creditapp.services import get

log = structlog.get_logger(__name__)


class FieldError(Schema):
    """One field with an invalid value."""

    field: str
    message: str


class Problem(Schema):
    """An error as RFC 9457 defines it; the members after ``error`` belong to single codes."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    error: str = Field(description="The same as detail, for older clients.")
    request_id: str | None = None
    support_email: str | None = None
    errors: list[FieldError] | None = None
    required: Credits | None = None
    balance: Credits | None = None
    shortfall: Credits | None = None
    packs_url: str | None = None
    plans_url: str | None = None
    limit: float | None = None
    remaining: int | None = None
    reset_at: Moment | None = None
    signup_url: str | None = None
    signup_credits: Credits | None = None
    credits_charged: Credits | None = None
    generation_id: str | None = None


def init_app(app: Flask) -> None:
    """Handle every error of every route."""
    app.register_error_handler(AppError, refuse)
    app.register_error_handler(GatewayError, lambda error: refuse(app_error(error)))
    app.register_error_handler(HTTPException, _refuse_http)
    app.register_error_handler(Exception, _fail)


def refuse(error: AppError) -> AnyResponse:
    """Return the response for an error, in the form that the caller reads."""
    if wants_json():
        return _problem_json(error)
    if isinstance(error, AuthenticationRequired) and _can_log_in_first():
        return redirect(url_for("auth.log_in", next=request.full_path.rstrip("?")), 303)
    problem = problem_view(error)
    if wants_fragment():
        body = render_block("layouts/fragments.html", "problem", problem=problem)
    else:
        body = render_page("errors/problem.html", problem=problem)
    response = make_response(body, error.status)
    response.headers.update(error.headers)
    response.headers["Vary"] = "HX-Request"
    return response


def app_error(error: AppError | GatewayError) -> AppError:
    """Return the error that the caller sees: a failure of Stripe has nothing to read in it."""
    if not isinstance(error, GatewayError):
        return error
    # Not its text, in which Stripe may quote what it was sent.
    write = log.error if error.permanent else log.warning
    write("stripe request failed", error_code=error.code, param=error.param)
    return PaymentUnavailable()


def form_page(
    template: str, refusal: AppError | None = None, /, status: int = 200, **context: Any
) -> Response:
    """Return the page of a form, with the errors of each field, or the problem, of a refusal."""
    errors, problem, headers = {}, None, {}
    if isinstance(refusal, ValidationFailed):
        errors = refusal.by_field
    elif refusal is not None:
        problem = problem_view(refusal)
    if refusal is not None:
        status, headers = refusal.status, refusal.headers
    page = render_page(template, **{"errors": errors, "problem": problem, **context})
    return make_response(page, status, headers)


def _can_log_in_first() -> bool:
    """Whether the request only opens a page, which opens again after logging in."""
    return request.method == "GET" and not wants_fragment()


def wants_json() -> bool:
    """Whether the caller is a program: it accepts JSON first, or calls a route of the API."""
    if request.path.startswith("/api/") or is_for_programs() or is_below_v1():
        return True
    best = request.accept_mimetypes.best_match(
        ["text/html", "application/json", "application/problem+json"], "text/html"
    )
    return best != "text/html"


def is_for_programs() -> bool:
    """Whether the request's route is one of the API's, below ``/api`` or not."""
    endpoints = [request.endpoint] if request.endpoint else _endpoints_of_other_methods()
    views = (current_app.view_functions.get(endpoint) for endpoint in endpoints)
    return any(hasattr(view, "documentation") for view in views)


def _endpoints_of_other_methods() -> list[str]:
    """Return what the address leads to by the methods that it accepts, if not by the request's."""
    wrong, adapter = request.routing_exception, current_app.create_url_adapter(request)
    if not isinstance(wrong, MethodNotAllowed) or adapter is None:
        return []
    methods = set(wrong.valid_methods or ()) - {"OPTIONS", "HEAD"}
    return [adapter.match(method=method)[0] for method in methods]


def _problem_json(error: AppError) -> Response:
    if is_below_v1():
        return error_response(error, problem_members(error))
    response = json_response(problem_members(error), error.status, dict(error.headers))
    response.content_type = "application/problem+json"
    return response


def problem_members(error: AppError) -> dict[str, object]:
    """Return the members of an error's JSON."""
    settings = get(Settings)
    problem: dict[str, object] = {
        "type": f"{settings.site_url}/api/docs#{error.code}",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "code": error.code,
        "error": error.detail,
        "requestId": g.get("request_id", ""),
    }
    if settings.support_email:
        problem["supportEmail"] = settings.support_email
    if isinstance(error, InsufficientCredits):
        # The ledger knows no pages, so the links to buy are added here.
        problem |= {"packsUrl": "/credits", "plansUrl": "/credits"}
    for name, value in error.fields.items():
        problem[name] = rfc3339(value) if isinstance(value, datetime) else value
    return problem


def _refuse_http(error: HTTPException) -> AnyResponse:
    if isinstance(error, RateLimitExceeded):
        return refuse(rate_limited(error))
    if isinstance(error, InternalServerError):
        # Rendering the error failed too, most likely because the database does not answer.
        return _fail(error.original_exception or error)
    if isinstance(error, RequestEntityTooLarge):
        return refuse(PayloadTooLarge("The request body is too large."))
    if error.code == HTTPStatus.NOT_FOUND:
        return refuse(NotFound("The address may be mistyped, or what was here was deleted."))
    if error.code is not None and 300 <= error.code < 400:
        return error.get_response()
    return refuse(_of_status(error))


def _of_status(error: HTTPException) -> AppError:
    """Return a werkzeug error as an error of ours with the same status."""
    status = HTTPStatus(error.code or 500)

    class Refusal(AppError):
        pass

    Refusal.status = status.value
    Refusal.code = "malformed_request" if status == 400 else status.name.lower()
    Refusal.title = status.phrase
    allowed = getattr(error, "valid_methods", None)
    refusal = Refusal(status.description or status.phrase)
    if allowed:
        refusal.headers["Allow"] = ", ".join(allowed)
        refusal.detail = f"This address accepts only {' and '.join(sorted(allowed))}."
        if request.method == "GET" and not wants_json():
            # A refused form leaves its address in the browser, where a person opens it.
            Refusal.title = "There is no page here"
            refusal.detail = "Only a form of another page uses this address."
    return refusal


def _fail(error: BaseException) -> AnyResponse:
    # The log gets the traceback with the request's id; the caller gets only the id.
    log.error("request failed", **error_fields(error))
    refusal = AppError("Something went wrong here. Nothing was charged by this request.")
    if wants_json():
        return _problem_json(refusal)
    mistake = mistakes.find(error) if mistakes.shown() else None
    # Both must work without the database, so they read only settings.
    if wants_fragment() and mistake:
        return make_response(mistakes.draw(mistake), refusal.status)
    if wants_fragment():
        component = Components(current_app.jinja_env).problem(problem_view(refusal))
        return make_response(component, refusal.status)
    settings = get(Settings)
    template = current_app.jinja_env.get_template("errors/500.html")
    page = template.render(
        request_id=g.get("request_id", ""),
        support_email=settings.support_email,
        site_name=settings.site_name,
        mistake=mistakes.draw(mistake) if mistake else None,
    )
    return make_response(page, 500)
