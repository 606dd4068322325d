"""``/api/openapi.json``: the OpenAPI document."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from creditapp.http.documented import UNCHANGED, Documented
from creditapp.http.json_provider import json_response
from creditapp.http.openapi import describe
from creditapp.http.policies import policy
from creditapp.http.shared_pages import send_shared

routes = Blueprint("openapi", __name__)


@routes.get("/openapi.json")
@policy("public")
@Documented("The OpenAPI document", dict[str, Any], also=UNCHANGED)
def openapi() -> Response:
    """Return the OpenAPI document."""
    return send_shared(lambda: json_response(describe()).get_data(), "application/json")
