"""Moderation: asked before anything is held, and never in the way for long."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import event

from creditapp.config import SettingsInvalid, load_settings
from creditapp.db import db
from creditapp.generation import moderation
from creditapp.generation.moderation import (
    Moderation,
    NoModeration,
    OpenAIModeration,
    moderation_of,
)
from creditapp.services import get, provide
from tests.app_factory import Person
from tests.fakes.openai_server import FakeOpenAI
from tests.generation.studio import Studio, remaining, wallet

SILENT = ("timeout", "http_500", "http_401", "reset", "cut_off", "garbage", "empty", "redirect")
"""How a moderation fails to answer."""


@pytest.fixture
def openai(app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeOpenAI]:
    """OpenAI, which the app asks about every prompt; it goes on without an answer."""
    monkeypatch.setattr(moderation, "TIMEOUT_SECONDS", 0.5)
    with FakeOpenAI() as server:
        ask(app, server, tmp_path)
        yield server


def ask(app: Flask, server: FakeOpenAI, folder: Path, failure: str = "allow") -> None:
    """Let the app ask this server."""
    environ = {
        "CREDITAPP_DATA": str(folder),
        "CREDITAPP_MODERATION": "openai",
        "CREDITAPP_MODERATION_FAILURE": failure,
        "OPENAI_API_KEY": server.key,
        "OPENAI_BASE_URL": server.base_url,
    }
    provide(app, Moderation, moderation_of(load_settings(environ)))


def refused(person: Person, prompt: str, path: str = "generate-image") -> dict[str, object]:
    answer = person.call("POST", f"/api/{path}", {"prompt": prompt}, Prefer="respond-async")
    assert answer.status_code == 422, answer.text
    assert answer.json["code"] == "prompt_rejected"
    return dict(answer.json)


def nonce(person: Person) -> str:
    """Return the nonce of the studio's form."""
    return str(person.page("/").value("nonce"))


def test_a_refused_prompt_costs_nothing_and_says_so(
    openai: FakeOpenAI, alice: Person, guest: Person, studio: Studio
) -> None:
    problem = refused(alice, "a bloodbath")
    assert problem["title"] == "This prompt is not allowed"
    assert problem["detail"] == (
        "The moderation refused this prompt (violence, violence/graphic). Nothing was charged. "
        "Change it."
    )
    assert problem["creditsCharged"] == 0
    for path in ("generate-video", "generate-audio"):
        refused(alice, "somebody harasses somebody", path)
    before = remaining(guest)
    refused(guest, "a bloodbath")
    assert (wallet(alice), remaining(guest)) == ((50, 0), before)
    assert studio.generations() == []
    fields = {"prompt": "a bloodbath", "model": "nano-banana", "nonce": nonce(alice)}
    page = alice.post("/generations", fields)
    assert page.status_code == 422
    assert "violence/graphic" in page.text
    assert openai.count == 0


def test_an_allowed_prompt_is_asked_about_once_and_made(
    openai: FakeOpenAI, alice: Person, studio: Studio
) -> None:
    body = {"prompt": "a quay", "model": "nano-banana"}
    for _ in range(2):  # the second is a repetition of the first
        studio.order(alice, "/api/generate-image", body, Idempotency_Key="k")
    assert openai.moderations == [{"model": "omni-moderation-latest", "input": ["a quay"]}]
    studio.queue.run()
    assert [row.state for row in studio.generations()] == ["succeeded"]


def test_nothing_is_open_while_the_moderation_is_asked(
    app: Flask, openai: FakeOpenAI, alice: Person, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    out: list[int] = []
    with app.app_context():
        engine = db.engine
    borrowed = [0]
    event.listen(engine, "checkout", lambda *_: borrowed.__setitem__(0, borrowed[0] + 1))
    event.listen(engine, "checkin", lambda *_: borrowed.__setitem__(0, borrowed[0] - 1))
    genuine = moderation.call

    def watching(*words: object, **named: object) -> object:
        out.append(borrowed[0])
        return genuine(*words, **named)  # type: ignore[arg-type]  # passed on as they came

    idle = borrowed[0]
    monkeypatch.setattr(moderation, "call", watching)
    studio.make(alice)
    assert out == [idle]


@pytest.mark.parametrize("fault", SILENT)
def test_without_an_answer_the_order_goes_on(
    openai: FakeOpenAI, alice: Person, studio: Studio, fault: str
) -> None:
    openai.fail_moderation(fault, seconds=3.0)
    began = time.monotonic()
    studio.ask(alice)
    assert time.monotonic() - began < 2.5
    assert wallet(alice) == (49.5, 0.5)


@pytest.mark.parametrize("fault", SILENT)
def test_without_an_answer_a_strict_site_refuses_and_leaks_nothing(
    app: Flask,
    openai: FakeOpenAI,
    alice: Person,
    studio: Studio,
    fault: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ask(app, openai, tmp_path, failure="refuse")
    openai.fail_moderation(fault, seconds=3.0)
    body = {"prompt": "a secret quay", "model": "nano-banana"}
    answer = alice.call("POST", "/api/generate-image", body, Prefer="respond-async")
    assert (answer.status_code, answer.json["code"]) == (503, "moderation_unavailable")
    assert answer.json["creditsCharged"] == 0
    assert (wallet(alice), studio.generations()) == ((50, 0), [])
    for hidden in ("secret quay", openai.key):
        assert hidden not in answer.text + caplog.text
    assert "moderation failed" in caplog.text
    openai.forget()
    studio.ask(alice, prompt="a secret quay")


def test_one_refused_prompt_of_a_comparison_makes_none(
    openai: FakeOpenAI, alice: Person, studio: Studio
) -> None:
    fields = {"prompt": "a bloodbath", "compare": "1", "models": ["nano-banana", "flux-dev"]}
    answer = alice.post("/generations", {**fields, "nonce": nonce(alice)})
    assert answer.status_code == 422
    assert "violence/graphic" in answer.text
    assert [each["input"] for each in openai.moderations] == [["a bloodbath"]]
    assert (wallet(alice), studio.generations()) == ((50, 0), [])


def test_the_settings_choose(app: Flask, tmp_path: Path) -> None:
    with app.app_context():
        assert isinstance(get(Moderation), NoModeration)
    environ = {"CREDITAPP_DATA": str(tmp_path), "CREDITAPP_MODERATION": "openai"}
    with pytest.raises(SettingsInvalid, match="OPENAI_API_KEY is missing"):
        moderation_of(load_settings(environ))
    chosen = moderation_of(load_settings({**environ, "OPENAI_API_KEY": "sk-x"}))
    assert isinstance(chosen, OpenAIModeration)
    assert chosen.asks
