"""Chat: conversations with language models, each answer with its cost."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from flask import Blueprint, Response, make_response, request
from werkzeug.datastructures import FileStorage

from creditapp import chat, credentials
from creditapp.accounts import Member
from creditapp.catalog import Catalog
from creditapp.catalog.price_list import credit_costs
from creditapp.chat import ChatMessage, ChatOrder, exchanges
from creditapp.chat.exchanges import Exchange
from creditapp.chat.models import Conversation, Message
from creditapp.chat.queries import find_by_key, find_conversation
from creditapp.clock import now
from creditapp.db import reading, transaction
from creditapp.errors import AppError, AuthenticationRequired, NotFound, ValidationFailed
from creditapp.generation.uploads import store_upload, sweep_uploads
from creditapp.http import forms
from creditapp.http.policies import policy
from creditapp.http.rendering import go, render_block, render_page, wants_fragment
from creditapp.http.viewer import caller, forget_viewer, notify
from creditapp.ids import new_id
from creditapp.logs import failures_logged
from creditapp.rate_limits import CHAT_IMAGES_MAX, UPLOAD_BODY_BYTES_MAX
from creditapp.services import get
from creditapp.web import view_models

PAGE = "pages/chat/index.html"
PAGE_SIZE = 30
MESSAGES_MAX = 60
"""Of one page; the earlier ones are a link away."""
CHARACTERS_MAX = 20_000
FILES_MAX = CHAT_IMAGES_MAX + 1
"""One more than a message takes, so that too many are refused and not cut."""

pages = Blueprint("chat", __name__)


@pages.get("/chat")
@policy("user")
def index() -> Response:
    """Show an empty conversation, and the list of the others; ``text`` begins the message."""
    return make_response(render_page(PAGE, **_page(None, text=forms.text("text", CHARACTERS_MAX))))


@pages.get("/chat/<conversation_id>")
@policy("user")
def conversation(conversation_id: str) -> Response:
    """Show a conversation; with ``edit``, one of its questions in the form."""
    opened = _find(conversation_id)
    edited = None
    if forms.text("edit"):
        edited = exchanges.find_question(reading(), opened.id, forms.text("edit"))
    return make_response(render_page(PAGE, **_page(opened, edited=edited)))


@pages.post("/chat/messages")
@policy("user", body_bytes_max=UPLOAD_BODY_BYTES_MAX)
def ask() -> Response:
    """Send a question: a new one, or one in the place of an earlier question."""
    text = forms.text("text", None).strip()
    image_ids = forms.several("images", FILES_MAX)
    opened = _find(forms.text("conversation")) if forms.text("conversation") else None
    edited = None
    if opened and forms.text("edited"):
        edited = exchanges.find_question(reading(), opened.id, forms.text("edited"))
    try:
        if not text:
            raise ValidationFailed.of("text", "Write a message.")
        if "\0" in text:
            raise ValidationFailed.of("text", "The message has a character that is none.")
        if len(text) > CHARACTERS_MAX:
            detail = f"The message has {len(text):,} characters; {CHARACTERS_MAX:,} fit."
            raise ValidationFailed.of("text", detail)
        order = ChatOrder(
            source="chat",
            messages=[ChatMessage("user", text, tuple(image_ids))],
            model=forms.text("model") or None,
            conversation_id=opened.id if opened else None,
            from_position=edited.position if edited else None,
        )
        files = [each for each in request.files.getlist("file_images") if each.filename]
        return _begin(_with_files(order, files, image_ids), opened)
    except AppError as refusal:
        if wants_fragment():
            raise
        context = _page(opened, edited=edited, text=text, image_ids=image_ids)
        return make_response(
            render_page(PAGE, **context | {"problem": view_models.problem(refusal)}), refusal.status
        )


@pages.post("/chat/<conversation_id>/again")
@policy("user")
def answer_again(conversation_id: str) -> Response:
    """Have the newest question answered again; the earlier answer is replaced, not its cost."""
    opened = _find(conversation_id)
    question = exchanges.last_question(reading(), opened.id)
    if question is None:
        return go(f"/chat/{opened.id}")
    order = ChatOrder(
        source="chat",
        messages=[],
        model=exchanges.last_model(reading(), opened.id),
        conversation_id=opened.id,
        from_position=question.position + 1,
    )
    return _begin(order, None)


@pages.get("/chat/answers/<usage_id>")
@policy("user")
def answer(usage_id: str) -> Response:
    """Return an answer as far as it is written; the page asks until it has ended."""
    exchange = exchanges.find_exchange(reading(), usage_id, _member().id)
    if not wants_fragment():
        return go(f"/chat/{exchange.message.conversation_id}")
    body = render_block(PAGE, "exchange", messages=view_models.chat_messages([exchange]))
    if exchange.record is None or exchange.record.state != "settled":
        return make_response(body)
    spent_micro = exchanges.spent_micro(reading(), exchange.message.conversation_id)
    response = make_response(body + render_block(PAGE, "spent", oob=True, spent_micro=spent_micro))
    response.headers["HX-Trigger-After-Settle"] = "balance-changed"
    return response


@pages.post("/chat/answers/<usage_id>/stop")
@policy("user")
def stop(usage_id: str) -> Response:
    """Stop an answer: what was received is paid for."""
    exchange = exchanges.find_exchange(reading(), usage_id, _member().id)
    with transaction() as session:
        chat.request_stop(session, usage_id, _member().id, now=now())
    if wants_fragment():
        return make_response("", 204)
    return go(f"/chat/{exchange.message.conversation_id}")


@pages.post("/chat/<conversation_id>/delete")
@policy("user")
def delete(conversation_id: str) -> Response:
    """Delete a conversation for good."""
    with transaction() as session:
        exchanges.delete_conversation(session, conversation_id, _member().id)
    with failures_logged("files of a conversation not deleted"):  # the daily sweep tries again
        sweep_uploads(now=now(), owner=_member().owner)
    notify("info", text="The conversation is deleted.")
    return go("/chat")


def _with_files(order: ChatOrder, files: Sequence[FileStorage], image_ids: list[str]) -> ChatOrder:
    """Return the order with the images that the form brings, as it does without a script.

    They are stored and added to ``image_ids``, which a refused message keeps for the next try,
    unless the form was sent before.
    """
    if not files:
        return order
    if len(files) + len(image_ids) > CHAT_IMAGES_MAX:
        raise ValidationFailed.of("images", f"A message takes at most {CHAT_IMAGES_MAX} images.")
    digests = {new_id("upl"): hashlib.sha256(each.read()).hexdigest() for each in files}
    order = _with_images(order, [*image_ids, *digests], digests)
    key = forms.idempotency_key(order.digest())
    if find_by_key(reading(), _member().id, key) is not None:
        return order
    stored = {}
    for file, digest in zip(files, digests.values(), strict=True):
        file.stream.seek(0)
        upload = store_upload(file.stream, caller(), kinds=["image"], now=now())
        stored[upload.id] = digest
        image_ids.append(upload.id)
    return _with_images(order, image_ids, stored)


def _with_images(
    order: ChatOrder, image_ids: Sequence[str], digests: Mapping[str, str]
) -> ChatOrder:
    messages = [replace(each, image_ids=tuple(image_ids)) for each in order.messages]
    return replace(order, messages=messages, file_digests=digests)


def _begin(order: ChatOrder, shown: Conversation | None) -> Response:
    """Start a turn; return what it adds to the page that is shown, or go to its page."""
    turn = chat.start(order, _member(), key=forms.idempotency_key(order.digest()), now=now())
    conversation_id = turn.record.conversation_id
    if not wants_fragment() or shown is None:
        return go(f"/chat/{conversation_id}")
    forget_viewer()
    added = exchanges.list_exchanges(reading(), shown.id, size=2)
    body = render_block(PAGE, "exchange", messages=view_models.chat_messages(added))
    body += render_block(PAGE, "form", oob=True, **_form(shown, model=order.model))
    response = make_response(body, 202)
    response.headers["HX-Trigger-After-Settle"] = "balance-changed"
    return response


def _page(
    opened: Conversation | None,
    *,
    edited: Message | None = None,
    text: str = "",
    image_ids: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Return the context of the page; four queries with a conversation, and those of images."""
    session = reading()
    page = exchanges.list_conversations(
        session, _member().id, size=PAGE_SIZE, before=forms.text("cursor") or None
    )
    before = edited.position if edited else forms.whole("before", 9)
    found: Sequence[Exchange] = []
    if opened:
        found = exchanges.list_exchanges(session, opened.id, size=MESSAGES_MAX, before=before)
    earlier = found[0].message.position if len(found) == MESSAGES_MAX else None
    model = next((each.record.model for each in reversed(found) if each.record), None)
    return {
        **_form(opened, model=model, edited=edited, text=text, image_ids=image_ids),
        "conversations": page.rows,
        "next_url": page.next_cursor and f"/chat?cursor={page.next_cursor}",
        "messages": view_models.chat_messages(found),
        "earlier_url": f"/chat/{opened.id}?before={earlier}" if opened and earlier else None,
        "spent_micro": exchanges.spent_micro(session, opened.id) if opened else None,
    }


