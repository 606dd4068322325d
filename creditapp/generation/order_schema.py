"""JSON Schema of orders: the other names of their members, and the members that they ignore."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import AliasChoices, BaseModel


def describe_names(kind: type[BaseModel], schema: dict[str, Any], ignored: Iterable[str]) -> None:
    """Add to an order's schema what pydantic leaves out of it, though orders may have it."""
    properties, required = schema["properties"], schema.get("required", [])
    for field in kind.model_fields.values():
        if not isinstance(field.validation_alias, AliasChoices):
            continue
        names = [str(choice) for choice in field.validation_alias.choices]
        for name in names[1:]:
            properties[name] = {**properties[names[0]], "description": f"The same as {names[0]}."}
        if names[0] in required and len(names) > 1:
            required.remove(names[0])
            choices = {"anyOf": [{"required": [name]} for name in names]}
            schema.setdefault("allOf", []).append(choices)
    for name in sorted(set(ignored) - properties.keys()):
        properties[name] = {"description": "Ignored here; other operations use it."}
    if not required:
        schema.pop("required", None)
