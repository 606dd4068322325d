"""``/mcp``: the Model Context Protocol, by which assistants list, price, make and read.

Stateless: each POST is answered with JSON by itself. There is no session and no stream, so that GET
and DELETE answer 405, as the specification of streamable HTTP has it.
"""

from __future__ import annotations

from decimal import InvalidOperation

from flask import Blueprint, Response, current_app, request
from mcp_types import PARSE_ERROR, JSONRPCError, JSONRPCRequest, JSONRPCResponse

from creditapp.api.mcp import methods
from creditapp.api.mcp.protocol import ProtocolError, Reply, answer
from creditapp.errors import Forbidden, UnsupportedMediaType
from creditapp.http.csrf import is_our_origin
from creditapp.http.documented import JSON, Answer
from creditapp.http.json_provider import json_response
from creditapp.http.openapi import documented
from creditapp.http.policies import ANY_SCOPE, policy

routes = Blueprint("mcp", __name__)


@routes.post("/mcp")
@policy("user", scope=ANY_SCOPE)
@documented(
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
    if not request.is_json:
        raise UnsupportedMediaType("Send the message as application/json.")
    try:
        body = current_app.json.loads(request.get_data(cache=True))
    except (ValueError, RecursionError, InvalidOperation):
        error = ProtocolError(PARSE_ERROR, "The body is not valid JSON.")
        return _respond(error.reply(None))
    return _respond(answer(body, request.headers, methods.METHODS))


def _respond(reply: Reply) -> Response:
    if reply.body is None:
        return Response(status=reply.status)
    return json_response(reply.body, reply.status)
