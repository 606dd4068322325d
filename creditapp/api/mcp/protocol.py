"""JSON-RPC messages of the Model Context Protocol: read, checked by their version, answered.

Two generations of the protocol are served. Up to 2025-11-25 a client begins with ``initialize`` and
then names the version in a header; from 2026-07-28 each request carries all of it, in the headers
and in its ``_meta``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from mcp_types import (
    HEADER_MISMATCH,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PROTOCOL_VERSION_META_KEY,
    UNSUPPORTED_PROTOCOL_VERSION,
    JSONRPCError,
    JSONRPCNotification,
    JSONRPCRequest,
    Result,
)
from mcp_types.jsonrpc import ErrorData
from mcp_types.methods import SERVER_RESULTS, parse_client_request
from mcp_types.version import KNOWN_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS, is_version_at_least
from pydantic import TypeAdapter, ValidationError
from werkzeug.datastructures import Headers

from creditapp.generation.orders import holds_controls
from creditapp.rate_limits import GENERATION_WAIT_SECONDS, MCP_BATCH_MAX

DEFAULT_VERSION: Final = "2025-03-26"
"""Of a request without the header, says the specification."""

_WITHOUT_BATCHES: Final = "2025-06-18"
"""The version that removed batches."""

_ID_CHARACTERS_MAX = 200


@dataclass(frozen=True)
class Exchange:
    """The protocol's version of a request, and how long a method may wait."""

    version: str
    wait_seconds: int = GENERATION_WAIT_SECONDS


@dataclass(frozen=True)
class Reply:
    """An answer: a JSON body, or none, and a status."""

    body: object
    status: int = 200


Method = Callable[[Any, Exchange], Result]
"""A method of the protocol: gets its parsed parameters; raises ``ProtocolError``."""

ACCEPTED: Final = Reply(None, 202)


