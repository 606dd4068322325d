"""``/mcp``: the Model Context Protocol, by which assistants list, price, make and read.

Stateless: each POST is answered with JSON by itself. There is no session and no stream, so that GET
and DELETE answer 405, as the specification of streamable HTTP has it.
"""

from __future__ import annotations

from flask import Blueprint, Response, request
from mcp_types import PARSE_ERROR, JSONRPCError, JSONRPCRequest, JSONRPCResponse

from creditapp.api.mcp import methods
from creditapp.api.mcp.protocol import ProtocolError, Reply, answer
from creditapp.errors import Forbidden, MalformedRequest
from creditapp.http.csrf import is_our_origin
from creditapp.http.documented import JSON, Answer, Documented
from creditapp.http.json_provider import json_response, read_json_value
from creditapp.http.policies import ANY_SCOPE, policy

routes = Blueprint("mcp", __name__)


@routes.post("/mcp")
@policy("user", scope=ANY_SCOPE)
@Documented(
    "The Model Context Protocol",
    JSONRPCResponse | JSONRPCError,
    body=JSONRPCRequest,
    headers=["MCP-Protocol-Version", "X-Max-Credits"],
    also={
        202: Answer("Notifications and responses, which have no answer"),
        400: Answer("The message is none of the protocol's", {JSON: JSONRPCError}),
        404: Answer("There is no such method", {JSON: JSONRPCError}),
    },
    max_in_body=False,
)
def exchange() -> Response:
    """Answer one JSON-RPC message, or a batch of them where the version has batches."""
    origin = request.headers.get("Origin")
    if origin is not None and not is_our_origin(origin):
        raise Forbidden("Another site's page may not call this.")
    try:
        body = read_json_value()
    except MalformedRequest as refusal:
        return _respond(ProtocolError(PARSE_ERROR, refusal.detail).reply(None))
    return _respond(answer(body, request.headers, methods.METHODS))


def _respond(reply: Reply) -> Response:
    if reply.body is None:
        return Response(status=reply.status)
    return json_response(reply.body, reply.status)
