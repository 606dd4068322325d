"""The methods of the protocol that this server has: the handshake, and its tools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mcp_types import (
    INVALID_PARAMS,
    SERVER_INFO_META_KEY,
    CallToolRequestParams,
    CallToolResult,
    DiscoverResult,
    EmptyResult,
    Implementation,
    InitializeRequestParams,
    InitializeResult,
    ListToolsResult,
    Result,
    ServerCapabilities,
    ToolsCapability,
)
from mcp_types.version import (
    HANDSHAKE_PROTOCOL_VERSIONS,
    KNOWN_PROTOCOL_VERSIONS,
    LATEST_HANDSHAKE_VERSION,
    MODERN_PROTOCOL_VERSIONS,
)

from creditapp.api.mcp.protocol import Exchange, Method, ProtocolError
from creditapp.api.mcp.tools import TOOLS, call, described
from creditapp.config import Settings
from creditapp.http.sessions import require_member
from creditapp.services import get

_CAPABILITIES: Final = ServerCapabilities(tools=ToolsCapability())

_INSTRUCTIONS: Final = (
    "Makes images, video and speech on the credits of the key's owner. quote tells a price before "
    "anything is charged. generate charges what it delivers, nothing where it fails, and refuses "
    "what costs more than maxCredits. Send an idempotencyKey with generate, and send the same one "
    "again after a lost answer: it is then charged once."
)


def _initialize(params: InitializeRequestParams, _exchange: Exchange) -> Result:
    """Agree on the client's version, or offer the newest that begins in this way."""
    wanted = params.protocol_version
    is_known = wanted in HANDSHAKE_PROTOCOL_VERSIONS
    return InitializeResult(
        protocol_version=wanted if is_known else LATEST_HANDSHAKE_VERSION,
        capabilities=_CAPABILITIES,
        server_info=_server(),
        instructions=_INSTRUCTIONS,
    )


def _discover(_params: object, _exchange: Exchange) -> Result:
    return DiscoverResult(
        supported_versions=list(KNOWN_PROTOCOL_VERSIONS),
        capabilities=_CAPABILITIES,
        instructions=_INSTRUCTIONS,
        _meta=_server_meta(),
    )


def _ping(_params: object, _exchange: Exchange) -> Result:
    return EmptyResult()


def _list_tools(_params: object, exchange: Exchange) -> Result:
    """Return the tools that the key may call."""
    key = require_member().key
    tools = [described(tool) for tool in TOOLS.values() if key is None or tool.scope in key.scopes]
    return ListToolsResult(tools=tools, _meta=_meta(exchange))


def _call_tool(params: CallToolRequestParams, exchange: Exchange) -> Result:
    tool = TOOLS.get(params.name)
    if tool is None:
        raise ProtocolError(INVALID_PARAMS, f"This server has the tools {', '.join(TOOLS)}.")
    result: CallToolResult = call(tool, params.arguments or {}, exchange)
    result.meta = {**(result.meta or {}), **(_meta(exchange) or {})}
    return result


def _meta(exchange: Exchange) -> dict[str, Any] | None:
    return _server_meta() if exchange.version in MODERN_PROTOCOL_VERSIONS else None


def _server_meta() -> dict[str, Any]:
    return {SERVER_INFO_META_KEY: _server().model_dump(by_alias=True, exclude_none=True)}


def _server() -> Implementation:
    return Implementation(name="creditapp", title=get(Settings).site_name, version="1")


METHODS: Final[Mapping[str, Method]] = {
    "initialize": _initialize,
    "server/discover": _discover,
    "ping": _ping,
    "tools/list": _list_tools,
    "tools/call": _call_tool,
}
