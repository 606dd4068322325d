"""The client package against a real server: what each method returns, raises and pays."""

from __future__ import annotations

from decimal import Decimal
from itertools import islice

import pytest
from creditapp_client import (
    AuthenticationFailed,
    Conflict,
    CreditApp,
    IdempotencyKeyReused,
    InsufficientCredits,
    MaxCreditsExceeded,
    NotFound,
    PermissionDenied,
    ValidationFailed,
    WaitTimeout,
)

from tests.api_server import ApiServer

ORDER = {"prompt": "a quay at first light", "model": "nano-banana"}


def test_an_image_is_quoted_made_and_downloaded(client: CreditApp) -> None:
    quote = client.quote(**ORDER)
    assert (quote["cost"], quote["affordable"]) == (Decimal("0.5"), True)
    made = client.generate(**ORDER, max_credits=quote["cost"])
    assert made["status"] == "succeeded"
    assert made["credits"] == {"used": Decimal("0.5"), "remaining": Decimal("49.5")}
    assert client.download(made["assets"][0])[1:4] == b"PNG"
    assert client.download(made["imageUrl"] or "")[1:4] == b"PNG"
    assert client.generation(made["id"])["assets"] == made["assets"]
    client.delete(made["id"])
    with pytest.raises(NotFound):
        client.generation(made["id"])
    with pytest.raises(ValueError, match="another server"):
        client.download("https://elsewhere.example/file")


def test_a_generation_may_be_awaited_later(client: CreditApp) -> None:
    begun = client.generate("audio", text="The harbour is quiet.", wait_seconds=0)
    assert begun["status"] in ("queued", "running", "succeeded")
    done = client.wait(begun["id"], 40)
    assert (done["status"], done["assets"][0]["mimeType"][:5]) == ("succeeded", "audio")
    begun = client.generate(**ORDER, n=4, wait_seconds=0)
    with pytest.raises(WaitTimeout) as raised:
        client.wait(begun["id"], 0)
    assert raised.value.generation_id == begun["id"]
    client.wait(begun["id"], 40)


def test_lists_are_read_page_after_page(client: CreditApp) -> None:
    for number in range(103):
        client.spend(Decimal("0.000001"), "ai-generation", description=str(number))
    lines = list(client.transactions(type="DEBIT"))
    assert [line["description"] for line in lines] == [str(n) for n in reversed(range(103))]
    assert [each["type"] for each in islice(client.transactions(), 1)] == ["DEBIT"]
    assert client.balance()["balance"] == Decimal("49.999897")
    assert list(client.generations()) == []


def test_credits_are_spent_held_captured_and_released_once(client: CreditApp) -> None:
    spent = [client.spend(2, "ai-generation", idempotency_key="bill-1") for _ in range(2)]
    assert spent[0] == spent[1]
    assert spent[0]["balance"] == 48
    with pytest.raises(IdempotencyKeyReused):
        client.spend(3, "ai-generation", idempotency_key="bill-1")
    hold = client.hold(10, "ai-generation", seconds=60)
    captured = [client.capture(hold["id"], Decimal("2.5")) for _ in range(2)]
    assert captured[0] == captured[1]
    assert (captured[0]["captured"], captured[0]["balance"]) == (Decimal("2.5"), Decimal("45.5"))
    with pytest.raises(Conflict):
        client.release(hold["id"])
    other = client.hold(5, "ai-generation")
    assert client.release(other["id"])["balance"] == Decimal("45.5")
    assert client.access_token("ai-generation")["token"].startswith("cat_")


def test_chat_is_answered_whole_and_in_pieces(client: CreditApp) -> None:
    question = [{"role": "user", "content": "Name three harbours."}]
    whole = client.chat(question, model="gpt-6-luna", max_credits=1)
    assert whole["message"]["content"]
    stream = client.stream_chat(question)
    pieces = list(stream)
    assert len(pieces) > 1
    assert "".join(pieces) == stream.text
    assert stream.done is not None
    assert stream.done["finishReason"] == "stop"
    assert stream.usage is not None
    assert stream.usage["credits"]["remaining"] == client.balance()["balance"]
    vectors = client.embed(["Harbour", "Quay"])
    assert len(vectors["data"]) == 2
    assert [each["source"] for each in client.usage()] == ["embeddings", "chat", "chat"]


def test_refusals_are_classes(server: ApiServer, client: CreditApp) -> None:
    with pytest.raises(MaxCreditsExceeded) as dear:
        client.generate(**ORDER, n=2, max_credits=Decimal("0.5"))
    assert (dear.value.problem["required"], dear.value.status) == (1, 402)
    assert dear.value.request_id
    with pytest.raises(InsufficientCredits) as poor:
        client.spend(51, "ai-generation")
    assert poor.value.problem["shortfall"] == 1
    with pytest.raises(ValidationFailed) as wrong:
        client.generate(prompt="x", model="none")
    assert wrong.value.problem["errors"][0]["field"] == "model"
    with pytest.raises(NotFound):
        client.generation("gen_none")
    with pytest.raises(AuthenticationFailed):
        CreditApp(server.url, "cak_wrong").balance()
    with pytest.raises(PermissionDenied):
        CreditApp(server.url, server.new_key("read")).generate(**ORDER)
    careful = CreditApp(server.url, server.new_key("read", "generate"), max_credits=1)
    with pytest.raises(MaxCreditsExceeded):
        careful.generate(**ORDER, n=3)
    assert careful.generate(**ORDER, n=3, max_credits=2)["status"] == "succeeded"
    assert client.balance()["balance"] == 50
    with pytest.raises(ValueError, match="base_url"):
        CreditApp("file:///etc", "cak_x")


def test_a_file_is_uploaded_and_edited(client: CreditApp) -> None:
    made = client.generate(**ORDER)
    uploaded = client.upload(client.download(made["assets"][0]), "image/png")
    edited = client.generate("upscale", image=uploaded["id"])
    assert edited["credits"] is not None
    assert edited["credits"]["used"] == 5
