"""Pages and documents that are the same for every visitor: built once, sent with an ETag.

They are built again for another catalog, and always in debug mode. Their layout has no balance,
notice, token or cookie, so that one build serves guests and members.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from flask import Flask, Response, current_app, g, request

from creditapp.catalog import Catalog
from creditapp.http.rate_limiting import limited
from creditapp.http.viewer import site_facts
from creditapp.rate_limits import COSTLY_REQUESTS
from creditapp.services import get, provide


@dataclass(frozen=True)
class _Built:
    content: bytes
    etag: str


@dataclass
class SharedPages:
    """The builds of one app for its current catalog."""

    catalog: Catalog | None = None
    built: dict[str, _Built] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)


def init_app(app: Flask) -> None:
    """Keep the builds of the app."""
    provide(app, SharedPages, SharedPages())


def render_shared(template: str, /, **context: object) -> str:
    """Return a page without anything of this request: its header shows no viewer."""
    page = current_app.jinja_env.get_template(template)
    with without_visitor():
        return page.render(site=site_facts(), viewer=None, **context)


@contextmanager
def without_visitor() -> Iterator[None]:
    """Give forms no token meanwhile: the first visitor's would be shown to all the others."""
    g.csrf_token = ""
    try:
        yield
    finally:
        del g.csrf_token


def send_shared(build: Callable[[], str | bytes], mimetype: str = "text/html") -> Response:
    """Return what ``build`` returns for this path, built at the first request; 304 if it is known.

    The query is ignored. An error of ``build`` is raised and not kept, so that paths which do not
    exist fill no memory.
    """
    built = _find_or_build(request.path, build)
    response = Response(built.content, mimetype=mimetype)
    response.set_etag(built.etag)
    # A browser asks each time, and an unchanged page costs it a few bytes.
    response.headers["Cache-Control"] = "no-cache"
    response.make_conditional(request)
    return response


def _find_or_build(path: str, build: Callable[[], str | bytes]) -> _Built:
    pages = get(SharedPages)
    known = pages.built.get(path) if pages.catalog is get(Catalog) else None
    return known if known and not current_app.jinja_env.auto_reload else _build(path, build)


# A path that does not exist costs as much as one that is built, and is never kept.
@limited(COSTLY_REQUESTS, "costly", counts_when=lambda response: response.status_code == 404)
def _build(path: str, build: Callable[[], str | bytes]) -> _Built:
    pages, catalog = get(SharedPages), get(Catalog)
    # One build at a time: many first visitors must not build the same page in every thread.
    with pages.lock:
        if pages.catalog is not catalog or current_app.jinja_env.auto_reload:
            pages.built.clear()
            pages.catalog = catalog
        if path not in pages.built:
            content = build()
            content = content.encode() if isinstance(content, str) else content
            etag = hashlib.sha256(content).hexdigest()[:24]
            pages.built[path] = _Built(content, etag)
        return pages.built[path]
