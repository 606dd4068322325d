"""Every unusual or failing stream of every vendor of chat: one call, the right charge, a sentence.

Prints a table: ``./run test tests/chat/test_fault_table.py -s``.
"""

from __future__ import annotations

import importlib
import logging
from typing import Any

import pytest
from flask import Flask
from structlog.testing import capture_logs

from creditapp.catalog import Catalog
from creditapp.catalog.models import LanguageModel
from creditapp.catalog.served import VENDORS
from creditapp.chat import ChatProviders
from creditapp.chat.models import UsageRecord
from creditapp.chat.providers.registry import CHAT_ADAPTERS
from creditapp.services import get, provide
from tests.app_factory import Person
from tests.chat.scripted import Turns, ask, events, wallet
from tests.fakes.streams import WORDS

SECRET_PROMPT = "A confidential question about lighthouses"
SERVERS = {"openai": "openai_chat_server", "anthropic": "anthropic_server"}
TIMEOUT_SECONDS = 0.5

COUNTED = ("ok", "delay", "bytewise", "usage_twice", "length", "filtered", "no_text")
"""Charged as the vendor counted."""
ESTIMATED = ("no_usage", "wild_usage")
"""Whole answers without a usable count."""
IN_THE_MIDDLE = (
    *("cut_off", "ends_early", "hang", "bad_line", "not_utf8", "error_inside", "overloaded"),
)
"""Failures after the first word: the text is kept, and charged by an estimate."""
FREE = (
    *("http_400", "http_401", "http_402", "http_404", "http_429", "http_500", "http_504"),
    *("redirect", "refused", "timeout", "reset", "html", "empty", "other_model", "nothing"),
)
"""Failures before the first word."""

COUNTED_MICRO = 7_300
"""200 tokens in, 800 cached, 200 written to the cache, 40 out: 0.002 + 0.0008 + 0.0025 + 0.002."""


def model_of(app: Flask, vendor: str) -> LanguageModel:
    """Return the first model of a vendor in the catalog."""
    with app.app_context():
        models = get(Catalog).language_models
    return next(each for each in models if each.provider == vendor)


def connect(app: Flask, vendor: str, fake: Any) -> None:
    """Let the app call the fake alone."""
    variables = VENDORS[vendor]
    values = {variables.key_env: fake.key, variables.base_url_env: fake.base_url}
    providers = ChatProviders(values, offline=False, timeout_seconds=TIMEOUT_SECONDS)
    provide(app, ChatProviders, providers)


def fake_of(vendor: str) -> Any:
    return importlib.import_module(f"tests.fakes.{SERVERS[vendor]}").Fake()


