"""OpenAPI 3.1, generated from the routes, their policies, and the schemas of bodies and answers."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Final, get_args

from flask import Flask, current_app
from pydantic import TypeAdapter
from werkzeug.routing import Rule

from creditapp.agents.discovery import payment_info
from creditapp.config import Settings
from creditapp.errors import AppError
from creditapp.http.documented import (
    JSON,
    Answer,
    Documented,
    ServerSentEvent,
    documentation_of,
    path_of,
)
from creditapp.http.examples import compose, problem_example, recorded
from creditapp.http.openapi_parameters import ANSWER_HEADERS, MAX_CREDITS, parameters_of
from creditapp.http.openapi_security import security_of, security_schemes
from creditapp.http.openapi_tags import TAGS, tag_of
from creditapp.http.problems import Problem
from creditapp.http.refusals import refusals_of
from creditapp.services import get

PROBLEM = "application/problem+json"
_REFERENCE = "#/components/schemas/{model}"
_WITHOUT_BODY = (204, 303, 304)
_FILE = {"type": "string", "format": "binary"}
_FILE_BODY = {
    "application/octet-stream": {"schema": _FILE},
    "multipart/form-data": {
        "schema": {"type": "object", "properties": {"file": _FILE}, "required": ["file"]}
    },
}
_ON_REFUSALS: Final = {
    401: ["WWW-Authenticate"],
    429: ["Retry-After", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"],
}
_ON_EVERY_ANSWER: Final = [
    "X-Request-Id",
    "RateLimit-Limit",
    "RateLimit-Remaining",
    "RateLimit-Reset",
]
_ID_PARAMETERS: Final = {
    "GenerationAnswer": "generation_id",
    "HoldAnswer": "hold_id",
    "NewKeyAnswer": "key_id",
    "UploadAnswer": "upload_id",
    "ChatAnswer": "usage_id",
    "EmbeddingsAnswer": "usage_id",
}
"""Answers whose ``id`` is a parameter of other paths, which their links name."""


def describe() -> dict[str, Any]:
    """Return the OpenAPI document of the current app."""
    document = _Document(current_app)
    for rule in current_app.url_map.iter_rules():
        documentation = documentation_of(current_app.view_functions[rule.endpoint])
        # An agent's route is there a second time, without /api.
        within_api = f"api.{rule.endpoint.partition('.')[2]}" in current_app.view_functions
        is_again = rule.endpoint.startswith("agents.") and within_api
        if documentation is not None and not is_again:
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
                document.add(rule, method, documentation)
    document.finish()
    return {
        "openapi": "3.1.0",
        "info": {
            "title": get(Settings).site_name,
            "version": "1",
            "description": "Credits are numbers with at most 6 decimals, times are RFC 3339 in "
            "UTC, ids are opaque strings. Errors are application/problem+json (RFC 9457); "
            "programs compare their code. Every member of an answer is always there, and null "
            "where it has nothing to say.",
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
        "tags": [{"name": tag.name, "description": tag.description} for tag in TAGS],
        "paths": dict(sorted(document.paths.items())),
        "components": {
            "schemas": dict(sorted(document.schemas.items())),
            "responses": dict(sorted(document.responses.items())),
            "headers": {
                name: {"description": text, "schema": {"type": kind}}
                for name, (text, kind) in ANSWER_HEADERS.items()
            },
            "securitySchemes": security_schemes(),
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


class _Document:
    """The parts of the document that operations add to."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.paths: dict[str, dict[str, Any]] = {}
        self.schemas: dict[str, Any] = {}
        self.responses: dict[str, Any] = {}
        self.spending: set[str] = set()
        self.problem = self.schema(Problem)

    def add(self, rule: Rule, method: str, documentation: Documented) -> None:
        """Add an operation."""
        path = path_of(rule)
        view = self.app.view_functions[rule.endpoint]
        examples = recorded().get(f"{method} {path}", {})
        operation: dict[str, Any] = {
            "operationId": rule.endpoint.rpartition(".")[2],
            "summary": documentation.summary,
            "description": inspect.getdoc(view) or documentation.summary,
            "tags": [tag_of(view.__module__)],
            "parameters": list(parameters_of(rule.arguments, documentation)),
            "responses": {
                **self._refusals(rule, method, documentation),
                **self._answers(documentation, examples),
            },
            "security": list(security_of(rule.endpoint)) or [{}],
        }
        operation["responses"] = dict(sorted(operation["responses"].items()))
        if documentation.body is not None:
            schema = self.schema(documentation.body)
            if "X-Max-Credits" in documentation.headers:
                parts = schema.get("anyOf", [schema])
                self.spending |= {part["$ref"] for part in parts if documentation.max_in_body}
            mime_type = "multipart/form-data" if documentation.takes_form else JSON
            content = self._content(mime_type, schema, examples.get("body"))
            required = not documentation.body_optional
            operation["requestBody"] = {"required": required, "content": content}
        if documentation.takes_file:
            operation["requestBody"] = {"required": True, "content": _FILE_BODY}
        if documentation.sells and (payment := payment_info(documentation.sells)):
            operation["x-payment-info"] = payment
        self.paths.setdefault(path, {})[method.lower()] = operation

    def schema(self, kind: Any, *, is_answer: bool = False) -> dict[str, Any]:
        """Return a type's schema, as a reference if it has a name.

        Answers have every member; bodies and problems may leave out those with a default.
        """
        schema = _adapter(kind).json_schema(
            ref_template=_REFERENCE, mode="serialization" if is_answer else "validation"
        )
        named = schema.pop("$defs", {})
        if "properties" in schema and "title" in schema:
            named[schema["title"]] = schema
            schema = {"$ref": _REFERENCE.format(model=schema["title"])}
        for model in (kind, *get_args(kind)):
            if not is_answer and hasattr(model, "describe_names"):
                model.describe_names(named[model.__name__])
        for name, each in named.items():
            if self.schemas.setdefault(name, each) != each:
                raise TypeError(f"Two schemas of the API are named {name}.")
        return schema

    def finish(self) -> None:
        """Add what needs every operation.

        ``maxCredits`` to each body that spends, and from each answer with an id links to the
        operations that take it in their path.
        """
        for reference in self.spending:
            self.schemas[reference.rpartition("/")[2]]["properties"]["maxCredits"] = MAX_CREDITS
        for methods in self.paths.values():
            for operation in methods.values():
                for status, response in operation["responses"].items():
                    if status < "300" and (links := self._links(response)):
                        response["links"] = links

    def _links(self, response: dict[str, Any]) -> dict[str, Any]:
        schema = response.get("content", {}).get(JSON, {}).get("schema", {})
        names = [each.get("$ref", "").rpartition("/")[2] for each in schema.get("anyOf", [schema])]
        parameter = next((_ID_PARAMETERS[name] for name in names if name in _ID_PARAMETERS), None)
        return {
            operation["operationId"]: {
                "operationId": operation["operationId"],
                "parameters": {parameter: "$response.body#/id"},
            }
            for path, methods in self.paths.items()
            if f"{{{parameter}}}" in path
            for operation in methods.values()
        }

    def _answers(self, documentation: Documented, examples: dict[str, Any]) -> dict[str, Any]:
        answers: dict[str, Any] = {}
        if documentation.response is not None:
            answers[str(documentation.status)] = Answer("Success")
        for status, answer in documentation.also.items():
            answers[str(status)] = Answer(answer) if isinstance(answer, str) else answer
        return {
            status: self._answer(int(status), answer, documentation, examples.get(status))
            for status, answer in answers.items()
        }

    def _answer(
        self, status: int, answer: Answer, documentation: Documented, example: Any
    ) -> dict[str, Any]:
        content = dict(answer.content)
        headers = [*answer.headers, *documentation.answer_headers, *_ON_EVERY_ANSWER]
        if not content and status not in _WITHOUT_BODY and documentation.response is not None:
            content[documentation.mime_type] = documentation.response
            if documentation.streams and status == documentation.status:
                content["text/event-stream"] = ServerSentEvent
        if status in (202, 303):
            headers = ["Location", *headers]
        described: dict[str, Any] = {
            "description": answer.description,
            "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in headers},
        }
        for mime_type, kind in content.items():
            schema = self.schema(kind, is_answer=True)
            part = self._content(mime_type, schema, example if mime_type == JSON else None)
            described.setdefault("content", {}).update(part)
        return described

    def _content(self, mime_type: str, schema: dict[str, Any], example: Any) -> dict[str, Any]:
        if not mime_type.endswith("json"):
            return {mime_type: {"schema": schema}}
        if example is None:
            example = compose(schema, self.schemas)
        return {mime_type: {"schema": schema, "example": example}}

    def _refusals(self, rule: Rule, method: str, documentation: Documented) -> dict[str, Any]:
        """Return a reference for each status; routes with the same codes share their answer."""
        by_status: dict[int, list[type[AppError]]] = {}
        for kind in refusals_of(self.app, rule, method):
            by_status.setdefault(kind.status, []).append(kind)
        references = {}
        for status, kinds in by_status.items():
            prefix = [documentation.error.__name__] if documentation.error else []
            name = ".".join([*prefix, str(status), *(kind.code for kind in kinds)])
            if name not in self.responses:
                self.responses[name] = self._refusal(status, kinds, documentation.error)
            references[str(status)] = {"$ref": f"#/components/responses/{name}"}
        return references

    def _refusal(self, status: int, kinds: Sequence[type[AppError]], errors: Any) -> dict[str, Any]:
        names = [*_ON_REFUSALS.get(status, []), "X-Request-Id"]
        described = {
            "description": " ".join(f"{kind.code}: {kind.title}." for kind in kinds),
            "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in names},
        }
        if errors is not None:
            return {**described, "content": self._content(JSON, self.schema(errors), None)}
        codes = {
            "type": "object",
            "properties": {
                "status": {"const": status},
                "code": {"enum": [kind.code for kind in kinds]},
            },
        }
        examples = {kind.code: {"value": problem_example(kind)} for kind in kinds}
        content = {"schema": {"allOf": [self.problem, codes]}, "examples": examples}
        return {**described, "content": {PROBLEM: content}}


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
