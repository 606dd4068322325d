"""Pages and fragments from one set of templates.

A fragment is a named block of its page, so that a full page and an HTMX response cannot differ.
A component is one macro in a file of its own, called as ``{{ ui.balance(...) }}`` and never
imported.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from flask import (
    Flask,
    Response,
    current_app,
    g,
    make_response,
    render_template,
    request,
    send_file,
    url_for,
)
from jinja2 import Environment, StrictUndefined, TemplateRuntimeError
from lucide.jinja import lucide
from markupsafe import Markup
from werkzeug.urls import iri_to_uri

from creditapp import units
from creditapp.catalog import Catalog
from creditapp.catalog.formatting import amount, figure
from creditapp.errors import NotFound
from creditapp.http import charts, mistakes
from creditapp.http.markdown import MARKS_MAX, count_marks, render_markdown
from creditapp.http.moments import day, moment, moment_text, short_day
from creditapp.http.policies import policy
from creditapp.services import get

STYLES = ("reset", "tokens", "base", "layout", "parts/*", "components/*", "pages/*", "utilities")
"""The style sheets in the order of the cascade, as patterns of files; pages load them as one."""


class Components:
    """``ui.<name>``: the macro of that name in ``components/<name>.html``.

    Emails have parts of their own: ``mail.<name>`` in HTML, ``plain.<name>`` in text. They are
    never guarded: an email with a mistake is not sent.
    """

    def __init__(
        self, environment: Environment, path: str = "components/{}.html", *, guard: bool = False
    ) -> None:
        self._environment = environment
        self._path = path
        self._guard = guard

    def __getattr__(self, name: str) -> Callable[..., Markup]:
        if name.startswith("_"):
            raise AttributeError(name)
        if self._guard and mistakes.shown():
            return mistakes.guarded(name, partial(self._macro, name))
        return self._macro(name)

    def _macro(self, name: str) -> Callable[..., Markup]:
        template = self._environment.get_template(self._path.format(name))
        macro: Callable[..., Markup] | None = getattr(template.module, name, None)
        if macro is None:
            raise TemplateRuntimeError(f"{template.name} has no macro named {name}")
        return macro


def init_app(app: Flask) -> None:
    """Add components, filters and globals to the templates, and serve htmx."""
    app.jinja_env.undefined = StrictUndefined
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.add_extension("jinja2.ext.do")
    app.jinja_env.filters.update(
        credits=credits_text,
        brief=lambda micro: credits_text(units.round_down(micro)),
        money=units.money_text,
        markdown=_markdown,
        moment=moment,
        plural=plural,
        words=words,
        day=day,
        short_day=short_day,
        moment_text=moment_text,
    )
    app.jinja_env.globals.update(
        ui=Components(app.jinja_env, guard=True),
        mail=Components(app.jinja_env, "emails/parts/{}.html"),
        plain=Components(app.jinja_env, "emails/parts/{}.txt"),
        columns=charts.columns,
        scale_top=charts.scale_top,
        segments=charts.segments,
        share=charts.share,
        shape=charts.shape,
        asset=asset,
        icon=icon,
        unit=unit,
    )
    app.after_request(_finish_static_file)
    app.add_url_rule("/static/styles.css", "styles", _send_styles)
    app.add_url_rule("/static/vendor/htmx.js", "htmx", _send_htmx)


def _markdown(text: str) -> Markup:
    """Return a text as HTML, or as it is when the texts before it took the page's share."""
    left, marks = g.get("markdown_marks", MARKS_MAX), count_marks(text)
    if marks <= left:
        g.markdown_marks = left - marks
    return render_markdown(text, left)


def render_page(template: str, /, **context: Any) -> str:
    """Return a whole page."""
    return render_template(template, **context)


def render_block(template: str, block: str, /, **context: Any) -> str:
    """Return one named block of a page, as a fragment for HTMX."""
    current_app.update_template_context(context)
    page = current_app.jinja_env.get_template(template)
    return "".join(page.blocks[block](page.new_context(context)))


def wants_fragment() -> bool:
    """Whether HTMX requests a fragment; it requests a page of its history whole."""
    return "HX-Request" in request.headers and "HX-History-Restore-Request" not in request.headers


