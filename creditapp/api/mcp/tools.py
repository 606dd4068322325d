"""The tools of ``/mcp``: each calls what the JSON API calls, and answers as it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from flask import request
from mcp_types import CallToolResult, ContentBlock, TextContent, Tool, ToolAnnotations

from creditapp.api.credits import BalanceAnswer
from creditapp.api.generate import place_order
from creditapp.api.generations import ChargeAnswer, GenerationAnswer, answer_of, failure_of
from creditapp.api.mcp.arguments import (
    GenerationArguments,
    NoArguments,
    generate_schema,
    take_wait_seconds,
)
from creditapp.api.mcp.files import content_of
from creditapp.api.mcp.protocol import Exchange
from creditapp.api.prices import CostsAnswer, price_list
from creditapp.api.quotes import QuoteAnswer, QuoteRequest, answer_quote
from creditapp.api.requests import key_of_route, operation_of, pop_max_micro
from creditapp.api.waiting import wait_for_end
from creditapp.db import reading
from creditapp.errors import AppError, Forbidden, ValidationFailed
from creditapp.generation import GenerationResult, find
from creditapp.generation.operations import OPERATIONS
from creditapp.http.json_provider import json_text, parse_members
from creditapp.http.problems import problem_members
from creditapp.http.schemas import Schema
from creditapp.http.sessions import require_member
from creditapp.http.viewer import caller, forget_viewer, viewer
from creditapp.ledger import MaxCreditsExceeded
from creditapp.rate_limits import MCP_MAX_MICRO

Arguments = dict[str, Any]


@dataclass(frozen=True)
class ToolAnswer:
    """The answer of a tool: an object, further content, and what it cost."""

    structured: Schema
    content: tuple[ContentBlock, ...] = ()
    used_micro: int = 0
    replayed: bool = False


@dataclass(frozen=True)
class McpTool:
    """A tool: what it takes, what it returns, and which keys may call it."""

    name: str
    title: str
    description: str
    scope: str
    run: Callable[[Arguments, Exchange], ToolAnswer]
    arguments: Callable[[], dict[str, Any]]
    """Returns the JSON schema of the arguments."""
    answer: type[Schema]
    is_read_only: bool = True


def described(tool: McpTool) -> Tool:
    """Return a tool as ``tools/list`` has it."""
    return Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=tool.arguments(),
        output_schema=tool.answer.model_json_schema(by_alias=True, mode="serialization"),
        annotations=ToolAnnotations(
            read_only_hint=tool.is_read_only,
            destructive_hint=False,
            # A call of generate is repeated without a second charge by its idempotencyKey alone.
            idempotent_hint=tool.is_read_only,
            open_world_hint=not tool.is_read_only,
        ),
    )


def call(tool: McpTool, arguments: Arguments, exchange: Exchange) -> CallToolResult:
    """Call a tool; a refusal is a result that says so, which a language model can act on."""
    try:
        key = require_member().key
        if key is not None and tool.scope not in key.scopes:
            raise Forbidden(f"This key lacks the scope {tool.scope}.")
        answer = tool.run(arguments, exchange)
    except AppError as error:
        return _refusal(error)
    structured = answer.structured.model_dump(by_alias=True)
    text = TextContent(type="text", text=json_text(structured))
    return CallToolResult(
        content=[text, *answer.content],
        structured_content=structured,
        _meta={"credits": _charge(answer.used_micro), "idempotentReplayed": answer.replayed},
    )


def _refusal(error: AppError) -> CallToolResult:
    """Return an error as a result. It is no structured content, which has the tool's schema."""
    problem = problem_members(error)
    if isinstance(error, MaxCreditsExceeded):
        problem["detail"] = problem["error"] = f"{error.detail} {_how_to_allow(error)}"
    text = TextContent(type="text", text=json_text(problem))
    meta: dict[str, Any] = {"code": error.code, "status": error.status}
    key = require_member().key
    if key is None or key.scopes & {"read", "generate"}:
        meta["credits"] = _charge(0)  # other keys may not read the balance
    return CallToolResult(content=[text], is_error=True, _meta=meta)


def _how_to_allow(error: MaxCreditsExceeded) -> str:
    if "X-Max-Credits" in request.headers:
        return "The header X-Max-Credits of this client's settings says so."
    return f"To go ahead, call again with maxCredits of at least {error.fields['required']}."


