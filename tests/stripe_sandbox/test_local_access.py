"""Only a browser or program on this machine opens the bank; buyers reach the checkout alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask

from creditapp.payments.stripe.server import SandboxGateway
from creditapp.services import get
from creditapp.stripe_sandbox import create_sandbox
from creditapp.stripe_sandbox.state import State

BANK = ("/sandbox/", "/sandbox/events/evt_1", "/sandbox/v1/charges", "/sandbox/v1/none")


def statuses(app: Flask, address: str, host: str, **headers: str) -> set[int]:
    """Return the statuses of the bank's pages and API for a caller."""
    named = {name.replace("_", "-"): value for name, value in headers.items()} | {"Host": host}
    client = app.test_client()
    return {
        client.get(path, headers=named, environ_base={"REMOTE_ADDR": address}).status_code
        for path in BANK
    }


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.0.1", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1:8000", "[::1]:8000", "localhost"])
def test_a_browser_on_this_machine_opens_the_bank(app: Flask, address: str, host: str) -> None:
    # An event that does not exist, and an API call without its key.
    assert statuses(app, address, host) == {200, 404, 401}


@pytest.mark.parametrize(
    ("address", "host", "headers"),
    [
        ("203.0.113.7", "127.0.0.1:8000", {}),
        ("10.0.0.7", "localhost", {}),
        ("", "localhost", {}),
        ("127.0.0.1", "demo.example.org", {}),
        ("127.0.0.1", "rebound.example:8000", {}),
        ("127.0.0.1", "localhost.example", {}),
        ("127.0.0.1", "127.0.0.1.example.org", {}),
        ("127.0.0.1", "127.0.0.1@evil.example", {}),
        ("127.0.0.1", "[", {}),
        ("127.0.0.1", "", {}),
        ("127.0.0.1", "localhost", {"X_Forwarded_For": "203.0.113.99"}),
        ("127.0.0.1", "localhost", {"X_Forwarded_For": "127.0.0.1"}),
        ("127.0.0.1", "localhost", {"Forwarded": "for=203.0.113.99"}),
        ("127.0.0.1", "localhost", {"X_Real_IP": "203.0.113.99"}),
        ("127.0.0.1", "localhost", {"Via": "1.1 proxy"}),
        ("127.0.0.1", "localhost", {"CF_Connecting_IP": "203.0.113.99"}),
    ],
)
def test_nobody_else_does(app: Flask, address: str, host: str, headers: dict[str, str]) -> None:
    assert statuses(app, address, host, **headers) == {404}


def test_nobody_else_moves_the_clock_or_refunds(app: Flask) -> None:
    with app.app_context():
        bank = get(SandboxGateway).sandbox
    fields = {"token": State.of(bank).form_token(), "by": "year"}
    client = app.test_client()
    outside = client.post("/sandbox/clock", data=fields, headers={"X-Forwarded-For": "192.0.2.1"})
    assert outside.status_code == 404
    rebound = client.post("/sandbox/clock", data=fields, headers={"Host": "rebound.example"})
    assert rebound.status_code == 404
    assert client.post("/sandbox/clock", data=fields).status_code == 303


@pytest.mark.parametrize("path", ["pay/cs_none", "portal/bps_none", "invoices/in_none"])
def test_buyers_reach_the_checkout_from_everywhere(app: Flask, path: str) -> None:
    headers = {"Host": "demo.example.org", "X-Forwarded-For": "203.0.113.99"}
    client = app.test_client()
    missing = client.get(f"/sandbox/{path}", headers=headers)
    assert (missing.status_code, missing.mimetype) == (404, "text/html")  # the sandbox's own page
    assert client.get("/sandbox/static/sandbox.css", headers=headers).status_code == 200


def test_a_sandbox_with_a_public_address_keeps_the_bank_closed(tmp_path: Path) -> None:
    sandbox = create_sandbox(
        tmp_path / "s.sqlite",
        public_url="https://demo.example.org/sandbox",
        webhook_url=None,
        webhook_secret="",
    )
    client = sandbox.test_client()
    assert client.get("/").status_code == 404
    assert client.get("/v1/charges", headers={"Authorization": "Bearer sk_test_1"}).is_json
