"""The routes that order a generation: each operation, by its own route and by ``/api/chat``."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.api.contract import Program
from tests.generation.orders import ORDERS
from tests.generation.studio import Scripted, Studio, wallet
from tests.generation.test_submit import refused


@pytest.mark.parametrize("by_chat", [False, True], ids=["own route", "chat"])
@pytest.mark.parametrize("operation", ORDERS)
def test_an_operation_is_ordered_made_and_charged(
    api: Program, studio: Studio, provider: Scripted, operation: str, by_chat: bool
) -> None:
    order = ORDERS[operation]
    path, quoted, cost = order.path, order.quoted, order.charged
    provider.milliseconds = order.milliseconds
    body = order.body(studio, api.person)
    if by_chat:
        path, body = "/api/chat", {"type": operation, **body}
    answer = api.call("POST", path, body, Prefer="respond-async")
    assert answer.status_code == 202, answer.text
    assert (answer.json["operation"], answer.json["status"]) == (operation, "queued")
    assert answer.headers["X-Credits-Cost"] == str(quoted)
    assert answer.headers["X-Credits-Remaining"] == str(50 - quoted)
    assert wallet(api.person) == (50 - quoted, quoted)

    studio.queue.run()
    made = api.get(answer.headers["Location"])
    assert made["status"] == "succeeded"
    assert made["credits"] == {"used": cost, "remaining": 50 - cost}
    for asset in made["assets"]:
        assert asset["seconds"] == (provider.milliseconds and Decimal(provider.milliseconds) / 1000)
        assert asset["url"].startswith("/media/")
    is_image = made["assets"][0]["mimeType"].startswith("image/")
    assert made.get("imageUrl") == (made["assets"][0]["url"] if is_image else None)
    assert wallet(api.person) == (50 - cost, 0)
    studio.check()


@pytest.mark.parametrize("operation", ORDERS)
def test_a_quote_is_what_the_order_holds(api: Program, studio: Studio, operation: str) -> None:
    order = ORDERS[operation]
    body = order.body(studio, api.person)
    quote = api.call("POST", "/api/quotes", {"type": operation, **body}).json
    assert (quote["operation"], quote["cost"]) == (operation, order.quoted)
    assert quote["estimated"] == (operation == "audio")
    assert (quote["balance"], quote["shortfall"], quote["affordable"]) == (50, 0, True)
    assert sum(line["cost"] for line in quote["lines"]) == order.quoted
    assert wallet(api.person) == (50, 0)
    answer = api.call("POST", order.path, body, Prefer="respond-async")
    assert answer.headers["X-Credits-Cost"] == str(quote["cost"])


def test_a_quote_of_a_whole_body_is_refused_where_its_order_is(
    api: Program, studio: Studio
) -> None:
    body = {"prompt": "a quay", "model": "flux-dev", "style": "oil"}
    in_quote = api.refused(422, "validation_failed", "POST", "/api/quotes", body)
    in_order = api.refused(422, "validation_failed", "POST", "/api/generate-image", body)
    assert in_quote["errors"] == in_order["errors"]
    assert [each["field"] for each in in_quote["errors"]] == ["style"]


def test_a_quote_that_the_balance_does_not_pay_says_what_is_missing(
    api: Program, studio: Studio
) -> None:
    studio.order(api.person, "/api/generate-video", {"prompt": "waves"})
    quote = api.call("POST", "/api/quotes", {"type": "video", "seconds": 10}).json
    assert (quote["cost"], quote["balance"]) == (50, 25)
    assert (quote["shortfall"], quote["affordable"]) == (25, False)
    body = {"prompt": "waves", "seconds": 10}
    problem = api.refused(402, "insufficient_credits", "POST", "/api/generate-video", body)
    assert (problem["required"], problem["balance"], problem["shortfall"]) == (50, 25, 25)


def test_an_answer_within_the_wait_says_what_it_cost(api: Program, studio: Studio) -> None:
    body = {"prompt": "a quay", "model": "nano-banana"}
    first = api.call("POST", "/api/generate-image", body, Idempotency_Key="k1", Prefer="wait=0")
    studio.queue.run()
    answer = api.call("POST", "/api/generate-image", body, Idempotency_Key="k1")
    assert answer.status_code == 200
    assert answer.headers["X-Credits-Cost"] == "0.5"
    assert answer.headers["X-Credits-Remaining"] == "49.5"
    assert answer.json["id"] == first.json["id"]


def test_guests_order_text_to_image_and_nothing_else(
    guest_api: Program, api: Program, studio: Studio
) -> None:
    for operation, order in ORDERS.items():
        if operation == "text-to-image":
            continue
        body = order.body(studio, api.person)
        for where, sent in ((order.path, body), ("/api/chat", {"type": operation, **body})):
            problem = guest_api.refused(401, "authentication_required", "POST", where, sent)
            assert problem["signupUrl"] == "/auth/signup"
            assert problem["detail"] == "Sign up to use more than text to image."
    answer = guest_api.call(
        "POST", "/api/generate-image", {"prompt": "a quay"}, Prefer="respond-async"
    )
    assert answer.status_code == 202
    assert "X-Credits-Cost" not in answer.headers


@pytest.mark.parametrize("operation", ORDERS)
def test_the_members_of_older_clients_are_ignored_and_unknown_ones_refused(
    api: Program, studio: Studio, operation: str
) -> None:
    path = ORDERS[operation].path
    body = ORDERS[operation].body(studio, api.person)
    before = len(studio.generations())
    problem = api.refused(422, "validation_failed", "POST", path, {**body, "colour": "red"})
    assert problem["errors"] == [{"field": "colour", "message": "There is no field colour here."}]
    assert len(studio.generations()) == before
    studio.order(api.person, path, {**body, "models": ["whatever", 3]})


@pytest.mark.parametrize("operation", ORDERS)
def test_the_document_describes_the_body(api: Program, studio: Studio, operation: str) -> None:
    order = ORDERS[operation]
    body = order.body(studio, api.person)
    if "text" in body:  # the document has one of its two names
        body["prompt"] = body.pop("text")
    for path, sent in ((order.path, body), ("/api/chat", {"type": operation, **body})):
        described = api.document.operation("POST", path)
        content = described["requestBody"]["content"]["application/json"]
        api.document.validate(sent, content["schema"])
        for status in ("200", "202"):
            assert described["responses"][status]["headers"].keys() >= {"X-Credits-Cost"}


def test_the_only_one_of_images_is_the_image_to_enlarge(api: Program, studio: Studio) -> None:
    image = studio.bring(api.person)
    made = studio.order(api.person, "/api/upscale-image", {"images": [image]})
    assert studio.generation(made).parameters["image"] == image


def test_nano_banana_edits_too(api: Program, studio: Studio) -> None:
    body = {"prompt": "a quay", "images": [studio.bring(api.person)]}
    row = studio.generation(studio.order(api.person, "/api/generate-nano-banana", body))
    assert (row.operation, row.model) == ("image-to-image", "nano-banana")


@pytest.mark.parametrize("body", [{"type": "dance"}, {"type": None}, {"type": ["video"]}])
def test_a_chat_without_a_known_type_names_the_types(api: Program, body: dict[str, Any]) -> None:
    problem = api.refused(422, "validation_failed", "POST", "/api/chat", {"messages": [], **body})
    assert problem["errors"] == [
        {
            "field": "type",
            "message": "Send a type, which is one of text-to-image, image-to-image, upscale, "
            "video, audio, lipsync.",
        }
    ]


def test_a_key_of_another_operation_is_a_conflict(api: Program, studio: Studio) -> None:
    image = studio.bring(api.person)
    bodies = [
        {"type": "text-to-image", "prompt": "a quay"},
        {"type": "image-to-image", "prompt": "a quay", "images": [image]},
        {"type": "audio", "prompt": "a quay"},
        {"type": "upscale", "image": image},
    ]
    first = studio.order(api.person, "/api/chat", bodies[0], Idempotency_Key="k1")
    again = studio.order(api.person, "/api/chat", bodies[0], Idempotency_Key="k1")
    assert first == again
    for other in bodies[1:]:
        answer = api.call("POST", "/api/chat", other, Idempotency_Key="k1")
        refused(answer, 409, "idempotency_key_reused")
    assert wallet(api.person) == (49, 1)


@pytest.mark.parametrize("operation", ORDERS)
def test_the_same_key_and_body_make_one_generation(
    api: Program, studio: Studio, operation: str
) -> None:
    path, quoted = ORDERS[operation].path, ORDERS[operation].quoted
    body = ORDERS[operation].body(studio, api.person)
    ids = {studio.order(api.person, path, body, Idempotency_Key="k1") for _ in range(3)}
    assert len(ids) == 1
    assert wallet(api.person) == (50 - quoted, quoted)
    studio.queue.run()
    replay = api.call("POST", path, body, Idempotency_Key="k1")
    assert (replay.status_code, replay.headers["Idempotent-Replayed"]) == (200, "true")
    assert replay.json["credits"]["used"] <= quoted
    studio.check()