def _form(
    opened: Conversation | None,
    *,
    model: str | None,
    edited: Message | None = None,
    text: str = "",
    image_ids: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Return the context of the form; ``image_ids`` are chosen, else those of the edited one."""
    catalog, member = get(Catalog), _member()
    costs = next((each for each in credit_costs(catalog) if each.operation == "chat"), None)
    if costs is None:
        raise NotFound("This site has no chat.")
    if image_ids is None:
        image_ids = edited.image_ids if edited else ()
    language_models = {each.id: each for each in catalog.language_models}
    return {
        "conversation": opened,
        "models": [
            {
                "id": each.model,
                "name": each.name,
                "best_for": language_models[each.model].best_for,
                "sentence": each.sentence,
                "takes_images": language_models[each.model].takes_images,
            }
            for each in costs.models
        ],
        "picker": view_models.source_picker(
            "images", "Images", ["image"], image_ids, most=CHAT_IMAGES_MAX, required=False
        ),
        "chosen": model or costs.models[0].model,
        "edited": edited,
        "text": text,
        "nonce": secrets.token_urlsafe(16),
        "characters_max": CHARACTERS_MAX,
        "minimum_micro": catalog.token_minimum_micro,
        "lacks_keys": member.api_key_mode == "own"
        and not credentials.list_vendors(reading(), member.id),
    }


def _find(conversation_id: str) -> Conversation:
    return find_conversation(reading(), conversation_id, _member().id)


def _member() -> Member:
    """Return the member; the policy lets nobody else in."""
    member = caller().member
    if member is None:
        raise AuthenticationRequired
    return member
