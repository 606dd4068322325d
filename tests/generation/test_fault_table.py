"""Every way in which every vendor fails, through a worker, on a member's wallet.

Each line of the printed table is one order: vendor, fault, state, charge, message. Nothing is
charged for a failure, nothing is lost, and each message is a sentence for people.
"""

from __future__ import annotations

import importlib
import logging
from typing import Any

import pytest
from flask import Flask
from structlog.testing import capture_logs

from creditapp.catalog import Catalog
from creditapp.catalog.served import VENDORS
from creditapp.generation.operations import OPERATIONS
from creditapp.generation.providers import Providers, fal, fal_files, google, openai_answers
from creditapp.generation.providers.registry import ADAPTERS
from creditapp.services import get, provide
from tests.app_factory import Person
from tests.generation.orders import ORDERS
from tests.generation.studio import Studio, wallet

pytestmark = pytest.mark.in_turn

SECRET_PROMPT = "A confidential lighthouse at dusk"
TIMEOUT_SECONDS = 0.6
ANSWER_BYTES_MAX = 2 * 1024 * 1024

FAULTS = (
    *("http_400", "http_401", "http_402", "http_404", "http_429", "http_500", "http_504"),
    *("redirect", "refused", "timeout", "reset", "cut_off", "html", "empty", "error_inside"),
    *("twice", "nothing", "not_an_image", "truncated", "bomb", "huge", "other_model"),
)
DELIVERED = ("ok", "delay", "too_many")
"""Orders that are delivered all the same, and charged as quoted."""

FAULTS_OF_OPERATIONS = ("http_429", "http_500", "timeout", "cut_off", "html", "not_an_image")

OPENAI_NAMES = {
    "refused": "moderation_blocked",
    "html": "garbage",
    "nothing": "none",
    "too_many": "more",
}
"""The older fake's own names of some faults."""


@pytest.fixture(autouse=True)
def _small_and_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (openai_answers, google):
        monkeypatch.setattr(module, "ANSWER_BYTES_MAX", ANSWER_BYTES_MAX)
    monkeypatch.setattr(fal_files.image_files, "BYTES_MAX", ANSWER_BYTES_MAX)
    monkeypatch.setattr(fal, "POLL_SECONDS_FIRST", 0.01)
    monkeypatch.setattr(fal, "POLL_SECONDS_MAX", 0.02)


def strike(fake: Any, vendor: str, fault: str) -> None:
    """Let the next order meet a fault."""
    if fault == "ok":
        return
    name = OPENAI_NAMES.get(fault, fault) if vendor == "openai" else fault
    fake.fail(name, seconds=0.2 if fault == "delay" else 2.0)


@pytest.mark.parametrize("vendor", ADAPTERS)
def test_a_fault_charges_nothing_and_says_so(
    app: Flask, alice: Person, studio: Studio, vendor: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    catalog = catalog_of(app)
    model = next(each for each in catalog.models if each.provider == vendor)
    quality = {"quality": "low"} if model.qualities else {}
    price = model.price_at("low") / 1_000_000
    balance = 50.0
    with importlib.import_module(f"tests.fakes.{vendor}_server").Fake() as fake:
        variables = VENDORS[vendor]
        values = {variables.key_env: fake.key, variables.base_url_env: fake.base_url}
        provide(app, Providers, Providers(values, offline=None, timeout_seconds=TIMEOUT_SECONDS))
        print(f"\n{'vendor':8} {'fault':14} {'state':10} {'charge':>7}  message")
        with capture_logs() as entries:
            for fault in (*DELIVERED, *FAULTS):
                if fault in fake.CANNOT:
                    continue
                fake.forget()
                strike(fake, vendor, fault)
                row = studio.make(alice, model=model.id, prompt=SECRET_PROMPT, **quality)
                charge = row.charged_micro / 1_000_000
                message = row.error_text or ""
                print(f"{vendor:8} {fault:14} {row.state:10} {charge:7.2f}  {message}")
                balance -= charge
                assert wallet(alice) == (balance, 0), fault
                assert fake.count == 1, f"{fault}: asked {fake.count} times"
                if fault in DELIVERED:
                    assert (row.state, charge, row.delivered) == ("succeeded", price, 1), fault
                else:
                    assert (row.state, charge, row.delivered) == ("failed", 0, 0), fault
                    assert message[0].isupper(), fault
                    assert message.endswith("."), fault
                    assert len(message.split()) > 5, fault
                    assert fake.key not in message, fault
                    assert SECRET_PROMPT not in message, fault
        studio.check()
        logged = f"{entries} {caplog.text}"
        assert "provider call failed" in logged
        for secret in (fake.key, SECRET_PROMPT, "It works", "Failed. Request"):
            assert secret not in logged


@pytest.mark.parametrize("operation", ORDERS)
def test_an_operation_is_made_by_its_vendor_or_charges_nothing(
    app: Flask, alice: Person, studio: Studio, operation: str
) -> None:
    order = ORDERS[operation]
    served = OPERATIONS[operation].served_by(catalog_of(app), order.members.get("model", ""))
    assert served is not None
    vendor = served.provider
    with importlib.import_module(f"tests.fakes.{vendor}_server").Fake() as fake:
        variables = VENDORS[vendor]
        values = {variables.key_env: fake.key, variables.base_url_env: fake.base_url}
        provide(app, Providers, Providers(values, offline=None, timeout_seconds=TIMEOUT_SECONDS))
        print(f"\n{'operation':14} {'vendor':8} {'fault':14} {'state':10} {'charge':>7}  message")
        for fault in (*FAULTS_OF_OPERATIONS, "ok"):
            fake.forget()
            strike(fake, vendor, fault)
            generation_id = studio.order(alice, order.path, order.body(studio, alice))
            studio.queue.run()
            row = studio.generation(generation_id)
            charge, message = row.charged_micro / 1_000_000, row.error_text or ""
            print(f"{operation:14} {vendor:8} {fault:14} {row.state:10} {charge:7.2f}  {message}")
            assert (row.provider, row.preview, fake.count) == (vendor, False, 1), fault
            if fault == "ok":
                assert (row.state, row.delivered) == ("succeeded", row.n), message
                assert 0 < charge <= order.quoted
                assert wallet(alice) == (50 - charge, 0)
            else:
                assert (row.state, charge) == ("failed", 0), fault
                assert message.endswith("."), fault
                assert wallet(alice) == (50, 0), fault
        made = [each for each in studio.assets() if each.generation_id == generation_id]
        is_timed = operation in ("video", "audio", "lipsync")
        assert all((each.milliseconds is not None) == is_timed for each in made)


def catalog_of(app: Flask) -> Catalog:
    with app.app_context():
        return get(Catalog)
