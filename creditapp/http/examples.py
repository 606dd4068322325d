"""Examples of bodies and answers for the API's description.

Those of ``examples.json`` were sent and answered in tests; an example of any other body or answer
is composed from its schema.
"""

from __future__ import annotations

import json
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final

from creditapp.config import Settings
from creditapp.errors import AppError
from creditapp.services import get

_FILE: Final = Path(__file__).with_name("examples.json")
_DEPTH_MAX: Final = 6
_TEXTS: Final = {
    "date-time": "2026-11-21T12:00:00.000Z",
    "binary": "(the bytes of a file)",
    "uri": "http://127.0.0.1:8000/",
}


@cache
def recorded() -> dict[str, dict[str, Any]]:
    """Return the recorded examples: by method and path, then by ``body`` or status."""
    examples: dict[str, dict[str, Any]] = json.loads(
        _FILE.read_text(encoding="utf-8"), parse_float=Decimal
    )
    return examples


def compose(schema: dict[str, Any], schemas: dict[str, Any], depth: int = 0) -> Any:
    """Return a value that a schema allows; ``schemas`` are those that it refers to."""
    if "$ref" in schema:
        return compose(schemas[schema["$ref"].rpartition("/")[2]], schemas, depth)
    for keyword in ("examples", "enum"):
        if schema.get(keyword):
            return schema[keyword][0]
    for keyword in ("const", "default"):
        if schema.get(keyword) is not None:
            return schema[keyword]
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        chosen = choices[-1] if depth > _DEPTH_MAX else choices[0]
        return compose(chosen, schemas, depth + 1)
    match schema.get("type"):
        case "object":
            members = schema.get("properties", {})
            return {name: compose(part, schemas, depth + 1) for name, part in members.items()}
        case "array":
            item = compose(schema.get("items", {}), schemas, depth + 1)
            return [item] * max(1, schema.get("minItems", 1)) if depth <= _DEPTH_MAX else []
        case "integer" | "number":
            return max(1, schema.get("minimum", 1))
        case "boolean":
            return False
        case "null":
            return None
    return _TEXTS.get(schema.get("format", ""), "text")


def problem_example(kind: type[AppError]) -> dict[str, Any]:
    """Return a refusal as problem+json."""
    return {
        "type": f"{get(Settings).site_url}/api/docs#{kind.code}",
        "title": kind.title,
        "status": kind.status,
        "detail": f"{kind.title}.",
        "code": kind.code,
        "error": f"{kind.title}.",
        "requestId": "req_01kb2r8mvnf0x5y3p6q9w1z7ta",
    }
