"""``/api/docs``: the API's description as a page, rendered from the OpenAPI document."""

from __future__ import annotations

from flask import Blueprint, Response

from creditapp.http.documented import UNCHANGED, Documented
from creditapp.http.openapi import describe
from creditapp.http.policies import policy
from creditapp.http.shared_pages import render_shared, send_shared
from creditapp.web.view_models.api_reference import Reference

PAGE = "pages/api_docs/index.html"

pages = Blueprint("api_docs", __name__)


@pages.get("/api/docs")
@policy("public")
@Documented("The API documentation as a page", str, also=UNCHANGED, mime_type="text/html")
def docs() -> Response:
    """Show how to begin, and every operation with its parameters, bodies, answers and samples."""
    return send_shared(_build_page)


def _build_page() -> str:
    document = describe()
    reference = Reference(document)
    return render_shared(
        PAGE,
        groups=reference.groups(),
        objects=reference.objects(),
        problems=document["x-problems"],
        server=document["servers"][0]["url"],
    )
