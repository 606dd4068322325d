"""OpenAPI 3.1, drawn from the models that the routes read and answer with."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

from flask import current_app
from pydantic import BaseModel, TypeAdapter

from creditapp.config import Settings
from creditapp.errors import AppError
from creditapp.http.policies import policy_of
from creditapp.http.problems import Problem
from creditapp.services import get

View = TypeVar("View", bound=Callable[..., Any])

JSON = "application/json"
_REFERENCE = "#/components/schemas/{model}"
_PROBLEM = {"application/problem+json": {"schema": {"$ref": _REFERENCE.format(model="Problem")}}}

_OWN_MODULES = ("openapi", "api_docs")
_BODILESS = (204, 303)

HEADERS = {
    "Idempotency-Key": "1 to 100 printable ASCII letters of your own. The same key and body again "
    "give the first answer, with Idempotent-Replayed: true; another body gives 409.",
    "Stripe-Signature": "Stripe's own, over the body as it was sent, not older than 5 minutes.",
    "x-admin-key": "The operator's key, ADMIN_API_KEY.",
    "Prefer": "wait=N waits at most N seconds for the end, 30 without it; respond-async answers "
    "202 at once.",
}
QUERY = {
    "currency": "One in which every pack is sold; the catalog's own without it.",
    "cursor": "The nextCursor of the page before.",
    "dryRun": "1 only says what would change.",
    "flow": "card, cancel or plan: leads straight there.",
    "limit": "How many, from 1 to 100.",
    "type": "One of PURCHASE, CREDIT, DEBIT, REFUND, EXPIRY.",
}


@dataclass(frozen=True)
class Documentation:
    """What a route says of itself."""

    summary: str
    answer: Any
    body: type[BaseModel] | None = None
    query: Sequence[str] = ()
    headers: Sequence[str] = ()
    also: Mapping[int, str] = field(default_factory=dict)
    mime_type: str = JSON


def documented(
    summary: str,
    answer: Any,
    *,
    body: type[BaseModel] | None = None,
    query: Sequence[str] = (),
    headers: Sequence[str] = (),
    also: Mapping[int, str] | None = None,
    mime_type: str = JSON,
) -> Callable[[View], View]:
    """Put a route into the API's description; ``also`` are further statuses that are no errors."""

    def mark(view: View) -> View:
        view.documentation = Documentation(  # type: ignore[attr-defined]  # read below
            summary, answer, body, query, headers, also or {}, mime_type
        )
        return view

    return mark


def describe() -> dict[str, Any]:
    """Return the OpenAPI document of the current app."""
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = dict(_schema(Problem)[1])
    for rule in current_app.url_map.iter_rules():
        view = current_app.view_functions[rule.endpoint]
        documentation: Documentation | None = getattr(view, "documentation", None)
        if documentation is None:
            continue
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            operation, used = _operation(rule.endpoint, rule.arguments, documentation)
            module = view.__module__.rpartition(".")[2]
            operation["tags"] = ["this document" if module in _OWN_MODULES else module]
            paths.setdefault(path, {})[method.lower()] = operation
            schemas.update(used)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": get(Settings).site_name,
            "version": "1",
            "description": "Credits are plain numbers with at most 6 decimals, times RFC 3339 in "
            "UTC, ids opaque. A refusal is application/problem+json.",
        },
        "servers": [{"url": get(Settings).site_url}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {
                "session": {"type": "apiKey", "in": "cookie", "name": "creditapp_session"}
            },
        },
        "x-problems": [
            {"status": kind.status, "code": kind.code, "title": kind.title} for kind in problems()
        ],
    }


class MethodNotAllowed(AppError):
    """What the router answers; here for its place in the list."""

    status, code, title = 405, "method_not_allowed", "Method Not Allowed"


def problems() -> list[type[AppError]]:
    """Return one class of each code that a refusal may carry, by status."""
    found = {kind.code: kind for kind in reversed(list(_kinds(AppError)))}
    return sorted(found.values(), key=lambda kind: (kind.status, kind.code))


def _kinds(kind: type[AppError]) -> Iterator[type[AppError]]:
    if "<locals>" not in kind.__qualname__:
        yield kind
    for narrower in kind.__subclasses__():
        yield from _kinds(narrower)


def _operation(
    endpoint: str, arguments: set[str], documentation: Documentation
) -> tuple[dict[str, Any], dict[str, Any]]:
    schema, schemas = _schema(documentation.answer)
    done = {documentation.mime_type: {"schema": schema}}
    answered = {"description": "Done", "content": done}
    operation: dict[str, Any] = {
        "operationId": endpoint.rpartition(".")[2],
        "summary": documentation.summary,
        "parameters": list(_parameters(arguments, documentation)),
        "responses": {
            **({} if documentation.answer is None else {"200": answered}),
            **{
                str(status): {
                    "description": text,
                    **({} if status in _BODILESS else {"content": done}),
                }
                for status, text in documentation.also.items()
            },
            "default": {"description": "Refused", "content": _PROBLEM},
        },
    }
    if policy_of(current_app, endpoint) == "user":
        operation["security"] = [{"session": []}]
    if documentation.body is not None:
        body, used = _schema(documentation.body)
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": body}}}
        schemas = {**schemas, **used}
    return operation, schemas


def _parameters(arguments: set[str], documentation: Documentation) -> Iterator[dict[str, Any]]:
    for name in sorted(arguments):
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
    for place, names, texts in (
        ("query", documentation.query, QUERY),
        ("header", documentation.headers, HEADERS),
    ):
        for name in names:
            schema = {"type": "integer" if name == "limit" else "string"}
            yield {"name": name, "in": place, "description": texts[name], "schema": schema}


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _schema(kind: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a type's schema as a reference where it has a name, and the schemas it needs."""
    schema = _adapter(kind).json_schema(ref_template=_REFERENCE, by_alias=True)
    schemas = schema.pop("$defs", {})
    if "properties" in schema and "title" in schema:
        name = schema["title"]
        return {"$ref": _REFERENCE.format(model=name)}, {**schemas, name: schema}
    return schema, schemas
