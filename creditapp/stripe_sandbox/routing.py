"""API route type, and the two handlers most object types share: retrieve and list."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from creditapp.stripe_sandbox.errors import missing_object
from creditapp.stripe_sandbox.schemas import Schema
from creditapp.stripe_sandbox.store import Json, Store

Params = dict[str, Any]
PAGE_SIZE = 10


@dataclass(frozen=True)
class Route:
    """One API route."""

    method: str
    path: str
    schema: Schema
    handler: Callable[..., Json]


def retrieve_handler(kind: str) -> Callable[..., Json]:
    """Return a handler that retrieves one object by its id."""

    def handler(store: Store, _given: Params, object_id: str) -> Json:
        return get_or_404(store, kind, object_id)

    return handler


def list_handler(kind: str, url: str, *filters: str) -> Callable[..., Json]:
    """Return a handler that lists objects of a type, filtered by the given fields."""

    def handler(store: Store, params: Params) -> Json:
        where: dict[str, object] = {name: params[name] for name in filters if name in params}
        return list_page(store, kind, url, params, where)

    return handler


def get_or_404(store: Store, kind: str, object_id: str) -> Json:
    """Return the object with the id in the path; raise the 404 error if there is none."""
    resource = store.get(kind, object_id)
    if resource is None:
        raise missing_object(kind, object_id, param="id", in_path=True)
    return resource


def list_page(store: Store, kind: str, url: str, params: Params, where: dict[str, object]) -> Json:
    """Return one page of objects, newest first."""
    for cursor in ("starting_after", "ending_before"):
        if cursor in params and store.get(kind, params[cursor]) is None:
            raise missing_object(kind, params[cursor], param=cursor)
    limit = params.get("limit", PAGE_SIZE)
    after = params.get("ending_before")
    rows = store.find(
        kind,
        where,
        limit=limit + 1,
        before=params.get("starting_after"),
        after=after,
        created=params.get("created"),
    )
    more = len(rows) > limit
    data = (rows[1:] if after else rows[:limit]) if more else rows
    return {"object": "list", "data": data, "has_more": more, "url": url}


def nested_page(items: list[Json], kind: str, url: str, params: Params) -> Json:
    """Return one page of a list inside an object, in the order of the list."""
    positions = {item["id"]: index for index, item in enumerate(items)}
    for cursor in ("starting_after", "ending_before"):
        if cursor in params and params[cursor] not in positions:
            raise missing_object(kind, params[cursor], param=cursor)
    limit = params.get("limit", PAGE_SIZE)
    first = positions[params["starting_after"]] + 1 if "starting_after" in params else 0
    end = positions[params["ending_before"]] if "ending_before" in params else len(items)
    rows = items[first:end]
    data = rows[-limit:] if "ending_before" in params else rows[:limit]
    return {"object": "list", "data": data, "has_more": len(rows) > limit, "url": url}
