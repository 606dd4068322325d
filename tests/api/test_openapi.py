"""The OpenAPI document describes every route, and tools can read it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError as JsonSchemaError

from creditapp.http.examples import recorded
from creditapp.http.openapi import problems
from tests.api.contract import Document
from tests.pages import parse_html

# The structure of OpenAPI 3.1, as far as this document uses it.
_OPERATION = {
    "type": "object",
    "required": ["operationId", "summary", "description", "responses", "tags", "security"],
    "additionalProperties": False,
    "properties": {
        "operationId": {"type": "string", "pattern": "^[a-z_]+$"},
        "summary": {"type": "string", "minLength": 5},
        "description": {"type": "string", "minLength": 5},
        "tags": {"type": "array", "items": {"type": "string"}},
        "security": {"type": "array", "items": {"type": "object"}},
        "parameters": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "in", "required", "description", "schema"],
                "additionalProperties": False,
                "properties": {
                    "name": {"type": "string"},
                    "in": {"enum": ["path", "query", "header", "cookie"]},
                    "required": {"type": "boolean"},
                    "description": {"type": "string"},
                    "schema": {"type": "object"},
                },
            },
        },
        "requestBody": {
            "type": "object",
            "required": ["content"],
            "properties": {"content": {"$ref": "#/$defs/content"}},
        },
        "responses": {
            "type": "object",
            "required": ["500"],
            "anyOf": [{"required": [status]} for status in ("200", "201", "202", "204", "303")],
            "patternProperties": {"^[1-5][0-9]{2}$": {"$ref": "#/$defs/response"}},
            "additionalProperties": False,
        },
    },
}
OPENAPI = {
    "type": "object",
    "required": ["openapi", "info", "paths", "components"],
    "$defs": {
        "content": {
            "type": "object",
            "minProperties": 1,
            "patternProperties": {
                "^[a-z]+/([a-z+-]+|[*])$": {"type": "object", "required": ["schema"]}
            },
            "additionalProperties": False,
        },
        "headers": {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": {"type": "object", "required": ["$ref"]},
        },
        "response": {
            "oneOf": [
                {"type": "object", "required": ["$ref"], "additionalProperties": False}
                | {"properties": {"$ref": {"type": "string"}}},
                {
                    "type": "object",
                    "required": ["description", "headers"],
                    "additionalProperties": False,
                    "properties": {
                        "description": {"type": "string", "minLength": 1},
                        "content": {"$ref": "#/$defs/content"},
                        "headers": {"$ref": "#/$defs/headers"},
                        "links": {
                            "type": "object",
                            "additionalProperties": {
                                "type": "object",
                                "required": ["operationId", "parameters"],
                            },
                        },
                    },
                },
            ]
        },
    },
    "patternProperties": {"^x-": {}},
    "additionalProperties": False,
    "properties": {
        "openapi": {"type": "string", "pattern": r"^3\.1\.\d+$"},
        "info": {"type": "object", "required": ["title", "version"]},
        "servers": {"type": "array", "items": {"type": "object", "required": ["url"]}},
        "tags": {"type": "array", "items": {"type": "object", "required": ["name", "description"]}},
        "paths": {
            "type": "object",
            "patternProperties": {
                "^/": {
                    "type": "object",
                    "minProperties": 1,
                    "patternProperties": {"^(get|put|post|delete|patch)$": _OPERATION},
                    "additionalProperties": False,
                }
            },
            "additionalProperties": False,
        },
        "components": {
            "type": "object",
            "required": ["schemas"],
            "properties": {
                "schemas": {"type": "object"},
                "securitySchemes": {"type": "object"},
                "headers": {"additionalProperties": {"required": ["description", "schema"]}},
                "responses": {"additionalProperties": {"$ref": "#/$defs/response"}},
            },
            "additionalProperties": False,
        },
    },
}


def test_every_call_has_a_tag_and_every_tag_a_call(app: Flask) -> None:
    document = Document(app).json
    used = {
        tag
        for methods in document["paths"].values()
        for operation in methods.values()
        for tag in operation["tags"]
    }
    assert used == {tag["name"] for tag in document["tags"]}


def test_the_document_has_the_structure_of_openapi(app: Flask) -> None:
    document = Document(app).json
    Draft202012Validator.check_schema(OPENAPI)
    Draft202012Validator(OPENAPI).validate(document)
    for name, schema in document["components"]["schemas"].items():
        assert re.fullmatch(r"[A-Za-z0-9._-]+", name)
        Draft202012Validator.check_schema(schema)


def test_every_reference_is_defined(app: Flask) -> None:
    document = Document(app).json
    references = set(re.findall(r'"\$ref":\s*"([^"]+)"', json.dumps(document)))
    assert len(references) > 10
    for reference in references:
        found: Any = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]


def test_every_path_parameter_is_described(app: Flask) -> None:
    for path, operation in _operations(Document(app)):
        named = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
        assert named == set(re.findall(r"\{(\w+)\}", path))


def test_every_body_and_answer_has_an_example_that_its_schema_allows(app: Flask) -> None:
    document, count = Document(app), 0
    for path, operation in _operations(document):
        parts = [operation.get("requestBody", {}), *operation["responses"].values()]
        for part in map(document.resolve, parts):
            for mime_type, content in part.get("content", {}).items():
                if mime_type.endswith("json") and path != "/api/openapi.json":
                    examples = content.get("examples", {}).values() or [content["example"]]
                    for example in examples:
                        value = example["value"] if "examples" in content else example
                        document.validate(value, content["schema"])
                        count += 1
    assert count > 100


def test_every_recorded_example_belongs_to_an_operation(app: Flask) -> None:
    document = Document(app)
    for name, example in recorded().items():
        method, path = name.split()
        operation = document.operation(method, path)
        assert example.keys() <= operation["responses"].keys() | {"body"}, name
        assert "body" not in example or "requestBody" in operation


def test_every_refusal_names_its_codes(app: Flask) -> None:
    document, codes = Document(app), {kind.code for kind in problems()}
    for path, operation in _operations(document):
        for status, response in operation["responses"].items():
            answer = document.resolve(response)
            content = answer.get("content", {}).get("application/problem+json")
            if content is not None:
                named = content["schema"]["allOf"][1]["properties"]["code"]["enum"]
                assert codes.issuperset(named), path
                assert all(f"{code}: " in answer["description"] for code in named)
                assert (status == "401") == ("WWW-Authenticate" in answer["headers"])
                assert (status == "429") == ("RateLimit-Reset" in answer["headers"])


@pytest.mark.parametrize(
    ("method", "path", "security"),
    [
        (
            "POST",
            "/api/credits/spend",
            [{"session": []}, {"apiKey": ["spend"]}, {"accessToken": []}],
        ),
        ("GET", "/api/generations", [{"session": []}, {"apiKey": ["read"]}, {}]),
        ("POST", "/api/keys", [{"session": []}]),
        ("PUT", "/api/billing/auto-topup", [{"session": []}]),
        ("POST", "/api/credits/grant", [{"adminKey": []}]),
        ("POST", "/api/webhooks/stripe", [{"stripeSignature": []}]),
        ("GET", "/api/credit-packs", [{}]),
    ],
)
def test_who_may_call_an_operation_is_described(
    app: Flask, method: str, path: str, security: list[dict[str, list[str]]]
) -> None:
    document = Document(app)
    assert document.operation(method, path)["security"] == security
    schemes = document.json["components"]["securitySchemes"]
    assert {name for each in security for name in each} <= schemes.keys()


def test_where_an_idempotency_key_is_required_the_document_says_so(app: Flask) -> None:
    required = {
        path
        for path, operation in _operations(Document(app))
        for each in operation["parameters"]
        if each["name"] == "Idempotency-Key" and each["required"]
    }
    assert required == {
        "/api/credits/spend",
        "/api/credits/holds",
        "/api/credits/grant",
        "/api/example/use-credits",
    }


def _operations(document: Document) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document.json["paths"].items():
        for operation in methods.values():
            yield path, operation


def test_a_stream_is_described_by_its_events(app: Flask) -> None:
    document = Document(app)
    for path in ("/api/chat", "/api/agent", "/api/summarize", "/v1/chat/completions"):
        content = document.operation("POST", path)["responses"]["200"]["content"]
        schema = content["text/event-stream"]["schema"]
        document.validate({"event": "delta", "data": '{"text": "One"}'}, schema)
        with pytest.raises(JsonSchemaError):
            document.validate({"event": "delta", "data": {"text": "One"}}, schema)


def test_operation_ids_are_unique(app: Flask) -> None:
    paths = Document(app).json["paths"]
    ids = [each["operationId"] for methods in paths.values() for each in methods.values()]
    assert len(ids) == len(set(ids))


def test_the_problem_schema_has_every_field_of_the_errors(app: Flask) -> None:
    fields = Document(app).json["components"]["schemas"]["Problem"]["properties"]
    assert fields.keys() >= {
        *("type", "title", "status", "detail", "code", "error", "requestId", "errors"),
        *("required", "balance", "shortfall", "packsUrl", "plansUrl"),
        *("limit", "remaining", "resetAt", "signupUrl", "signupCredits", "creditsCharged"),
    }


def test_the_page_has_every_route_and_the_codes_that_errors_link_to(app: Flask) -> None:
    page = app.test_client().get("/api/docs")
    assert (page.status_code, page.mimetype) == (200, "text/html")
    for path in Document(app).json["paths"]:
        assert path in page.text
    codes = [kind.code for kind in problems()]
    assert len(codes) > 20
    assert len(codes) == len(set(codes))
    for code in codes:
        assert f'id="{code}"' in page.text
    html = parse_html(page.text)
    ids = [element["id"] for element in html.all("[id]")]
    assert sorted(ids) == sorted(set(ids)), "an address within the page means two places"
    paths = [element["src"] for element in html.all("[src]")]
    for path in paths + [element["href"] for element in html.all("[href]")]:
        assert path.startswith(("/", "#")), f"{path} is an external address"


def test_the_document_is_the_same_for_every_caller(app: Flask) -> None:
    assert Document(app).json == Document(app).json


def test_both_names_of_the_highest_price_say_that_the_smaller_one_counts(app: Flask) -> None:
    document = Document(app)
    operation = document.operation("POST", "/api/generate-image")
    (header,) = [each for each in operation["parameters"] if each["name"] == "X-Max-Credits"]
    member = document.json["components"]["schemas"]["ImageBody"]["properties"]["maxCredits"]
    for description in (header["description"], member["description"]):
        assert description.endswith("the smaller one counts.")
