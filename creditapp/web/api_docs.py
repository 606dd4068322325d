"""``/api/docs``: the API's description as a page, rendered from the OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response

from creditapp.http.openapi import describe, documented
from creditapp.http.policies import policy
from creditapp.http.shared_pages import render_shared, send_shared

PAGE = "pages/api_docs/index.html"

pages = Blueprint("api_docs", __name__)


@dataclass(frozen=True)
class Field:
    """A row of a table: a parameter, or a member of an object."""

    name: str
    type: str
    required: bool
    description: str
    place: str = ""


@dataclass(frozen=True)
class Operation:
    """One method of one path."""

    id: str
    group: str
    method: str
    path: str
    summary: str
    callers: str
    """The sentence about who may call it."""
    parameters: list[Field]
    body: list[Field]
    answer: list[Field]
    statuses: list[tuple[str, str]]


@pages.get("/api/docs")
@policy("public")
@documented("The API documentation as a page", str, mime_type="text/html")
def docs() -> Response:
    """Show every operation with its parameters, body and responses."""
    return send_shared(_build_page)


def _build_page() -> str:
    document = describe()
    operations = list(_operations(document))
    groups = sorted({operation.group for operation in operations}, key=_sort_key)
    return render_shared(
        PAGE,
        groups=[
            (group, [operation for operation in operations if operation.group == group])
            for group in groups
        ],
        objects=[
            (name, schema.get("description", ""), _fields(schema))
            for name, schema in document["components"]["schemas"].items()
        ],
        problems=document["x-problems"],
        server=document["servers"][0]["url"],
    )


def _sort_key(group: str) -> tuple[int, str]:
    """Return the sort key of a group: the most used first, the rest by name."""
    order = ("generate", "quotes", "generations", "prices", "credits")
    return (order.index(group) if group in order else len(order), group)


def _operations(document: dict[str, Any]) -> Iterator[Operation]:
    schemas = document["components"]["schemas"]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            responses = operation["responses"]
            yield Operation(
                id=operation["operationId"],
                group=operation["tags"][0],
                method=method.upper(),
                path=path,
                summary=operation["summary"],
                callers=_callers(operation.get("security", [{}])),
                parameters=[
                    Field(
                        name=parameter["name"],
                        type=parameter["schema"]["type"],
                        required=parameter.get("required", False),
                        description=parameter.get("description", ""),
                        place=parameter["in"],
                    )
                    for parameter in operation["parameters"]
                ],
                body=_fields(_content(operation.get("requestBody", {}), schemas)),
                answer=_fields(_content(responses.get("200", {}), schemas)),
                statuses=[
                    (status, response["description"])
                    for status, response in responses.items()
                    if status < "400"
                ],
            )


def _callers(security: list[dict[str, list[str]]]) -> str:
    """Return the sentence about who may call an operation."""
    if {"adminKey": []} in security:
        return "For the operator's key."
    scopes = [scope for each in security for scope in each.get("apiKey", ())]
    by_key = f" or an API key with the scope {scopes[0]}" if scopes else ""
    if {} in security:
        return f"Open to guests, or with a login{by_key}." if by_key else "Open to all."
    return f"With a login{by_key}."


def _content(part: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    """Return the object schema of a body or response, or that of its list's items."""
    contents: dict[str, Any] = part.get("content", {})
    schema: dict[str, Any] = next((content["schema"] for content in contents.values()), {})
    schema = schema.get("items", schema)
    return schemas[_name(schema["$ref"])] if "$ref" in schema else schema


def _fields(schema: dict[str, Any]) -> list[Field]:
    required = schema.get("required", [])
    return [
        Field(name, _type(part), name in required, part.get("description", ""))
        for name, part in schema.get("properties", {}).items()
    ]


def _type(schema: dict[str, Any]) -> str:
    """Return a schema's type in a few words: ``list of Asset``, ``number``, ``one of a, b``."""
    if "$ref" in schema:
        return _name(schema["$ref"])
    if "enum" in schema:
        return f"one of {', '.join(map(str, schema['enum']))}"
    if "anyOf" in schema:
        kinds = [_type(part) for part in schema["anyOf"] if part.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    kind: str = schema.get("format") or schema.get("type", "anything")
    limits = [
        words.format(schema[key])
        for key, words in (
            ("minimum", " from {}"),
            ("maximum", " to {}"),
            ("maxLength", ", at most {} characters"),
        )
        if key in schema
    ]
    return kind + "".join(limits)


def _name(reference: str) -> str:
    return reference.rpartition("/")[2]
