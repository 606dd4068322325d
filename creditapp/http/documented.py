"""``Documented``: what a route says about itself for the API's description."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Final, Literal, TypeVar

from pydantic import BaseModel
from werkzeug.routing import Rule

from creditapp.errors import AppError

View = TypeVar("View", bound=Callable[..., Any])

JSON = "application/json"


class ServerSentEvent(BaseModel):
    """One event of a stream. Its data is a JSON text, but for the ``[DONE]`` of OpenAI's shape."""

    event: str = "message"
    data: str


@dataclass(frozen=True)
class Answer:
    """A further answer of a route, with a content of its own."""

    description: str
    content: Mapping[str, Any] = field(default_factory=dict)
    """The schema of each content type; without any there is no body."""
    headers: Sequence[str] = ()


UNCHANGED: Final = {304: "As it was: the ETag of If-None-Match is still the same"}
"""The further answer of what ``send_shared`` sends."""


@dataclass(frozen=True)
class Documented:
    """Decorator that documents a route in the API's description.

    The description adds by itself what follows from the route's policy, scope, methods, path,
    headers and body: who may call it, and how it refuses. ``refuses`` names only the rest.
    """

    summary: str
    response: Any
    _: KW_ONLY
    body: Any = None
    """A schema, or a union of several."""
    query: Sequence[str] = ()
    headers: Sequence[str] = ()
    answer_headers: Sequence[str] = ()
    """Headers of the successful responses, where they apply."""
    also: Mapping[int, str | Answer] = field(default_factory=dict)
    """Further answers. A text describes one with the content of ``response``."""
    refuses: Sequence[type[AppError]] = ()
    """The errors of this route's own rules."""
    error: Any = None
    """The schema of its errors, where they are no problem objects."""
    mime_type: str = JSON
    status: int = 200
    streams: bool = False
    """Whether the answer may also be a stream of server-sent events."""
    sells: Literal["credits", "image"] | None = None
    """The thing that programs pay for with the request, where the site takes signed payments."""
    takes_file: bool = False
    """Whether the body is a file, or a form with a part ``file``."""
    takes_form: bool = False
    """Whether the body is sent as a multipart form."""
    requires_key: bool = False
    """Whether an ``Idempotency-Key`` is required, in the header or in the body."""
    body_optional: bool = False
    max_in_body: bool = True
    """Whether a body of a route with ``X-Max-Credits`` may have ``maxCredits`` too."""

    def __call__(self, view: View) -> View:
        """Add the documentation to the view."""
        view.documentation = self  # type: ignore[attr-defined]  # read by documentation_of
        return view


def path_of(rule: Rule) -> str:
    """Return the path of a rule as OpenAPI writes it: ``/api/keys/{key_id}``."""
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)


def documentation_of(view: Callable[..., Any]) -> Documented | None:
    """Return what a view says about itself, or None for a page."""
    return getattr(view, "documentation", None)
