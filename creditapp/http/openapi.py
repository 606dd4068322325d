"""OpenAPI 3.1, generated from the schemas of the routes' bodies and responses."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import cache
from typing import Any, TypeVar

from flask import current_app
from pydantic import TypeAdapter

from creditapp.agents.discovery import payment_info
from creditapp.config import Settings
from creditapp.errors import AppError
from creditapp.http.policies import ANY_SCOPE, policy_of, scope_of
from creditapp.http.problems import Problem
from creditapp.http.sessions import SESSION_COOKIE, cookie_name
from creditapp.services import get

View = TypeVar("View", bound=Callable[..., Any])

JSON = "application/json"
_REFERENCE = "#/components/schemas/{model}"
_PROBLEM = {"application/problem+json": {"schema": {"$ref": _REFERENCE.format(model="Problem")}}}

_FILE = {"type": "string", "format": "binary"}
_FILE_BODY = {
    "application/octet-stream": {"schema": _FILE},
    "multipart/form-data": {
        "schema": {"type": "object", "properties": {"file": _FILE}, "required": ["file"]}
    },
}

_OWN_MODULES = ("openapi", "api_docs")
_WITHOUT_BODY = (204, 303)

HEADERS = {
    "Authorization": "Bearer and the token of CREDITAPP_METRICS_TOKEN, where one is set.",
    "Idempotency-Key": "1-100 printable ASCII characters. The same key and body return the first "
    "response, with Idempotent-Replayed: true; another body returns 409.",
    "X-Max-Credits": "The most that the request may cost; above it 402 max_credits_exceeded, and "
    "nothing is charged. The body's maxCredits says the same.",
    "MCP-Protocol-Version": "The version that initialize agreed on; 2025-03-26 without it.",
    "PAYMENT-SIGNATURE": "A payment of x402 version 2 for the PAYMENT-REQUIRED of the 402.",
    "Stripe-Signature": "Stripe's signature of the raw body, at most 5 minutes old.",
    "x-openai-api-key": "In place of the stored OpenAI key, of a member who pays with own keys.",
    "x-anthropic-api-key": "In place of the stored Anthropic key, likewise.",
    "x-admin-key": "The operator's key: ADMIN_API_KEY.",
    "Prefer": "wait=N waits at most N seconds for the result, 30 by default; respond-async returns "
    "202 at once.",
}
ANSWER_HEADERS = {
    "Idempotent-Replayed": "true, where an earlier request with the same key made this.",
    "PAYMENT-RESPONSE": "How a payment of x402 was settled.",
    "Payment-Receipt": "How a payment of the Payment scheme was settled.",
    "X-Credits-Cost": "Credits that a member is charged; with 202 the most that it will be.",
    "X-Credits-Held": "Credits held while the answer is written: the most that it can cost.",
    "X-Credits-Remaining": "Credits that a member can spend.",
    "X-Receipt": "The receipt of a payment that came with the request: a bearer secret.",
    "X-Usage-Id": "The id of the usage record, by which the answer can be stopped.",
}
QUERY = {
    "currency": "An ISO 4217 code that the packs are sold in; the catalog's currency by default.",
    "cursor": "The nextCursor of the previous page.",
    "dryRun": "1 returns the changes without making them.",
    "flow": "card, cancel or plan: the part of the portal to open.",
    "limit": "The number of items, 1-100.",
    "type": "One of PURCHASE, CREDIT, DEBIT, REFUND, EXPIRY.",
}


@dataclass(frozen=True)
class Documented:
    """Decorator that documents a route in the API's description."""

    summary: str
    response: Any
    _: KW_ONLY
    body: Any = None
    """A schema, or a union of several."""
    query: Sequence[str] = ()
    headers: Sequence[str] = ()
    answer_headers: Sequence[str] = ()
    """Headers of the successful responses, where they apply."""
    also: Mapping[int, str] = field(default_factory=dict)
    """Further statuses that are no errors."""
    mime_type: str = JSON
    status: int = 200
    streams: bool = False
    """Whether the answer may also be a stream of server-sent events."""
    sells_credits: bool = False
    """Whether programs pay for it by signed payments, where the site takes them."""
    takes_file: bool = False
    """Whether the body is a file, or a form with a part ``file``."""
    takes_form: bool = False
    """Whether the body is sent as a multipart form."""
    error: Any = None
    """The schema of its errors, where they are no problem objects."""

    def __call__(self, view: View) -> View:
        """Add the documentation to the view."""
        view.documentation = self  # type: ignore[attr-defined]  # read by describe
        return view


documented = Documented