def page_or_block(template: str, block: str, /, status: int = 200, **context: Any) -> Response:
    """Return the page for a browser, or the block for HTMX."""
    render = (
        render_block(template, block, **context)
        if wants_fragment()
        else render_page(template, **context)
    )
    response = make_response(render, status)
    response.headers["Vary"] = "HX-Request"
    return response


def go(url: str) -> Response:
    """Redirect the browser, for HTMX by a header.

    htmx cannot follow a cross-origin 303, so every redirect uses this function. A header is ASCII:
    werkzeug quotes a Location, and no other header.
    """
    if "HX-Request" in request.headers:
        return Response(status=204, headers={"HX-Redirect": iri_to_uri(url)})
    return Response(status=303, headers={"Location": url})


def with_query(path: str, fields: Mapping[str, object]) -> str:
    """Return a path with a query of the fields that have a value, each value of a list."""
    query = urlencode({name: value for name, value in fields.items() if value}, doseq=True)
    return f"{path}?{query}" if query else path


def asset(path: str) -> str:
    """Return the URL of a static file with its content's digest, so that caches may store it."""
    folder = Path(current_app.static_folder or "")
    if path == "styles.css":
        return url_for("styles", v=styles()[1])
    if path == "vendor/htmx.js":
        return url_for("htmx", v=_digest(htmx_file(), 0))
    file = folder / path
    return url_for("static", filename=path, v=_digest(file, file.stat().st_mtime_ns))


@cache
def _digest(file: Path, _modified_ns: int) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:12]


def styles() -> tuple[bytes, str]:
    """Return all style sheets as one, and their digest; read again when templates are."""
    read = _read_styles.__wrapped__ if current_app.jinja_env.auto_reload else _read_styles
    return read(Path(current_app.static_folder or "") / "css")


@cache
def _read_styles(folder: Path) -> tuple[bytes, str]:
    files = (file for pattern in STYLES for file in sorted(folder.glob(f"{pattern}.css")))
    content = b"\n".join(file.read_bytes() for file in files)
    return content, hashlib.sha256(content).hexdigest()[:12]


@cache
def htmx_file() -> Path:
    """Return the path of htmx inside the installed package; Django itself is never imported."""
    spec = find_spec("django_htmx")
    if spec is None or spec.origin is None:
        raise RuntimeError("django-htmx is not installed: run the locked installation again")
    return Path(spec.origin).parent / "static" / "django_htmx" / "htmx-2.min.js"


@policy("public")
def _send_styles() -> Response:
    """Send all style sheets as one; its URL changes with their content."""
    response = Response(styles()[0], mimetype="text/css")
    response.add_etag()
    response.make_conditional(request)
    return response


@policy("public")
def _send_htmx() -> Response:
    """Send htmx from its package; it changes only with the locked version."""
    if not htmx_file().exists():
        raise NotFound
    return send_file(htmx_file(), mimetype="text/javascript")


def _finish_static_file(response: Response) -> Response:
    """Let caches keep a file whose URL has its digest, and read it whole: gzip takes no stream."""
    if request.endpoint in ("static", "styles", "htmx") and response.status_code == 200:
        if "v" in request.args:
            response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        response.direct_passthrough = False
        response.make_sequence()
    return response


def unit() -> str:
    """Return the unit in which this site shows amounts: ``credits`` or ``dollars``."""
    return get(Catalog).unit


def credits_text(micro: int) -> str:
    """Return an amount in this site's unit: ``0.5``, or ``$12.34``."""
    return figure(get(Catalog), micro)


def words(micro: int) -> str:
    """Return an amount with its unit: ``110 credits``, ``$12.34``."""
    return amount(get(Catalog), micro)


def icon(name: str, size: int = 18, class_: str = "") -> Markup:
    """Return a Lucide icon as inline SVG, hidden from screen readers; a word is beside it."""
    attributes = {"class": class_} if class_ else {}
    svg = lucide(name, size=size, aria_hidden="true", focusable="false", **attributes)
    return Markup(svg)  # noqa: S704  # the installed package's own SVG


def plural(count: int, one: str, many: str) -> str:
    """Return the singular or plural of a word."""
    return one if count == 1 else many
