"""``/api/me/access-token``: a token by which one feature may spend for a minute."""

from __future__ import annotations

from flask import Blueprint, Response

from creditapp.api.requests import parse_body
from creditapp.errors import Forbidden
from creditapp.features import generate_access_token
from creditapp.http.documented import Documented
from creditapp.http.json_provider import json_response
from creditapp.http.policies import policy
from creditapp.http.schemas import Moment, RequestSchema, Schema
from creditapp.http.sessions import require_member

routes = Blueprint("access_tokens", __name__)


class TokenBody(RequestSchema):
    """The feature that may spend."""

    feature: str


class TokenAnswer(Schema):
    """A token, to be sent as ``Authorization: Bearer``, and its end."""

    token: str
    expires_at: Moment


@routes.post("/me/access-token")
@policy("user", scope="spend")
@Documented("A token by which one feature may spend for 60 seconds", TokenAnswer, body=TokenBody)
def create_token() -> Response:
    """Return a token of the caller for a feature; what it spends counts to the caller's key."""
    body, member = parse_body(TokenBody), require_member()
    if member.feature is not None:
        raise Forbidden("An access token makes no further ones.")
    token = generate_access_token(member.id, body.feature, key_id=member.key_id)
    return json_response(TokenAnswer.model_validate(token))
