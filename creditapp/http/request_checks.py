"""The first hook of every request: its id, and what is refused before anything reads it."""

from __future__ import annotations

from typing import Any, Final

import structlog
from flask import Flask, Request, current_app, g, request
from werkzeug.formparser import FormDataParser

from creditapp.errors import AppError, MalformedRequest, PayloadTooLarge
from creditapp.http.policies import FORM_TYPES, body_bytes_max, fields_max
from creditapp.ids import new_id
from creditapp.rate_limits import FIELDS_MAX, FORM_BYTES_MAX, JSON_BYTES_MAX

REFUSAL: Final = "creditapp.refusal"
"""Key of the WSGI environment: the error of a request whose body was not read."""


class _NamedParts(FormDataParser):
    """Parser of forms that refuses a part without a name, which werkzeug calls None."""

    def parse(self, *arguments: Any, **options: Any) -> Any:
        """Return what werkzeug's parser does; raise ``MalformedRequest``."""
        stream, form, files = super().parse(*arguments, **options)
        if None in form or None in files:
            raise MalformedRequest("A part of the form has no name.")
        return stream, form, files


class _Request(Request):
    form_data_parser_class = _NamedParts


def init_app(app: Flask) -> None:
    """Check every request; called before other hooks, so that their refusals have an id too."""
    # werkzeug bounds the parts of a multipart form alone.
    app.config.update(MAX_FORM_MEMORY_SIZE=FORM_BYTES_MAX, MAX_FORM_PARTS=FIELDS_MAX)
    app.request_class = _Request
    app.before_request(_begin_request)


def _begin_request() -> None:
    g.request_id = new_id("req")
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=g.request_id)
    refusal: AppError | None = request.environ.get(REFUSAL)
    if refusal is not None:
        raise refusal
    _refuse_long_body()
    _refuse_many_fields()
    _refuse_nul()


def _refuse_long_body() -> None:
    """Refuse a body by its declared length; one without is cut off while it is read."""
    bytes_max = body_bytes_max(current_app, request.endpoint, request.mimetype)
    if (request.content_length or 0) > bytes_max:
        most = f"{bytes_max // 1024} KB"
        if bytes_max > JSON_BYTES_MAX:
            most = f"{bytes_max // 1024**2} MB"
        raise PayloadTooLarge(f"The request body is longer than {most}.")
    request.max_content_length = bytes_max


def _refuse_many_fields() -> None:
    """Refuse a form or a query of too many fields before anything parses or renders them."""
    if request.query_string.count(b"&") >= FIELDS_MAX:
        raise MalformedRequest(f"The address has more than {FIELDS_MAX} fields.")
    most = fields_max(current_app, request.endpoint)
    request.max_form_parts = most
    if request.mimetype == FORM_TYPES[0] and request.get_data().count(b"&") >= most:
        raise PayloadTooLarge(f"The form has more than {most} fields.")


def _refuse_nul() -> None:
    """Refuse NUL, which PostgreSQL stores in no text, before a query fails on it."""
    texts = [request.path, *request.args, *(text for _, text in request.args.items(multi=True))]
    if any("\0" in text for text in texts):
        raise MalformedRequest("The address has a NUL character.")
