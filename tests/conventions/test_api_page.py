"""The examples of ``docs/api.md`` are sent, and return the documented responses."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

from flask import Flask

from creditapp.clock import StoppedClock
from creditapp.http.documented import path_of
from tests.api.contract import Document
from tests.app_factory import Person, Queue
from tests.conventions.files import ROOT

PAGE = (ROOT / "docs" / "api.md").read_text() if (ROOT / "docs" / "api.md").exists() else ""
PUBLIC = ("/api/", "/v1/", "/mcp", "/.well-known/", "/llms.txt")
"""Beginnings of the paths that programs call."""
PROBES = {"/healthz", "/readyz", "/metrics"}
_PAIR = re.compile(r"```http\n(.*?)```\s+```json\n(.*?)```", re.DOTALL)


def test_every_example_returns_the_documented_response(app: Flask, clock: StoppedClock) -> None:
    from creditapp.jobs.engine import JobStore
    from creditapp.services import get

    with app.app_context():
        queue = get(JobStore)
    assert isinstance(queue, Queue)
    people = {"guest": Person(app), "member": Person(app)}
    people["member"].sign_up("alice@example.com")
    pairs = _PAIR.findall(PAGE)
    assert len(pairs) >= 6
    seen: dict[str, str] = {}
    for request, expected in pairs:
        head, _, body = request.partition("\n\n")
        lines = head.splitlines()
        method, path = lines[0].split()
        headers = dict(line.split(": ", 1) for line in lines[1:])
        person = people[headers.pop("As", "member")]
        for name, value in seen.items():
            path = path.replace(f"<{name}>", value)
        answer = person.call(method, path, json.loads(body) if body.strip() else None, **headers)
        promised = json.loads(expected, parse_float=Decimal)
        assert agrees(promised, answer.json), f"{lines[0]}: {answer.text}"
        if isinstance(answer.json, dict) and "id" in answer.json:
            seen["id"] = answer.json["id"]
        queue.run()
        clock.advance(timedelta(seconds=1))


def agrees(promised: Any, got: Any) -> bool:
    """Whether a response has what the page shows; a text ending in dots matches any."""
    if isinstance(promised, str) and promised.endswith("..."):
        return isinstance(got, str) and got.startswith(promised[:-3])
    if isinstance(promised, dict):
        return isinstance(got, dict) and all(
            name in got and agrees(value, got[name]) for name, value in promised.items()
        )
    if isinstance(promised, list):
        shorter = promised[:-1] if promised and promised[-1] == "..." else promised
        if not isinstance(got, list) or (shorter is promised and len(got) != len(promised)):
            return False
        return all(agrees(a, b) for a, b in zip(shorter, got, strict=False))
    return bool(promised == got) and type(promised) is type(got)


def test_routes_description_and_page_name_the_same_operations(looked_at: Flask) -> None:
    """The URL map, the OpenAPI document and docs/api.md: each public route in all, no other."""
    routed = {
        (method, re.sub(r"\{\w+\}", "<id>", path_of(rule)))
        for rule in looked_at.url_map.iter_rules()
        if rule.rule.startswith(PUBLIC) or rule.rule in PROBES
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    described = {
        (method.upper(), re.sub(r"\{\w+\}", "<id>", path))
        for path, methods in Document(looked_at).json["paths"].items()
        for method in methods
    }
    rows = re.findall(r"^\| ([A-Z]+(?:, [A-Z]+)*) ((?:`/[^`]*`(?:, )?)+) \|", PAGE, re.MULTILINE)
    on_the_page = {
        (method, path)
        for methods, paths in rows
        for method in methods.split(", ")
        for path in re.findall(r"`([^`]+)`", paths)
    }
    assert len(routed) > 50
    assert routed == described
    assert routed == on_the_page