def _charge(used_micro: int) -> dict[str, Any]:
    remaining_micro = viewer().balance_micro
    charge = ChargeAnswer(used_micro=used_micro, remaining_micro=remaining_micro)
    return charge.model_dump(by_alias=True)


def _list_models(arguments: Arguments, _exchange: Exchange) -> ToolAnswer:
    parse_members(NoArguments, arguments)
    answer, key = price_list(), require_member().key
    if key is not None and key.models is not None:
        for operation in answer.operations:
            operation.models = [each for each in operation.models if each.model in key.models]
        answer.operations = [
            each for each in answer.operations if each.models or each.operation in key.models
        ]
    return ToolAnswer(answer)


def _quote(arguments: Arguments, _exchange: Exchange) -> ToolAnswer:
    return ToolAnswer(answer_quote(parse_members(QuoteRequest, arguments), arguments))


def _generate(arguments: Arguments, exchange: Exchange) -> ToolAnswer:
    body = dict(arguments)
    seconds = take_wait_seconds(body, exchange.wait_seconds)
    operation = body.pop("operation", None) or operation_of(body)
    if not isinstance(operation, str) or operation not in OPERATIONS:
        raise ValidationFailed.of("operation", f"One of {', '.join(OPERATIONS)}.")
    max_micro = pop_max_micro(body)
    by = caller(MCP_MAX_MICRO if max_micro is None else max_micro)
    result = place_order(operation, body, by, lambda key: key_of_route(key, "mcp"))
    replayed = result.replayed
    if not result.generation.finished and wait_for_end(by.owner, result.generation.id, seconds):
        result = find(reading(), result.generation.id, by)
    forget_viewer()
    return replace(_delivered(result, exchange), replayed=replayed)


def _get_generation(arguments: Arguments, exchange: Exchange) -> ToolAnswer:
    body = dict(arguments)
    seconds = min(take_wait_seconds(body, 0), exchange.wait_seconds)
    generation_id, by = parse_members(GenerationArguments, body).id, caller()
    result = find(reading(), generation_id, by)
    if not result.generation.finished and wait_for_end(by.owner, generation_id, seconds):
        result = find(reading(), generation_id, by)
    return replace(_delivered(result, exchange), used_micro=0)


def _delivered(result: GenerationResult, exchange: Exchange) -> ToolAnswer:
    """Return a generation with its files. Raises the error of one that failed."""
    if result.generation.state == "failed":
        raise failure_of(result.generation)
    answer = answer_of(result, with_balance=True)
    content = content_of(result, answer, exchange)
    return ToolAnswer(answer, content, result.generation.charged_micro)


def _balance(arguments: Arguments, _exchange: Exchange) -> ToolAnswer:
    parse_members(NoArguments, arguments)
    return ToolAnswer(BalanceAnswer.model_validate(viewer()))


_TOOLS: Final = (
    McpTool(
        "list_models",
        "Models and prices",
        "Lists the operations (text-to-image, video, audio and so on) and their models, with the "
        "price of each in credits and what an order may name: sizes, styles, voices. Free.",
        "read",
        _list_models,
        NoArguments.model_json_schema,
        CostsAnswer,
    ),
    McpTool(
        "quote",
        "Price of an order",
        "Returns what an order would cost in credits, and whether the balance is enough. Takes the "
        "arguments of generate. Nothing is charged or held. Free.",
        "read",
        _quote,
        QuoteRequest.model_json_schema,
        QuoteAnswer,
    ),
    McpTool(
        "generate",
        "Make images, video or speech",
        "Makes images, a video, speech or a talking face, and charges what it delivers. "
        "Refuses before anything runs what costs more than maxCredits. Waits for the result; where "
        "that takes longer, returns the id to ask get_generation for. With the same idempotencyKey "
        "the same order is made and charged once.",
        "generate",
        _generate,
        generate_schema,
        GenerationAnswer,
        is_read_only=False,
    ),
    McpTool(
        "get_generation",
        "State and result of a generation",
        "Returns the state, the progress and, when finished, the files of a generation. Free.",
        "read",
        _get_generation,
        GenerationArguments.model_json_schema,
        GenerationAnswer,
    ),
    McpTool(
        "balance",
        "Balance",
        "Returns the credits that can be spent. Free.",
        "read",
        _balance,
        NoArguments.model_json_schema,
        BalanceAnswer,
    ),
)

TOOLS: Final[Mapping[str, McpTool]] = {tool.name: tool for tool in _TOOLS}
