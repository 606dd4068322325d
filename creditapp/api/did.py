"""``/.well-known/did.json``: the public key of what this site signs for agents."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from creditapp.agents import Identity
from creditapp.api.agents import require_agents_key
from creditapp.errors import NotFound
from creditapp.http.documented import Documented
from creditapp.http.json_provider import json_response
from creditapp.http.policies import policy
from creditapp.services import get

routes = Blueprint("did", __name__)
routes.before_request(require_agents_key)


@routes.get("/.well-known/did.json")
@policy("public")
@Documented(
    "The DID document of this site, with its public key", dict[str, Any], refuses=[NotFound]
)
def did_document() -> Response:
    """Return the document of the site's did:web."""
    return json_response(get(Identity).did_document(), 200, {"Cache-Control": "max-age=300"})
