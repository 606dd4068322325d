"""Discovery: documents at fixed addresses by which programs find what this site is and sells.

Source: llmstxt.org, and draft-payment-discovery-00 for the payments.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from creditapp.agents import discovery
from creditapp.catalog import Catalog
from creditapp.config import Settings
from creditapp.errors import NotFound
from creditapp.http.documented import UNCHANGED, Documented
from creditapp.http.json_provider import json_response
from creditapp.http.openapi import describe
from creditapp.http.policies import policy
from creditapp.http.shared_pages import render_shared, send_shared
from creditapp.services import get
from creditapp.units import money_text

PAGE = "pages/discovery/llms.txt"

pages = Blueprint("discovery", __name__)


@pages.get("/llms.txt")
@policy("public")
@Documented(
    "The text that tells programs how to buy and spend", str, also=UNCHANGED, mime_type="text/plain"
)
def llms() -> Response:
    """Say in plain text how a program buys and spends."""
    return send_shared(_build_text, "text/plain")


@pages.get("/openapi.json")
@policy("public")
def openapi() -> Response:
    """Return the OpenAPI document where programs look for it; also at ``/api/openapi.json``."""
    return send_shared(lambda: json_response(describe()).get_data(), "application/json")


@pages.get("/.well-known/payment")
@policy("public")
@Documented("The methods of the Payment scheme", dict[str, Any], refuses=[NotFound])
def payment_methods() -> Response:
    """Name the methods of the Payment scheme; 404 without one, as the draft has it."""
    methods = discovery.payment_methods()
    if methods is None:
        raise NotFound
    return json_response(methods, 200, {"Cache-Control": "max-age=300"})


def _build_text() -> str:
    agents = get(Catalog).agents
    return render_shared(
        PAGE,
        origin=get(Settings).site_url,
        agents=agents if get(Settings).agents_key else None,
        price=money_text(agents.price_minor, agents.currency),
        rails=discovery.rail_names(),
    )
