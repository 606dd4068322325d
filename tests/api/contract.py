"""Check responses of the API against its OpenAPI document."""

from __future__ import annotations

import functools
import json
import re
from typing import Any

from flask import Flask
from jsonschema import Draft202012Validator, FormatChecker
from werkzeug.test import TestResponse

from tests.app_factory import Person

PROBLEM_FIELDS = {"type", "title", "status", "detail", "code", "error", "requestId"}


@functools.lru_cache(maxsize=8)
def _parsed(document: bytes) -> dict[str, Any]:
    """Return a document as JSON, which nobody may change: most tests get the same."""
    parsed: dict[str, Any] = json.loads(document)
    return parsed


class Document:
    """The OpenAPI document of an app."""

    def __init__(self, app: Flask) -> None:
        answer = app.test_client().get("/api/openapi.json")
        assert answer.status_code == 200
        self.json = _parsed(answer.data)

    def check(self, method: str, path: str, answer: TestResponse) -> TestResponse:
        """Assert that the document allows a response; return it."""
        operation = self.operation(method, path)
        status = str(answer.status_code)
        responses = operation["responses"]
        if status == "405":  # of the path, not of one of its operations
            check_problem(answer)
            return answer
        assert status in responses, f"{method} {path} does not document {status}: {answer.text}"
        promised = self.resolve(responses[status])
        if "content" not in promised:
            assert answer.data == b""
            return answer
        assert answer.mimetype in promised["content"], answer.text
        if answer.mimetype.endswith("json"):
            schema = promised["content"][answer.mimetype]["schema"]
            self.validate(json.loads(answer.data), schema)
        if answer.status_code >= 400:
            check_problem(answer)
        return answer

    def operation(self, method: str, path: str) -> dict[str, Any]:
        """Return the operation of a method and path."""
        path = path.partition("?")[0]
        for template, methods in self.json["paths"].items():
            if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path):
                operation: dict[str, Any] = methods[method.lower()]
                return operation
        raise AssertionError(f"{path} is not in the document")

    def resolve(self, part: dict[str, Any]) -> dict[str, Any]:
        """Return a part of the document, followed if it is a reference."""
        while "$ref" in part:
            names = part["$ref"].removeprefix("#/").split("/")
            part = functools.reduce(lambda each, name: each[name], names, self.json)
        return part

    def validate(self, value: object, schema: dict[str, Any]) -> None:
        """Assert that a value agrees with a schema of this document."""
        whole = {**schema, "components": self.json["components"]}
        Draft202012Validator(whole, format_checker=FormatChecker()).validate(value)


def check_problem(answer: TestResponse) -> dict[str, Any]:
    """Assert that an error is a complete problem object (RFC 9457); return it."""
    assert answer.mimetype == "application/problem+json"
    problem: dict[str, Any] = json.loads(answer.data)
    assert problem.keys() >= PROBLEM_FIELDS, problem
    assert problem["error"] == problem["detail"] != ""
    assert problem["status"] == answer.status_code
    assert problem["type"].endswith(f"/api/docs#{problem['code']}")
    assert problem["requestId"] == answer.headers["X-Request-Id"]
    if answer.status_code == 429:
        assert int(answer.headers["Retry-After"]) > 0
    if answer.status_code == 401:
        assert answer.headers["WWW-Authenticate"]
        assert problem["signupUrl"] == "/auth/signup"
    assert "Traceback" not in answer.text
    return problem


class Program:
    """A person's program; each response is checked against the document."""

    def __init__(self, person: Person) -> None:
        self.person = person
        self.document = Document(person.app)

    def call(self, method: str, path: str, body: object = None, **headers: str) -> TestResponse:
        return self.document.check(method, path, self.person.call(method, path, body, **headers))

    def get(self, path: str) -> Any:
        """Return the object of a 200."""
        answer = self.call("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json

    def refused(self, status: int, code: str, method: str, path: str, body: object = None) -> Any:
        """Return the problem of a refusal with this status and code."""
        answer = self.call(method, path, body)
        assert (answer.status_code, answer.json["code"]) == (status, code), answer.text
        return answer.json
