"""Uploads: sent by the studio's form or a script, shown to their owner alone, deleted."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from flask import Flask
from PIL import Image
from werkzeug.test import TestResponse

from creditapp.http.headers import FILE_POLICY
from tests.app_factory import Person
from tests.generation.files import jpeg, png, wav
from tests.pages import Element, parse_html

HTMX = {"HX-Request": "true", "Accept": "application/problem+json, text/html;q=0.9"}


def send(person: Person, data: bytes, name: str = "mine.png", **fields: str) -> TestResponse:
    """Upload a file as the source picker does."""
    fields = {"add_to": "images", "kinds": "image", **fields}
    return person.post("/uploads", {**fields, "file": (io.BytesIO(data), name)}, headers=HTMX)  # type: ignore[dict-item]


def upload(person: Person, data: bytes) -> str:
    """Upload a file by the API; return its id."""
    answer = api(person, data)
    assert answer.status_code == 201, answer.text
    return str(answer.json["id"])


def api(person: Person, data: bytes, **headers: str) -> TestResponse:
    return person.browser.post(
        "/api/uploads",
        data=data,
        headers={"Sec-Fetch-Site": "same-origin", "Content-Type": "image/png", **headers},
    )


def test_the_answer_to_the_picker_is_the_chosen_tile(alice: Person) -> None:
    answer = send(alice, png(120, 90))
    assert answer.status_code == 201
    tile = re.search(
        r'<input type="checkbox" name="images" value="(upl_\w+)" checked>', answer.text
    )
    assert tile, answer.text
    assert "120 × 90" in answer.text
    assert alice.browser.get(f"/uploads/{tile[1]}/thumbnail").mimetype == "image/webp"


def test_a_picker_of_one_file_gets_a_radio_button(alice: Person) -> None:
    assert '<input type="radio" name="image"' in send(alice, png(), add_to="image", single="1").text


def test_a_refusal_is_a_sentence_for_the_picker(alice: Person) -> None:
    answer = send(alice, b"only a text", "photo.png")
    assert (answer.status_code, answer.json["code"]) == (415, "unsupported_media_type")
    assert "PNG, JPEG or WebP" in answer.json["detail"]


def test_a_picker_of_images_refuses_a_voice(alice: Person) -> None:
    answer = send(alice, wav(1))
    assert answer.status_code == 422
    assert answer.json["detail"] == "This is audio. Choose an image."


def add(person: Person, data: bytes, field: str, query: str = "", **fields: str) -> Element:
    """Press "Add" in the studio's form without a script; return the page that it answers."""
    file: Any = (io.BytesIO(data), "mine.png")
    sent = {"add_to": field, f"kinds_{field}": "image", f"file_{field}": file, **fields}
    answer = person.post(f"/uploads{query}", sent)
    assert "Location" not in answer.headers, "an address would have the prompt in it"
    return parse_html(answer.text)


def ids_of(page: Element, field: str) -> list[str]:
    return [each["value"] for each in page.all(f'[name="{field}"][checked]')]


def test_without_a_script_the_form_is_shown_again_with_the_file(alice: Person) -> None:
    first = upload(alice, png(30, 30))
    fields = {"operation": "image-to-image", "prompt": "a quay & a boat", "images": first}
    page = add(alice, png(60, 40), "images", **fields)
    assert page.one("textarea[name=prompt]").text.strip() == "a quay & a boat"
    earlier, later = ids_of(page, "images")
    assert earlier == first
    assert later != first


def test_without_a_script_a_single_file_takes_the_place_of_the_last(alice: Person) -> None:
    first = upload(alice, png(30, 30))
    fields = {"operation": "upscale", "image": first}
    (later,) = ids_of(add(alice, png(), "image", "?single=1", **fields), "image")
    assert later != first
    fields = {"operation": "video", "images": first, "prompt": "waves"}
    (frame,) = ids_of(add(alice, png(), "images", "?single=1", **fields), "images")
    assert frame != first