class ProtocolError(Exception):
    """A message that cannot be answered: an error of JSON-RPC, unlike one of a tool."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(message)
        self.error = ErrorData(code=code, message=message, data=data)

    def reply(self, message_id: int | str | None, status: int = 400) -> Reply:
        """Return the error as the answer to a message."""
        error = JSONRPCError(jsonrpc="2.0", id=message_id, error=self.error)
        body = error.model_dump()
        if self.error.data is None:
            del body["error"]["data"]
        return Reply(body, status)


def answer(body: object, headers: Headers, methods: Mapping[str, Method]) -> Reply:
    """Return the reply to the JSON of a request."""
    try:
        if isinstance(body, list):
            return _answer_batch(body, headers, methods)
        return _answer_one(body, headers, methods)
    except ProtocolError as error:
        return error.reply(_id_of(body))


def _answer_batch(messages: list[Any], headers: Headers, methods: Mapping[str, Method]) -> Reply:
    """Return the answers of a batch in its order; only versions before 2025-06-18 have batches."""
    version = headers.get("MCP-Protocol-Version", DEFAULT_VERSION)
    _require_known(version)
    if is_version_at_least(version, _WITHOUT_BATCHES):
        raise ProtocolError(INVALID_REQUEST, f"{version} of the protocol has no batches.")
    if not 1 <= len(messages) <= MCP_BATCH_MAX:
        text = f"A batch has at least 1 and at most {MCP_BATCH_MAX} messages."
        raise ProtocolError(INVALID_REQUEST, text)
    exchange = Exchange(version, GENERATION_WAIT_SECONDS // len(messages))
    replies = []
    for message in messages:
        try:
            if isinstance(message, dict) and message.get("method") == "initialize":
                raise ProtocolError(INVALID_REQUEST, "initialize may not be part of a batch.")
            reply = _dispatch(message, exchange, methods)
        except ProtocolError as error:
            reply = error.reply(_id_of(message))
        if reply.body is not None:
            replies.append(reply.body)
    return Reply(replies) if replies else ACCEPTED


def _answer_one(message: object, headers: Headers, methods: Mapping[str, Method]) -> Reply:
    version = _version_of(message, headers)
    is_modern = version in MODERN_PROTOCOL_VERSIONS
    if is_modern:
        _check_headers(message, headers)
    reply = _dispatch(message, Exchange(version), methods)
    if not is_modern or not isinstance(reply.body, dict) or "error" not in reply.body:
        return reply
    code = reply.body["error"]["code"]
    return Reply(reply.body, 404 if code == METHOD_NOT_FOUND else 400)


def _dispatch(message: object, exchange: Exchange, methods: Mapping[str, Method]) -> Reply:
    """Return the answer to one message; an error of a request answers it with 200."""
    if not isinstance(message, dict):
        raise ProtocolError(INVALID_REQUEST, "A message is a JSON object.")
    if "method" not in message and ("result" in message or "error" in message):
        return ACCEPTED  # nothing was asked of the client, so nothing waits for this
    try:
        if "id" not in message:
            JSONRPCNotification.model_validate(message)
            return ACCEPTED
        request = JSONRPCRequest.model_validate(message)
    except ValidationError:
        text = "A message has jsonrpc 2.0, a method, an id unless it is a notification, and params."
        raise ProtocolError(INVALID_REQUEST, text) from None
    if _id_of(message) is None:
        text = f"An id is a number, or a text of at most {_ID_CHARACTERS_MAX} characters."
        raise ProtocolError(INVALID_REQUEST, text)
    try:
        result = _call(request, exchange, methods)
    except ProtocolError as error:
        return error.reply(request.id, 200)
    return Reply({"jsonrpc": "2.0", "id": request.id, "result": result})


def _call(
    request: JSONRPCRequest, exchange: Exchange, methods: Mapping[str, Method]
) -> dict[str, Any]:
    name, version = request.method, exchange.version
    try:
        parsed = parse_client_request(name, version, request.params)
        method = methods[name]
    except KeyError:
        known = ", ".join(sorted(methods))
        raise ProtocolError(METHOD_NOT_FOUND, f"This server has the methods {known}.") from None
    except ValidationError as error:
        fields = sorted({".".join(str(part) for part in each["loc"]) for each in error.errors()})
        data = {"fields": [field for field in fields[:20] if not holds_controls(field)]}
        raise ProtocolError(INVALID_PARAMS, "The parameters are not valid.", data) from None
    result = method(parsed.params, exchange).model_dump(by_alias=True, exclude_none=True)
    # By the version's own schema, and without JSON: amounts stay exact.
    surface: Any = SERVER_RESULTS[(name, version)]
    adapter = TypeAdapter[Any](surface)
    checked = adapter.validate_python(result, by_name=False)
    dumped: dict[str, Any] = adapter.dump_python(checked, by_alias=True, exclude_none=True)
    return dumped


def _version_of(message: object, headers: Headers) -> str:
    """Return the version of a request: its header's, which its ``_meta`` repeats where it is new.

    Raises ``ProtocolError`` for an unknown one, or where the two differ.
    """
    sent = headers.get("MCP-Protocol-Version")
    named = _meta_of(message).get(PROTOCOL_VERSION_META_KEY)
    if named is not None and named != sent:
        text = "The header MCP-Protocol-Version and the version in _meta differ."
        raise ProtocolError(HEADER_MISMATCH, text)
    version = DEFAULT_VERSION if sent is None else sent
    _require_known(version)
    return version


def _require_known(version: str) -> None:
    if version not in KNOWN_PROTOCOL_VERSIONS:
        data = {"supported": list(KNOWN_PROTOCOL_VERSIONS), "requested": version[:40]}
        text = "This server does not know this version of the protocol."
        raise ProtocolError(UNSUPPORTED_PROTOCOL_VERSION, text, data)


def _check_headers(message: object, headers: Headers) -> None:
    """Raise ``ProtocolError`` unless the headers repeat the method, and the name of a tool."""
    if not isinstance(message, dict) or "id" not in message:
        return
    if headers.get("Mcp-Method") != message.get("method"):
        raise ProtocolError(HEADER_MISMATCH, "The header Mcp-Method has to repeat the method.")
    params = message.get("params")
    name = params.get("name") if isinstance(params, dict) else None
    if message.get("method") == "tools/call" and headers.get("Mcp-Name") != name:
        raise ProtocolError(HEADER_MISMATCH, "The header Mcp-Name has to repeat the tool's name.")


def _meta_of(message: object) -> Mapping[str, Any]:
    params = message.get("params") if isinstance(message, dict) else None
    meta = params.get("_meta") if isinstance(params, dict) else None
    return meta if isinstance(meta, dict) else {}


def _id_of(message: object) -> int | str | None:
    """Return the id of a message, or None where it has none that can be sent back."""
    message_id = message.get("id") if isinstance(message, dict) else None
    if isinstance(message_id, int) and not isinstance(message_id, bool):
        return message_id if abs(message_id) < 2**63 else None
    if not isinstance(message_id, str) or len(message_id) > _ID_CHARACTERS_MAX:
        return None
    return None if holds_controls(message_id) else message_id
