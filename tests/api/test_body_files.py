"""Files inside a JSON body: stored as uploads when they are used, and not otherwise."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.api.contract import Program
from tests.generation import files
from tests.generation.studio import Scripted, Studio, wallet
from tests.generation.test_submit import at_once, post_as, refused

IMAGE = "/api/generate-image"


def data_url(data: bytes, mime_type: str = "image/png") -> str:
    return f"data:{mime_type};base64,{base64.b64encode(data).decode()}"


def edit(**members: Any) -> dict[str, Any]:
    return {"prompt": "at night", "model": "flux-dev", "images": [data_url(files.png())], **members}


def test_an_image_in_the_body_is_stored_as_an_upload_and_edited(
    api: Program, studio: Studio, provider: Scripted
) -> None:
    answer = api.call("POST", IMAGE, edit(), Prefer="respond-async")
    assert (answer.status_code, answer.json["operation"]) == (202, "image-to-image")
    studio.queue.run()
    (upload,) = studio.uploads()
    assert (upload.mime_type, upload.width, upload.height) == ("image/png", 64, 48)
    (image,) = provider.requests[0].images
    assert image.data.startswith(b"\x89PNG")
    assert wallet(api.person) == (49, 0)


def never(*_: object, **__: object) -> None:
    raise AssertionError("a repeated request stores nothing")


def test_the_same_key_and_file_are_the_same_order_and_are_stored_once(
    api: Program, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = studio.order(api.person, IMAGE, edit(), Idempotency_Key="k1")
    monkeypatch.setattr("creditapp.api.body_files.store_upload", never)
    assert studio.order(api.person, IMAGE, edit(), Idempotency_Key="k1") == first
    assert len(studio.uploads()) == 1
    other = edit(images=[data_url(files.png(color="teal"))])
    refused(api.call("POST", IMAGE, other, Idempotency_Key="k1"), 409, "idempotency_key_reused")
    assert len(studio.uploads()) == 1
    assert wallet(api.person) == (49, 1)


def test_two_requests_at_once_store_one_file(api: Program, studio: Studio) -> None:
    answers = at_once(3, lambda: post_as(api.person, edit(), "k1"))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json["id"] for answer in answers}) == 1
    assert len(studio.uploads()) == 1
    studio.queue.run()
    assert wallet(api.person) == (49, 0)
    studio.check()


def test_every_member_that_names_a_file_takes_one_in_the_body(api: Program, studio: Studio) -> None:
    image = data_url(files.png())
    for path, body in (
        ("/api/upscale-image", {"image": image}),
        ("/api/upscale-image", {"images": [image]}),
        ("/api/chat", {"type": "upscale", "image": image}),
        ("/api/generate-nano-banana", {"prompt": "at night", "images": [image]}),
    ):
        studio.order(api.person, path, body)
    assert len(studio.uploads()) == 4


@pytest.mark.parametrize(
    ("members", "field", "sentence"),
    [
        (
            {"images": ["data:image/png;base64,not base64!"]},
            "images.0",
            "The data of this URL is not base64.",
        ),
        ({"images": [data_url(b"")]}, "images.0", "This file is empty. Choose another one."),
        ({"size": "7x7"}, "size", "Flux Dev makes these sizes: "),
        ({"n": 11}, "n", "Flux Dev makes 1 to 4 images at once."),
        (
            {"images": ["data:image/png,plain"]},
            "images.0",
            "This is not the id of a file, such as upl_... or ast_....",
        ),
    ],
)
def test_a_refused_order_leaves_no_file_behind(
    api: Program, studio: Studio, members: dict[str, Any], field: str, sentence: str
) -> None:
    problem = api.refused(422, "validation_failed", "POST", IMAGE, edit(**members))
    (error,) = problem["errors"]
    assert error["field"] == field
    assert error["message"].startswith(sentence)
    assert studio.uploads() == []
    assert studio.generations() == []
    assert wallet(api.person) == (50, 0)
    studio.check()


def test_what_is_no_image_is_refused_by_its_bytes(api: Program, studio: Studio) -> None:
    body = edit(images=[data_url(b"<svg xmlns='http://www.w3.org/2000/svg'/>")])
    api.refused(415, "unsupported_media_type", "POST", IMAGE, body)
    assert studio.uploads() == []


def test_a_guest_stores_nothing(guest_api: Program, studio: Studio) -> None:
    problem = guest_api.refused(401, "authentication_required", "POST", IMAGE, edit())
    assert problem["signupUrl"] == "/auth/signup"
    assert studio.uploads() == []


def test_a_quote_of_a_body_with_a_file_stores_nothing(api: Program, studio: Studio) -> None:
    quote = api.call("POST", "/api/quotes", edit(n=2)).json
    assert (quote["operation"], quote["cost"]) == ("image-to-image", 2)
    assert studio.uploads() == []
