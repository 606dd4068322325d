"""The pages of the API keys: created and shown once, changed, revoked, wrong fields kept."""

from __future__ import annotations

from flask import Flask

from tests.app_factory import Person
from tests.pages import parse_html

FIELDS = {
    "name": "Nightly builder",
    "scopes": ["read", "generate"],
    "period": "day",
    "budget": "5",
    "nonce": "nightly-builder",
}


def test_a_key_is_created_shown_once_changed_and_revoked(app: Flask, alice: Person) -> None:
    assert "You have none yet" in alice.page("/settings/api-keys").one("main").text
    answer = alice.post("/settings/api-keys", FIELDS)
    assert answer.headers["Cache-Control"] == "no-store"
    key = parse_html(answer.text).one("#new-key").text
    bearer = {"Authorization": f"Bearer {key}"}
    assert app.test_client().get("/api/credits", headers=bearer).status_code == 200
    page = alice.page("/settings/api-keys")
    assert key not in page.text
    assert key[-4:] in page.text
    (link,) = [a["href"] for a in page.all(".api-key h3 a")]
    form = alice.page(link)
    assert form.value("name") == "Nightly builder"
    assert form.value("budget") == "5"
    answer = alice.post(link, {**FIELDS, "name": "Reader", "scopes": "read", "budget": ""})
    assert answer.status_code == 303
    assert "Reader" in alice.page("/settings/api-keys").one(".api-key").text
    body = {"prompt": "a quay"}
    answer = app.test_client().post("/api/generate-image", json=body, headers=bearer)
    assert answer.json["code"] == "forbidden"
    assert alice.post(f"{link}/revoke").status_code == 303
    assert app.test_client().get("/api/credits", headers=bearer).status_code == 401
    assert alice.browser.get(link).status_code == 404


def test_a_key_is_limited_to_models_and_to_operations_with_a_price_of_their_own(
    alice: Person,
) -> None:
    page = alice.page("/settings/api-keys")
    offered = {box["value"]: box["id"] for box in page.all("input[name=models]")}
    assert {"nano-banana", "audio", "video", "lipsync", "upscale"} <= set(offered)
    name = page.one(f"label[for='{offered['audio']}']").text
    assert alice.post("/settings/api-keys", {**FIELDS, "models": "audio"}).status_code == 200
    assert name in alice.page("/settings/api-keys").one(".api-key").text


def test_a_wrong_field_is_named_and_what_was_typed_is_kept(alice: Person) -> None:
    for field, value, word in (
        ("name", "", "Name the program"),
        ("budget", "ten", "not a number"),
        ("budget", "1e3", "not a number"),
        ("budget", f"1{' ' * 62}000", "not a number"),
        ("ends", "tomorrow", "year-month-day"),
        ("ends", "2020-01-01", "in the future"),
        ("scopes", [], "at least one"),
        ("models", ["gpt-9"], "no model"),
    ):
        answer = alice.post("/settings/api-keys", {**FIELDS, field: value})
        assert answer.status_code == 422, field
        page = parse_html(answer.text)
        assert word in page.one("main").text, field
        if field != "budget":
            assert page.value("budget") == "5"
    assert not alice.page("/settings/api-keys").all(".api-key")


def test_every_wrong_field_is_named_at_once(alice: Person) -> None:
    wrong = {
        "name": "",
        "scopes": ["all"],
        "budget": "ten",
        "ends": "tomorrow",
        "models": ["gpt-9"],
    }
    create = "/settings/api-keys"
    alice.post(create, FIELDS)
    change = alice.page(create).one(".api-key a")["href"]
    for path in (create, change):
        answer = alice.post(path, {**FIELDS, **wrong})
        assert answer.status_code == 422
        text = parse_html(answer.text).one("main").text
        for words in ("Name the program", "one of read", "not a number", "year-", "no model gpt-9"):
            assert words in text, (path, words)


def test_a_double_click_creates_one_key_and_shows_it_twice(app: Flask, alice: Person) -> None:
    fields = {**FIELDS, "nonce": alice.page("/settings/api-keys").value("nonce")}
    key, again = [
        parse_html(alice.post("/settings/api-keys", fields).text).one("#new-key").text
        for _ in range(2)
    ]
    assert key == again
    assert len(alice.page("/settings/api-keys").all(".api-key")) == 1
    # An edited form, and the form of another, create keys of their own.
    edited = alice.post("/settings/api-keys", {**fields, "name": "Other"})
    stranger = Person(app).sign_up("stranger@example.com").post("/settings/api-keys", fields)
    keys = {parse_html(each.text).one("#new-key").text for each in (edited, stranger)}
    assert len(keys | {key}) == 3
    # A key that was revoked does not return; the page that says so has a new form.
    link = alice.page("/settings/api-keys").all(".api-key h3 a")[1]["href"]
    assert alice.post(f"{link}/revoke").status_code == 303
    late = alice.post("/settings/api-keys", fields)
    assert late.status_code == 409
    page = parse_html(late.text)
    assert "has ended" in page.one("main").text
    assert (page.value("name"), page.value("budget")) == ("Nightly builder", "5")
    fresh = alice.post("/settings/api-keys", {**fields, "nonce": page.value("nonce")})
    assert fresh.status_code == 200


def test_a_strangers_key_is_not_found(app: Flask, alice: Person) -> None:
    alice.post("/settings/api-keys", FIELDS)
    (link,) = [a["href"] for a in alice.page("/settings/api-keys").all(".api-key h3 a")]
    stranger = Person(app).sign_up("stranger@example.com")
    assert stranger.browser.get(link).status_code == 404
    assert stranger.post(link, FIELDS).status_code == 404
    assert stranger.post(f"{link}/revoke").status_code == 404
    assert not stranger.page("/settings/api-keys").all(".api-key")
