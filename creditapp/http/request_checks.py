"""The first hook of every request: its id, and what is refused before anything reads it."""

from __future__ import annotations

import structlog
from flask import Flask, g, request

from creditapp.errors import MalformedRequest
from creditapp.http.body_limiter import refuse_unread
from creditapp.ids import new_id
from creditapp.rate_limits import BODY_BYTES_MAX, FORM_BYTES_MAX


def init_app(app: Flask) -> None:
    """Check every request; called before other hooks, so that their refusals have an id too."""
    app.config.update(MAX_CONTENT_LENGTH=BODY_BYTES_MAX, MAX_FORM_MEMORY_SIZE=FORM_BYTES_MAX)
    app.before_request(_begin_request)


def _begin_request() -> None:
    g.request_id = new_id("req")
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=g.request_id)
    refuse_unread(request.environ)
    if request.mimetype == "application/x-www-form-urlencoded":
        # Such a form carries no files, and werkzeug bounds only the fields of multipart ones.
        request.max_content_length = FORM_BYTES_MAX
    _refuse_nul()


def _refuse_nul() -> None:
    """Refuse NUL, which PostgreSQL stores in no text, before a query fails on it."""
    texts = [request.path, *request.args, *(text for _, text in request.args.items(multi=True))]
    if any("\0" in text for text in texts):
        raise MalformedRequest("The address has a NUL character.")
