"""What a route is, and the two verbs that most kinds of objects have: retrieve and list."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from creditapp.stripe_sandbox.errors import missing_object
from creditapp.stripe_sandbox.store import Books, Json
from creditapp.stripe_sandbox.tables import Table

Given = dict[str, Any]
PAGE_SIZE = 10


@dataclass(frozen=True)
class Route:
    """One line of the API."""

    method: str
    path: str
    table: Table
    verb: Callable[..., Json]


def retrieving(kind: str) -> Callable[..., Json]:
    """Return the verb that answers with one object by its id."""

    def verb(books: Books, _given: Given, object_id: str) -> Json:
        return existing(books, kind, object_id)

    return verb


def listing(kind: str, url: str, *filters: str) -> Callable[..., Json]:
    """Return the verb that answers with a page of a kind, filtered by fields of those names."""

    def verb(books: Books, given: Given) -> Json:
        where: dict[str, object] = {name: given[name] for name in filters if name in given}
        return page_of(books, kind, url, given, where)

    return verb


def existing(books: Books, kind: str, object_id: str) -> Json:
    """Return the object a path names; raise the 404 when there is none."""
    thing = books.get(kind, object_id)
    if thing is None:
        raise missing_object(kind, object_id, param="id", in_path=True)
    return thing


def page_of(books: Books, kind: str, url: str, given: Given, where: dict[str, object]) -> Json:
    """Return one page of objects, the newest first."""
    for cursor in ("starting_after", "ending_before"):
        if cursor in given and books.get(kind, given[cursor]) is None:
            raise missing_object(kind, given[cursor], param=cursor)
    limit = given.get("limit", PAGE_SIZE)
    after = given.get("ending_before")
    found = books.find(
        kind,
        where,
        limit=limit + 1,
        before=given.get("starting_after"),
        after=after,
        created=given.get("created"),
    )
    more = len(found) > limit
    data = (found[1:] if after else found[:limit]) if more else found
    return {"object": "list", "data": data, "has_more": more, "url": url}


def page_within(items: list[Json], kind: str, url: str, given: Given) -> Json:
    """Return one page of a list that belongs to an object, in the list's own order."""
    places = {each["id"]: number for number, each in enumerate(items)}
    for cursor in ("starting_after", "ending_before"):
        if cursor in given and given[cursor] not in places:
            raise missing_object(kind, given[cursor], param=cursor)
    limit = given.get("limit", PAGE_SIZE)
    first = places[given["starting_after"]] + 1 if "starting_after" in given else 0
    end = places[given["ending_before"]] if "ending_before" in given else len(items)
    found = items[first:end]
    data = found[-limit:] if "ending_before" in given else found[:limit]
    return {"object": "list", "data": data, "has_more": len(found) > limit, "url": url}
