"""Responses with a stored file: sent by the app, or by a redirect to a signed link of its bucket.

The route checks the owner before.
"""

from __future__ import annotations

from flask import Response, send_file
from werkzeug.http import dump_options_header

from creditapp.media import Link, Media
from creditapp.services import get

YEAR_SECONDS = 31536000
"""Files never change."""


def send_media(key: str, mime_type: str, name: str, *, as_attachment: bool) -> Response:
    """Return a file's response. Raises ``FileNotFoundError`` where the app sends it itself."""
    disposition = "attachment" if as_attachment else "inline"
    header = dump_options_header(disposition, {"filename": name})
    place = get(Media).location(key, header)
    if isinstance(place, Link):
        response = Response(status=302, headers={"Location": place.url})
        response.headers["Cache-Control"] = f"private, max-age={place.fresh_seconds}"
        return response
    response = send_file(
        place,
        mimetype=mime_type,
        as_attachment=as_attachment,
        download_name=name,
        conditional=True,
        max_age=YEAR_SECONDS,
    )
    # Private: a shared cache must never serve one user's file to another.
    response.headers["Cache-Control"] = f"private, max-age={YEAR_SECONDS}, immutable"
    return response