def test_without_a_script_a_refusal_is_beside_its_field(alice: Person) -> None:
    fields = {"operation": "image-to-image", "prompt": "kept"}
    page = add(alice, b"GIF89a...", "images", **fields)
    assert "This file is a GIF." in page.one("#field-images-error").text
    assert page.one("textarea[name=prompt]").text.strip() == "kept"
    answer = alice.post("/uploads", {"add_to": "images", **fields})
    assert answer.status_code == 422
    assert "Choose a file first." in answer.text


def test_a_file_is_its_owners_alone_and_can_run_nothing(
    app: Flask, alice: Person, charlie: Person, guest: Person
) -> None:
    upload_id = upload(alice, jpeg())
    answer = alice.browser.get(f"/uploads/{upload_id}")
    assert answer.status_code == 200
    assert Image.open(io.BytesIO(answer.data)).format == "JPEG"
    headers = answer.headers
    assert headers["Content-Security-Policy"] == FILE_POLICY
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Disposition"] == "attachment; filename=upload.jpg"
    assert headers["Cache-Control"] == "private, max-age=31536000, immutable"
    for address in (f"/uploads/{upload_id}", f"/uploads/{upload_id}/thumbnail"):
        assert charlie.browser.get(address).status_code == 404
        asked = guest.browser.get(address, headers={"Accept": "application/json"})
        assert (asked.status_code, asked.json["signupUrl"]) == (401, "/auth/signup")
    assert charlie.post(f"/uploads/{upload_id}/delete").status_code == 404
    assert charlie.call("DELETE", f"/api/uploads/{upload_id}").status_code == 404
    assert alice.browser.get(f"/uploads/{upload_id}").status_code == 200


@pytest.mark.parametrize("upload_id", ["upl_x", "upl_" + "0" * 26, "%00", "..%2F..%2Fetc"])
def test_an_unknown_upload_is_not_found(alice: Person, upload_id: str) -> None:
    assert alice.browser.get(f"/uploads/{upload_id}").status_code in (400, 404)


def test_a_file_of_ones_own_is_chosen_by_its_id(alice: Person, charlie: Person) -> None:
    upload_id = upload(alice, png())
    path = f"/sources/{upload_id}?add_to=images&kinds=image"
    assert (
        f'type="checkbox" name="images" value="{upload_id}" checked' in alice.browser.get(path).text
    )
    as_voice = alice.browser.get(path.replace("kinds=image", "kinds=audio"), headers=HTMX)
    assert (as_voice.status_code, as_voice.json["detail"]) == (
        422,
        "This is an image. Choose audio.",
    )
    assert charlie.browser.get(path).status_code == 404
    assert alice.browser.get("/sources/ast_unknown").status_code == 404


def test_a_guest_is_asked_to_sign_up(guest: Person) -> None:
    answer = api(guest, png())
    assert (answer.status_code, answer.json["signupUrl"]) == (401, "/auth/signup")
    assert send(guest, png()).status_code == 401


def test_the_page_lists_and_deletes(alice: Person) -> None:
    assert "No uploads yet" in alice.browser.get("/uploads").text
    first, second = upload(alice, png(50, 40)), upload(alice, wav(3))
    page = alice.browser.get("/uploads").text
    assert page.index(second) < page.index(first)
    assert "0:03" in page
    assert alice.post(f"/uploads/{first}/delete").headers["Location"] == "/uploads"
    page = alice.browser.get("/uploads").text
    assert first not in page
    assert second in page


def test_a_body_that_says_it_is_200_mb_is_refused_unread(alice: Person) -> None:
    class Unread(io.BytesIO):
        def read(self, *_: Any) -> bytes:
            raise AssertionError("the body was read")

    answer = alice.browser.post(
        "/api/uploads",
        input_stream=Unread(),
        environ_overrides={"CONTENT_LENGTH": str(200 * 1024**2)},
        headers={"Sec-Fetch-Site": "same-origin", "Content-Type": "image/png"},
    )
    assert (answer.status_code, answer.json["code"]) == (413, "payload_too_large")
    assert answer.json["detail"] == "The request body is longer than 51 MB."


def test_a_form_without_its_token_stores_nothing(alice: Person) -> None:
    answer = alice.browser.post("/uploads", data={"file": (io.BytesIO(png()), "a.png")})
    assert answer.status_code == 403
    assert alice.call("GET", "/api/uploads").json["items"] == []