@pytest.mark.parametrize("vendor", CHAT_ADAPTERS)
def test_a_stream_is_charged_for_what_came_and_a_failure_says_so(
    app: Flask, alice: Person, turns: Turns, vendor: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    model = model_of(app, vendor)
    with fake_of(vendor) as fake, capture_logs() as entries:
        connect(app, vendor, fake)
        print(
            f"\n{'vendor':10}{'fault':13}{'ends':9}{'in':>6}{'out':>5}{'est.':>6}"
            f"{'charge':>10}  message"
        )
        for fault in (*COUNTED, *ESTIMATED, *IN_THE_MIDDLE, *FREE):
            if fault in fake.CANNOT:
                continue
            fake.forget()
            if fault != "ok":
                fake.fail(fault, seconds=0.1 if fault == "delay" else 2.0)
            before = wallet(alice)[0]
            sent = events(ask(alice, SECRET_PROMPT, model=model.id, stream=True))
            record = turns.records()[-1]
            message = record.error_text or ""
            print(
                f"{vendor:10}{fault:13}{record.finish_reason:9}{record.input_tokens:6}"
                f"{record.output_tokens:5}{record.estimated!s:>6}"
                f"{record.cost_micro / 1_000_000:10.6f}  {message}"
            )
            check(fault, record, sent)
            assert fake.count == 1, f"{fault}: asked {fake.count} times"
            after, held = wallet(alice)
            assert held == 0, fault
            assert after == pytest.approx(before - record.cost_micro / 1_000_000), fault
            for secret in (fake.key, SECRET_PROMPT, "Refused", "Failed.", "It works"):
                assert secret not in str(sent), fault
    logged = f"{entries} {caplog.text}"
    assert "provider call failed" in logged
    for secret in (fake.key, SECRET_PROMPT, "It works", "Failed.", WORDS[0]):
        assert secret not in logged


def check(fault: str, record: UsageRecord, sent: list[tuple[str, Any]]) -> None:
    """Assert the end and the charge of one turn."""
    text = "".join(data["text"] for name, data in sent if name == "delta")
    if fault in COUNTED:
        assert (record.cost_micro, record.estimated) == (COUNTED_MICRO, False), fault
        assert text == ("" if fault == "no_text" else "".join(WORDS)), fault
    elif fault in ESTIMATED:
        assert record.estimated, fault
        assert record.cost_micro > 0, fault
        assert text == "".join(WORDS), fault
    if fault in (*COUNTED, *ESTIMATED):
        expected = fault if fault in ("length", "filtered") else "stop"
        assert record.finish_reason == expected, fault
        assert [name for name, _ in sent][-2:] == ["usage", "done"], fault
        return
    assert record.finish_reason == "failed", fault
    assert [name for name, _ in sent][-2:] == ["usage", "error"], fault
    is_free = fault in FREE
    assert (record.cost_micro == 0) is is_free, fault
    assert bool(text) is not is_free, fault
    assert "".join(WORDS).startswith(text), fault
    message = sent[-1][1]["detail"]
    assert message[0].isupper(), fault
    assert message.endswith("."), fault
    assert len(message.split()) > 5, fault


@pytest.mark.parametrize("vendor", CHAT_ADAPTERS)
def test_a_stream_that_breaks_after_any_event_is_charged_for_what_came(
    app: Flask, alice: Person, turns: Turns, vendor: str
) -> None:
    model = model_of(app, vendor)
    with fake_of(vendor) as fake:
        connect(app, vendor, fake)
        print(f"\n{'vendor':10}{'events':>7}{'in':>6}{'out':>5}{'charge':>10}  text")
        for count in range(12):
            fake.fail(f"cut_{count}")
            sent = events(ask(alice, SECRET_PROMPT, model=model.id, stream=True))
            record = turns.records()[-1]
            text = "".join(data["text"] for name, data in sent if name == "delta")
            charge = record.cost_micro / 1_000_000
            print(
                f"{vendor:10}{count:7}{record.input_tokens:6}{record.output_tokens:5}"
                f"{charge:10.6f}  {text}"
            )
            assert "".join(WORDS).startswith(text)
            assert turns.texts()[-1] == ("assistant", text) or text == ""
            assert (record.cost_micro > 0) is bool(text)
            # After the reason of its end, an answer is whole; the vendors send it after the text.
            is_whole = count > 6 + 3 * (vendor == "anthropic")
            assert record.finish_reason == ("stop" if is_whole else "failed"), count
    assert fake.count == 12


def test_embeddings_that_fail_cost_nothing(app: Flask, alice: Person, turns: Turns) -> None:
    with fake_of("openai") as fake:
        connect(app, "openai", fake)
        for fault in (*FREE, "error_inside", "not_a_number", "ok"):
            fake.forget()
            if fault != "ok":
                fake.fail(fault, seconds=2.0)
            answer = alice.call("POST", "/api/embeddings", {"input": ["Harbour", "Quay"]})
            record = turns.records()[-1]
            print(
                f"embeddings {fault:14}{record.cost_micro / 1_000_000:10.6f}  {record.error_text}"
            )
            assert fake.count == 1, fault
            assert (answer.status_code == 200) is (fault == "ok"), answer.text
            assert (record.cost_micro > 0) is (fault == "ok"), fault
            assert fake.key not in answer.text
        assert [each["embedding"][2] for each in answer.json["data"]] == [0, 0.125]
        assert (record.input_tokens, record.estimated) == (4, False)
