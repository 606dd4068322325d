"""Images of messages: whose they are, what they cost, what vendors get, and what remains."""

from __future__ import annotations

import base64
import io
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from PIL import Image
from sqlalchemy import select
from werkzeug.test import TestResponse

from creditapp.accounts import AccountRules, User, delete_account
from creditapp.catalog import Catalog
from creditapp.chat import ChatProviders, images
from creditapp.chat.providers import ChatMessage
from creditapp.db import snapshot, transaction
from creditapp.generation.models import Upload
from creditapp.generation.uploads import sweep_uploads
from creditapp.media import Media
from creditapp.services import get, provide
from tests.app_factory import Person
from tests.chat.scripted import ScriptedChat, Turns, wallet
from tests.chat.test_fault_table import connect, fake_of, model_of
from tests.chat.test_page import send, settled
from tests.generation.files import jpeg, photograph, png

IMAGE_TOKENS = 2882
"""Of GPT-6 Luna."""


def uploaded(person: Person, data: bytes) -> str:
    answer = person.browser.post(
        "/api/uploads",
        data=data,
        content_type="application/octet-stream",
        headers={"Sec-Fetch-Site": "same-origin"},
    )
    assert answer.status_code == 201, answer.text
    return str(answer.json["id"])


def data_url(data: bytes, mime_type: str = "image/png") -> str:
    return f"data:{mime_type};base64,{base64.b64encode(data).decode()}"


def show(person: Person, *urls: str, path: str = "/api/chat", **members: Any) -> TestResponse:
    """Send a message with images."""
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    content = [{"type": "text", "text": "What is this?"}, *parts]
    headers = members.pop("headers", {})
    body = {"messages": [{"role": "user", "content": content}], **members}
    return person.call("POST", path, body, **headers)


def rows(app: Flask) -> list[Upload]:
    with app.app_context(), snapshot() as session:
        return list(session.scalars(select(Upload).order_by(Upload.id)))


def sent(provider: ScriptedChat) -> list[ChatMessage]:
    """Return the messages of the last call of the vendor."""
    return list(provider.requests[-1].messages)


