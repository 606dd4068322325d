"""Start a turn from a body with messages: the files that it brings, the images that it names."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from flask import request

from creditapp import chat
from creditapp.api.body_files import FilesInBody
from creditapp.api.chat_schemas import ConversationBody, MessageBody
from creditapp.api.requests import with_model
from creditapp.chat import ChatMessage, ChatOrder, LiveTurn
from creditapp.chat.queries import find_by_key
from creditapp.clock import now
from creditapp.config import Settings
from creditapp.db import reading
from creditapp.errors import MalformedRequest
from creditapp.generation import Caller
from creditapp.generation.sources import ID_PATTERN
from creditapp.http.json_provider import parse_members
from creditapp.http.viewer import forget_viewer
from creditapp.services import get

_IMAGE_PATH: Final = re.compile(rf"(/uploads/|/media/)?(?P<id>{ID_PATTERN})", re.ASCII)


def start_turn(order: ChatOrder, key: str, by: Caller) -> LiveTurn:
    """Start a turn of the calling member."""
    turn = chat.start(order, by.require_member(), key=key, now=now(), request_keys=by.request_keys)
    forget_viewer()
    return turn


def start_conversation(
    sent: dict[str, Any], by: Caller, order: ChatOrder, key_of: Callable[[ConversationBody], str]
) -> tuple[LiveTurn, ConversationBody]:
    """Start the turn of a body; ``order`` says everything that the body does not.

    ``key_of`` returns the idempotency key of a body. Files in the body become uploads, which are
    deleted again unless the turn uses them.
    """
    with FilesInBody(sent, by) as files:
        body = parse_members(ConversationBody, with_model(files.body))
        asked = _order(order, body, files)
        key = key_of(body)
        # A repeated request finds what the first one stored.
        if files and find_by_key(reading(), by.require_member().id, key) is None:
            files.store(kinds=["image"])
            asked = _order(order, parse_members(ConversationBody, with_model(files.body)), files)
        turn = start_turn(asked, key, by)
        if not turn.replayed:
            files.keep()
    return turn, body


def _order(order: ChatOrder, body: ConversationBody, files: FilesInBody) -> ChatOrder:
    return replace(
        order,
        messages=_messages(body.messages),
        model=body.model,
        conversation_id=body.conversation_id,
        file_digests=files.digests,
    )


def _messages(bodies: Sequence[MessageBody]) -> list[ChatMessage]:
    return [
        ChatMessage(body.role, body.content, tuple(map(_image_id, body.image_urls)))
        for body in bodies
    ]


def _image_id(url: str) -> str:
    """Return the id that an address of this site names; raise ``MalformedRequest`` for others."""
    path = url
    for origin in (get(Settings).site_url.rstrip("/"), request.host_url.rstrip("/")):
        path = path.removeprefix(origin)
    match = _IMAGE_PATH.fullmatch(path)
    if match is None:
        raise MalformedRequest(
            "An image is a data: URL with base64, or the id or address of a file of your own here. "
            "Other addresses are not opened: upload the image, or send it as a data: URL."
        )
    return match["id"]