def describe() -> dict[str, Any]:
    """Return the OpenAPI document of the current app."""
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = dict(_schema(Problem)[1])
    for rule in current_app.url_map.iter_rules():
        view = current_app.view_functions[rule.endpoint]
        documentation: Documented | None = getattr(view, "documentation", None)
        within_api = f"api.{rule.endpoint.partition('.')[2]}" in current_app.view_functions
        if documentation is None or (rule.endpoint.startswith("agents.") and within_api):
            continue  # the second is the same route again, without /api
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            operation, used = _operation(rule.endpoint, rule.arguments, documentation)
            module = view.__module__.rpartition(".")[2]
            operation["tags"] = ["this document" if module in _OWN_MODULES else module]
            paths.setdefault(path, {})[method.lower()] = operation
            schemas.update(used)
    session_cookie = cookie_name(SESSION_COOKIE, get(Settings))
    return {
        "openapi": "3.1.0",
        "info": {
            "title": get(Settings).site_name,
            "version": "1",
            "description": "Credits are numbers with at most 6 decimals, times are RFC 3339 in "
            "UTC, ids are opaque strings. Errors are application/problem+json.",
        },
        "servers": [{"url": get(Settings).site_url}],
        "x-service-info": {
            "categories": ["media", "compute"],
            "docs": {
                "homepage": get(Settings).site_url,
                "apiReference": f"{get(Settings).site_url}/api/docs",
                "llms": f"{get(Settings).site_url}/llms.txt",
            },
        },
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {
                "session": {"type": "apiKey", "in": "cookie", "name": session_cookie},
                "apiKey": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API key (cak_...) with the named scope; on the routes of "
                    "the scope spend also an access token (cat_...).",
                },
                "adminKey": {"type": "apiKey", "in": "header", "name": "x-admin-key"},
            },
        },
        "x-problems": [
            {"status": kind.status, "code": kind.code, "title": kind.title} for kind in problems()
        ],
    }


class MethodNotAllowed(AppError):
    """The router's own refusal, as it is listed among the others."""

    status, code, title = 405, "method_not_allowed", "Method Not Allowed"


def problems() -> list[type[AppError]]:
    """Return one class for each error code, ordered by status."""
    by_code = {kind.code: kind for kind in reversed(list(_kinds(AppError)))}
    return sorted(by_code.values(), key=lambda kind: (kind.status, kind.code))


def _kinds(kind: type[AppError]) -> Iterator[type[AppError]]:
    if "<locals>" not in kind.__qualname__:
        yield kind
    for subclass in kind.__subclasses__():
        yield from _kinds(subclass)


def _operation(
    endpoint: str, arguments: set[str], documentation: Documented
) -> tuple[dict[str, Any], dict[str, Any]]:
    schema, schemas = _schema(documentation.response)
    success: dict[str, Any] = {
        "description": "Success",
        "content": {documentation.mime_type: {"schema": schema}},
    }
    if documentation.streams:
        success["content"]["text/event-stream"] = {"schema": {"type": "string"}}
    if documentation.answer_headers:
        success["headers"] = {
            name: {"description": ANSWER_HEADERS[name], "schema": {"type": "string"}}
            for name in documentation.answer_headers
        }
    operation: dict[str, Any] = {
        "operationId": endpoint.rpartition(".")[2],
        "summary": documentation.summary,
        "parameters": list(_parameters(arguments, documentation)),
        "responses": {
            **({} if documentation.response is None else {str(documentation.status): success}),
            **{
                str(status): {**({} if status in _WITHOUT_BODY else success), "description": text}
                for status, text in documentation.also.items()
            },
            "default": {"description": "Error", "content": _PROBLEM},
        },
    }
    if documentation.error is not None:
        error, used = _schema(documentation.error)
        operation["responses"]["default"]["content"] = {JSON: {"schema": error}}
        schemas = {**schemas, **used}
    if security := list(_security(endpoint)):
        operation["security"] = security
    if documentation.body is not None:
        body, used = _schema(documentation.body)
        content_type = "multipart/form-data" if documentation.takes_form else JSON
        operation["requestBody"] = {"required": True, "content": {content_type: {"schema": body}}}
        schemas = {**schemas, **used}
    if documentation.sells_credits and (payment := payment_info()):
        operation["x-payment-info"] = payment
    if documentation.takes_file:
        operation["requestBody"] = {"required": True, "content": _FILE_BODY}
    return operation, schemas


def _security(endpoint: str) -> Iterator[dict[str, list[str]]]:
    """Yield each way to call an endpoint; an empty one is without any."""
    name, scope = policy_of(current_app, endpoint), scope_of(current_app, endpoint)
    if name == "key":
        yield {"adminKey": []}
    if name == "user" or scope is not None:
        yield {"session": []}
    if scope is not None:
        yield {"apiKey": [] if scope == ANY_SCOPE else [scope]}
    if name == "public" and scope is not None:
        yield {}


def _parameters(arguments: set[str], documentation: Documented) -> Iterator[dict[str, Any]]:
    for name in sorted(arguments):
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
    for location, names, texts in (
        ("query", documentation.query, QUERY),
        ("header", documentation.headers, HEADERS),
    ):
        for name in names:
            schema = {"type": "integer" if name == "limit" else "string"}
            yield {"name": name, "in": location, "description": texts[name], "schema": schema}


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _schema(kind: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a type's schema, as a reference if it has a name, and the schemas it refers to."""
    schema = _adapter(kind).json_schema(ref_template=_REFERENCE, by_alias=True)
    schemas = schema.pop("$defs", {})
    if "properties" in schema and "title" in schema:
        name = schema["title"]
        return {"$ref": _REFERENCE.format(model=name)}, {**schemas, name: schema}
    return schema, schemas
