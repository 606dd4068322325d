"""The reference of the API: every operation of the OpenAPI document, as the page shows it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from creditapp.web.view_models.api_samples import Call, Sample, plain, samples_of

_FILE = "application/octet-stream"


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
    answer: str
    """The name of the object that is answered, which the page has once."""
    statuses: list[tuple[str, str]]
    samples: list[Sample]
    example: str
    """An answer, as JSON."""

    @property
    def can_be_tried(self) -> bool:
        """Whether a call from the page makes sense: it needs no file and no signature."""
        return bool(self.samples) and not any("@photo.png" in each.text for each in self.samples)


class Reference:
    """The parts of the document that the page shows."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self._schemas: dict[str, Any] = document["components"]["schemas"]
        self._bodies = {
            _name_of(operation.get("requestBody", {}))
            for methods in document["paths"].values()
            for operation in methods.values()
        }

    def groups(self) -> list[tuple[str, str, list[Operation]]]:
        """Return name, description and operations of each group, in the document's order."""
        operations = list(self._operations())
        return [
            (
                tag["name"],
                tag["description"],
                [each for each in operations if each.group == tag["name"]],
            )
            for tag in self._document["tags"]
        ]

    def objects(self) -> list[tuple[str, str, list[Field]]]:
        """Return the name, the description and the members of each object.

        The members of a body are beside its call.
        """
        return [
            (name, schema.get("description", ""), self._fields(schema))
            for name, schema in self._schemas.items()
            if name not in self._bodies
        ]

    def _operations(self) -> Iterator[Operation]:
        for path, methods in self._document["paths"].items():
            for method, operation in methods.items():
                yield self._operation(method.upper(), path, operation)

    def _operation(self, method: str, path: str, operation: dict[str, Any]) -> Operation:
        responses = {
            status: self._resolved(response) for status, response in operation["responses"].items()
        }
        good = next((responses[each] for each in ("200", "201", "202") if each in responses), {})
        contents = operation.get("requestBody", {}).get("content", {})
        security = operation.get("security", [{}])
        parameters = [
            Field(
                name=each["name"],
                type=_type(each["schema"]),
                required=each.get("required", False),
                description=each.get("description", ""),
                place=each["in"],
            )
            for each in operation["parameters"]
        ]
        call = Call(
            method,
            path,
            _caller(security),
            body=_example(contents),
            takes_file=_FILE in contents,
            takes_form=list(contents) == ["multipart/form-data"],
            takes_idempotency_key=any(each.name == "Idempotency-Key" for each in parameters),
        )
        return Operation(
            id=re.sub(r"[^a-z0-9]+", "-", f"{method} {path}".lower()).strip("-"),
            group=operation["tags"][0],
            method=method,
            path=path,
            summary=operation["summary"],
            callers=_callers(security),
            parameters=parameters,
            body=self._fields(self._content(operation.get("requestBody", {}))),
            answer=_name_of(good),
            statuses=[
                (status, response["description"])
                for status, response in responses.items()
                if status < "400"
            ],
            samples=samples_of(call),
            example=_shown(_example(good.get("content", {}))),
        )

    def _content(self, part: dict[str, Any]) -> dict[str, Any]:
        """Return the object schema of a body or response, or that of its list's items."""
        contents: dict[str, Any] = part.get("content", {})
        schema: dict[str, Any] = next((content["schema"] for content in contents.values()), {})
        return self._resolved(schema.get("items", schema))

    def _resolved(self, part: dict[str, Any]) -> dict[str, Any]:
        if "$ref" not in part:
            return part
        _, _, kind, name = part["$ref"].split("/")
        found: dict[str, Any] = self._document["components"][kind][name]
        return found

    def _fields(self, schema: dict[str, Any]) -> list[Field]:
        required = schema.get("required", [])
        return [
            Field(name, _type(part), name in required, part.get("description", ""))
            for name, part in schema.get("properties", {}).items()
        ]


def _name_of(part: dict[str, Any]) -> str:
    """Return the name of the object, or of a list's items, in a body or response; or nothing."""
    schema: dict[str, Any] = next((each["schema"] for each in part.get("content", {}).values()), {})
    reference: str = schema.get("items", schema).get("$ref", "")
    return reference.rpartition("/")[2]


def _caller(security: list[dict[str, list[str]]]) -> str:
    """Return who makes the call of a sample."""
    ways = {name for each in security for name in each}
    for scheme, caller in (("apiKey", "key"), ("adminKey", "admin"), ("session", "browser")):
        if scheme in ways:
            return caller
    return "another" if ways else "nobody"


def _callers(security: list[dict[str, list[str]]]) -> str:
    """Return the sentence about who may call an operation."""
    ways = {name: scopes for each in security for name, scopes in each.items()}
    if "adminKey" in ways:
        return "For the operator's key."
    if not ways:
        return "Open to all."
    if "session" not in ways:
        return "For the service that signs its requests."
    scopes = ways.get("apiKey")
    by_key = "" if scopes is None else " or an API key"
    if scopes:
        by_key += f" with the scope {scopes[0]}"
    if {} in security:
        return f"Open to guests, or with a login{by_key}."
    return f"With a login{by_key}."


def _example(contents: dict[str, Any]) -> Any:
    """Return the example of a JSON content, or None."""
    content = contents.get("application/json", {})
    named: dict[str, Any] = next(iter(content.get("examples", {}).values()), {})
    return content.get("example", named.get("value"))


def _shown(example: Any) -> str:
    return "" if example is None else json.dumps(plain(example), ensure_ascii=False, indent=2)


def _type(schema: dict[str, Any]) -> str:
    """Return a schema's type in a few words: ``list of Asset``, ``number``, ``one of a, b``."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "enum" in schema:
        return f"one of {', '.join(map(str, schema['enum']))}"
    if "anyOf" in schema:
        kinds = [_type(part) for part in schema["anyOf"] if part.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    kind = str(schema.get("format") or schema.get("type") or "anything")
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