@pytest.mark.parametrize("path", ["/api/chat", "/api/agent"])
def test_images_are_held_at_their_most_and_charged_as_counted(
    app: Flask, alice: Person, turns: Turns, provider: ScriptedChat, path: str
) -> None:
    own = uploaded(alice, png())
    address = f"http://localhost/uploads/{own}"
    answer = show(alice, own, address, data_url(jpeg(), "image/jpeg"), path=path)
    assert answer.status_code == 200, answer.text
    message = sent(provider)[-1]
    assert message.text == "What is this?"
    assert [each.mime_type for each in message.images] == ["image/png", "image/png", "image/jpeg"]
    record = turns.record()
    with app.app_context():
        model = get(Catalog).language_model("gpt-6-luna")
        assert model is not None
        text = sum(8 + len(each.text) for each in sent(provider))
        most = text + 3 * IMAGE_TOKENS
    # Written to the cache, at 0.0000125 credits each, and 8,192 out at 0.00005.
    assert record.held_micro == -(-most * 125 // 10) + 8_192 * 50
    assert record.cost_micro == 20_000, "as the vendor counted"
    assert wallet(alice) == (49.98, 0)


def test_a_message_without_the_vendors_count_is_charged_with_its_images(
    alice: Person, turns: Turns, provider: ScriptedChat
) -> None:
    provider.script = provider.script[:2] + provider.script[3:]
    show(alice, data_url(png()))
    assert turns.record().input_tokens > IMAGE_TOKENS


def test_a_foreign_address_is_never_opened(
    alice: Person, turns: Turns, provider: ScriptedChat
) -> None:
    for url in (
        "https://images.example/cat.png",
        "http://localhost.example/uploads/upl_" + "0" * 26,
        "file:///etc/passwd",
        "/uploads/../etc",
        "upl_1",
    ):
        answer = show(alice, url)
        assert (answer.status_code, answer.json["code"]) == (400, "malformed_request"), url
        assert "Other addresses are not opened" in answer.json["detail"]
    assert turns.records() == []
    assert provider.requests == []


def test_what_is_refused_holds_and_stores_nothing(
    app: Flask, alice: Person, charlie: Person, turns: Turns, provider: ScriptedChat
) -> None:
    hers, his = uploaded(alice, png()), uploaded(charlie, png())
    cases = (
        ((his,), 404, "You have no file"),
        ((hers, "upl_" + "0" * 26), 404, "You have no file"),
        ((hers,) * 5, 422, "at most 4 images"),
        ((data_url(b"no image"),), 415, "Send an image as PNG, JPEG or WebP."),
        ((data_url(png()[:60]),), 422, "damaged"),
        (("data:image/png;base64,%%%",), 422, "not base64"),
    )
    for urls, status, words in cases:
        answer = show(alice, *urls)
        assert answer.status_code == status, answer.text
        assert words in answer.json["detail"]
    assert turns.records() == []
    assert [each.id for each in rows(app)] == [hers, his]
    assert wallet(alice) == (50, 0)


def test_a_model_that_takes_no_images_refuses_them_before_anything_is_held(
    app: Flask, alice: Person, turns: Turns, provider: ScriptedChat
) -> None:
    first = show(alice, data_url(png()))
    with app.app_context():
        catalog = get(Catalog)
        blind = tuple(
            each.model_copy(update={"image_tokens": 0}) if each.id == "gpt-6.1-terra" else each
            for each in catalog.language_models
        )
        changed = catalog.model_copy(update={"language_models": blind})
    provide(app, Catalog, changed)
    answer = show(alice, data_url(png()), model="gpt-6.1-terra")
    assert answer.status_code == 422
    assert "GPT-6.1 Terra takes no images" in answer.json["detail"]
    follows = alice.call(
        "POST",
        "/api/chat",
        {
            "messages": [{"content": "And this?"}],
            "conversationId": first.json["conversationId"],
            "model": "gpt-6.1-terra",
        },
    )
    assert follows.status_code == 422, "the conversation has an image"
    assert len(turns.records()) == 1
    assert "no images" in alice.page("/chat").one('option[value="gpt-6.1-terra"]').text


def test_a_repeated_request_brings_the_same_images_and_stores_them_once(
    app: Flask, alice: Person, turns: Turns, provider: ScriptedChat
) -> None:
    key = {"Idempotency-Key": "k1"}
    first = show(alice, data_url(png()), headers=key)
    again = show(alice, data_url(png()), headers=key)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json == first.json
    other = show(alice, data_url(jpeg(), "image/jpeg"), headers=key)
    assert other.json["code"] == "idempotency_key_reused"
    assert len(rows(app)) == len(turns.records()) == 1


@pytest.mark.parametrize("vendor", ["openai", "anthropic"])
def test_a_vendor_gets_images_in_its_form_and_its_count_is_charged(
    app: Flask, alice: Person, turns: Turns, vendor: str
) -> None:
    with fake_of(vendor) as fake:
        connect(app, vendor, fake)
        answer = show(alice, data_url(png()), model=model_of(app, vendor).id)
        assert answer.status_code == 200, answer.text
    assert answer.json["usage"]["inputTokens"] == 1200 + 1500
    content = fake.calls[-1].body["messages"][-1]["content"]
    assert content[-1] == {"type": "text", "text": "What is this?"}
    assert [each["type"] for each in content[:-1]] == [
        {"openai": "image_url", "anthropic": "image"}[vendor]
    ]


def test_a_large_image_is_sent_smaller_and_upright(
    app: Flask, alice: Person, turns: Turns, provider: ScriptedChat
) -> None:
    show(alice, uploaded(alice, png(3000, 1500)), data_url(photograph(), "image/jpeg"))
    large, small = sent(provider)[-1].images
    assert Image.open(io.BytesIO(large.data)).size == (1568, 784)
    assert large.mime_type == "image/jpeg"
    assert Image.open(io.BytesIO(small.data)).size == (40, 80)


def test_a_deleted_image_is_said_to_be_gone_and_not_sent(
    alice: Person, turns: Turns, provider: ScriptedChat
) -> None:
    own = uploaded(alice, png())
    path = f"/chat/{show(alice, own).json['conversationId']}"
    assert alice.page(path).one(".chat-message-images img")["alt"] == "Image 1"
    assert alice.call("DELETE", f"/api/uploads/{own}").status_code == 204
    assert "Image 1 was deleted" in alice.page(path).one(".chat-message-images").text
    send(alice, f"{path}/again", nonce="another-answer")
    settled(alice, path)
    assert sent(provider)[-1].text == f"{images.DELETED}\n\nWhat is this?"
    assert sent(provider)[-1].images == ()


def test_only_the_newest_images_of_a_long_conversation_are_sent(
    alice: Person, turns: Turns, provider: ScriptedChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "CHAT_IMAGES_SENT_MAX", 2)
    own = [uploaded(alice, png(10 + n, 10)) for n in range(3)]
    first = show(alice, own[0])
    show(alice, *own[1:], conversationId=first.json["conversationId"])
    assert [len(each.images) for each in sent(provider)] == [0, 0, 2]
    assert images.EARLIER in sent(provider)[0].text


def post(person: Person, page: str, *files: bytes, **fields: str) -> TestResponse:
    """Send the form of a page with files, as a browser without scripts does."""
    form = person.page(page)
    chosen = [(io.BytesIO(data), f"{n}.png") for n, data in enumerate(files)]
    data = {
        "csrf_token": form.value("csrf_token"),
        "nonce": fields.pop("nonce", "") or form.value("nonce"),
        "text": "What is this?",
        "file_images": chosen,
        **fields,
    }
    headers = {"Sec-Fetch-Site": "same-origin"}
    return person.browser.post("/chat/messages", data=data, headers=headers)


def test_a_page_without_scripts_sends_images_and_keeps_them_by_edit_and_repeat(
    app: Flask, alice: Person, turns: Turns, provider: ScriptedChat
) -> None:
    for _ in range(2):
        answer = post(alice, "/chat", png(), jpeg(), nonce="the-same-nonce")
        assert answer.status_code == 303, answer.text
        path = settled(alice, str(answer.headers["Location"]))
    assert len(rows(app)) == 2
    assert len(turns.records()) == 1, "a form that is sent twice asks once"
    assert len(alice.page(path).all(".chat-message-images img")) == 2
    send(alice, f"{path}/again", nonce="another-answer")
    settled(alice, path)
    assert len(sent(provider)[-1].images) == 2
    edit = alice.page(path).one(".chat-message-question .chat-message-acts a")["href"]
    form = alice.page(edit.partition("#")[0])
    chosen = [each["value"] for each in form.all("[data-sources-chosen] input")]
    assert len(chosen) == 2
    conversation_id = path.rpartition("/")[2]
    fields = {"images": chosen[0], "conversation": conversation_id, "edited": form.value("edited")}
    post(alice, path, text="And this?", **fields)
    settled(alice, path)
    assert [(each.text, len(each.images)) for each in sent(provider)] == [("And this?", 1)]


def test_a_refused_message_of_a_page_says_why_and_keeps_its_images(
    app: Flask, alice: Person, turns: Turns
) -> None:
    for files, status, words in (
        ((png(),) * 5, 422, "at most 4 images"),
        ((b"no image",), 415, "Send an image"),
        ((png()[:60],), 422, "damaged"),
        ((png() + bytes(20 * 1024**2),), 413, "at most 20 MB"),
    ):
        answer = post(alice, "/chat", *files)
        assert answer.status_code == status, answer.text
        assert words in answer.text
        assert "What is this?" in answer.text
    assert rows(app) == []
    turns.spend_down_to("0.05")
    answer = post(alice, "/chat", png())
    assert answer.status_code == 402
    (upload,) = rows(app)
    assert f'value="{upload.id}" checked' in answer.text
    assert turns.records() == []


def test_images_end_with_their_conversation_or_account_and_not_before(
    app: Flask, alice: Person, turns: Turns
) -> None:
    kept = uploaded(alice, png())
    other = show(alice, kept).json["conversationId"]
    brought = show(alice, kept, data_url(jpeg(), "image/jpeg")).json["conversationId"]
    with app.app_context():
        sweep_uploads(now=turns.clock.now() + timedelta(days=60))
    assert len(rows(app)) == 2, "a chat has them"
    keys = [each.media_key for each in rows(app)]
    send(alice, f"/chat/{brought}/delete")
    assert [each.id for each in rows(app)] == [kept], "it belongs to the other conversation"
    assert alice.page(f"/chat/{other}").has(".chat-message-images img")
    with app.app_context():
        with transaction() as session:
            user = session.scalars(select(User).where(User.email == alice.email)).one()
            delete_account(session, user, get(AccountRules), now=turns.clock.now())
        sweep_uploads(now=turns.clock.now())
        files = [each for each in keys if _has_file(each)]
    assert (rows(app), files) == ([], [])


def _has_file(media_key: str) -> bool:
    try:
        with get(Media).open(media_key):
            return True
    except FileNotFoundError:
        return False


def test_a_demonstration_says_how_many_images_it_got(
    app: Flask, alice: Person, turns: Turns
) -> None:
    provide(app, ChatProviders, ChatProviders({}, offline=True))
    answer = show(alice, data_url(png()), data_url(jpeg(), "image/jpeg"))
    assert "It came with 2 images." in answer.json["message"]["content"]
    assert answer.json["usage"]["inputTokens"] > 2000
    assert answer.json["credits"]["used"] > Decimal("0.02")
