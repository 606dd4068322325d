"""The OpenAPI document describes every route, and tools can read it."""

from __future__ import annotations

import json
import re
from typing import Any

from flask import Flask
from jsonschema import Draft202012Validator

from creditapp.http.openapi import problems
from tests.api.contract import Document
from tests.pages import parse_html

PROBES = {"/healthz", "/readyz", "/metrics", "/.well-known/did.json"}
"""Documented paths outside ``/api``."""

# The structure of OpenAPI 3.1, as far as this document uses it.
_OPERATION = {
    "type": "object",
    "required": ["operationId", "summary", "responses", "tags"],
    "additionalProperties": False,
    "properties": {
        "operationId": {"type": "string", "pattern": "^[a-z_]+$"},
        "summary": {"type": "string", "minLength": 5},
        "tags": {"type": "array", "items": {"type": "string"}},
        "security": {"type": "array", "items": {"type": "object"}},
        "parameters": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "in", "schema"],
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
            "required": ["default"],
            "anyOf": [{"required": [status]} for status in ("200", "201", "204", "303")],
            "patternProperties": {
                "^([1-5][0-9]{2}|default)$": {
                    "type": "object",
                    "required": ["description"],
                    "additionalProperties": False,
                    "properties": {
                        "description": {"type": "string", "minLength": 1},
                        "content": {"$ref": "#/$defs/content"},
                        "headers": {
                            "type": "object",
                            "minProperties": 1,
                            "additionalProperties": {
                                "type": "object",
                                "required": ["description", "schema"],
                            },
                        },
                    },
                }
            },
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
            "patternProperties": {"^[a-z]+/[a-z+-]+$": {"type": "object", "required": ["schema"]}},
            "additionalProperties": False,
        }
    },
    "patternProperties": {"^x-": {}},
    "additionalProperties": False,
    "properties": {
        "openapi": {"type": "string", "pattern": r"^3\.1\.\d+$"},
        "info": {"type": "object", "required": ["title", "version"]},
        "servers": {"type": "array", "items": {"type": "object", "required": ["url"]}},
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
            "properties": {"schemas": {"type": "object"}, "securitySchemes": {"type": "object"}},
            "additionalProperties": False,
        },
    },
}


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


def test_every_route_is_described_with_its_methods_and_parameters(app: Flask) -> None:
    paths = Document(app).json["paths"]
    routes = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith(("/api/", "/v1/")) or rule.rule in {*PROBES, "/mcp"}
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert routes == {(path, method) for path, methods in paths.items() for method in methods}
    for path, methods in paths.items():
        for operation in methods.values():
            named = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
            assert named == set(re.findall(r"\{(\w+)\}", path))


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
