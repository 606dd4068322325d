"""Compare answers with the types of OpenAI's own client: no member more, none less."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter

OURS = {"credits"}
"""The only members of an answer that OpenAI's do not have."""


def check(
    value: Any, kind: Any, place: str = "answer", *, ours: frozenset[str] | None = None
) -> None:
    """Assert that JSON is exactly what a type of the client says."""
    origin = get_origin(kind)
    if origin is Annotated:
        check(value, get_args(kind)[0], place)
    elif origin in (Union, types.UnionType):
        _check_union(value, get_args(kind), place)
    elif origin is Literal:
        assert value in get_args(kind), f"{place}: {value!r}"
    elif origin in (list, Sequence):
        assert isinstance(value, list), place
        for number, each in enumerate(value):
            check(each, get_args(kind)[0], f"{place}.{number}")
    elif isinstance(kind, type) and issubclass(kind, BaseModel):
        _check_model(value, kind, place, OURS if ours is None else ours)
    else:
        TypeAdapter(kind).validate_python(value, strict=True)


def _check_model(value: Any, kind: type[BaseModel], place: str, ours: Any) -> None:
    assert isinstance(value, Mapping), f"{place}: {value!r}"
    fields = {each.alias or name: each for name, each in kind.model_fields.items()}
    unknown = value.keys() - fields.keys() - ours
    assert not unknown, f"{place} has {unknown}"
    for name, field in fields.items():
        if name in value:
            check(value[name], field.annotation, f"{place}.{name}")
        else:
            assert not field.is_required(), f"{place} lacks {name}"


def _check_union(value: Any, kinds: Sequence[Any], place: str) -> None:
    faults = []
    for kind in kinds:
        try:
            return check(value, kind, place)
        except (AssertionError, ValueError) as fault:
            faults.append(str(fault))
    raise AssertionError(f"{place}: none of these holds: {faults}")
