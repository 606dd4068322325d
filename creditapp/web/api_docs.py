"""``/api/docs``: the API's description as a page to read, drawn from the same document."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flask import Blueprint

from creditapp.http.openapi import describe, documented
from creditapp.http.policies import policy
from creditapp.http.rendering import render_page

PAGE = "pages/api_docs/index.html"

pages = Blueprint("api_docs", __name__)


@dataclass(frozen=True)
class Field:
    """One row of a table: a parameter, or a member of an object."""

    name: str
    type: str
    required: bool
    description: str
    place: str = ""


@dataclass(frozen=True)
class Operation:
    """One method of one path, as the page shows it."""

    id: str
    group: str
    method: str
    path: str
    summary: str
    members_only: bool
    parameters: list[Field]
    body: list[Field]
    answer: list[Field]
    statuses: list[tuple[str, str]]


@pages.get("/api/docs")
@policy("public")
@documented("This API as a page to read", str, mime_type="text/html")
def docs() -> str:
    """Show what can be called, with what, and what comes back."""
    document = describe()
    operations = list(_operations(document))
    groups = sorted({operation.group for operation in operations}, key=_place)
    return render_page(
        PAGE,
        groups=[(group, [each for each in operations if each.group == group]) for group in groups],
        objects=[
            (name, schema.get("description", ""), _fields(schema))
            for name, schema in document["components"]["schemas"].items()
        ],
        problems=document["x-problems"],
        server=document["servers"][0]["url"],
    )


def _place(group: str) -> tuple[int, str]:
    """Return where a group stands: what people come for first, the rest by name."""
    order = ("generations", "prices", "credits")
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
                members_only="security" in operation,
                parameters=[
                    Field(
                        name=each["name"],
                        type=each["schema"]["type"],
                        required=each.get("required", False),
                        description=each.get("description", ""),
                        place=each["in"],
                    )
                    for each in operation["parameters"]
                ],
                body=_fields(_content(operation.get("requestBody", {}), schemas)),
                answer=_fields(_content(responses.get("200", {}), schemas)),
                statuses=[
                    (status, response["description"])
                    for status, response in responses.items()
                    if status != "default"
                ],
            )


def _content(part: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    """Return the object that a body or an answer is, or the one that its list holds."""
    contents: dict[str, Any] = part.get("content", {})
    schema: dict[str, Any] = next((each["schema"] for each in contents.values()), {})
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
        return f"one of {', '.join(schema['enum'])}"
    if "anyOf" in schema:
        kinds = [_type(each) for each in schema["anyOf"] if each.get("type") != "null"]
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
