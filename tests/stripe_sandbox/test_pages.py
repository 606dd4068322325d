"""Pages: form tokens, messages, headers, and a URL prefix."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

from creditapp.stripe_sandbox import create_sandbox
from tests.pages import parse_html
from tests.stripe_sandbox.sandbox_kit import Sandbox

PACKAGE = Path(__file__).resolve().parents[2] / "creditapp" / "stripe_sandbox"


def test_a_form_without_the_token_does_nothing(sandbox: Sandbox) -> None:
    session = sandbox.open_checkout()
    browser = sandbox.app.test_client()
    for path in (f"/pay/{session.id}", f"/sessions/{session.id}/expire", "/webhooks/deliver"):
        for token in ({}, {"token": "guess"}, {"token": "é"}):
            answer = browser.post(path, data={"card": "succeeds", "email": "a@x.test", **token})
            assert answer.status_code == 403
            assert "nothing was done" in answer.text
    assert sandbox.stripe.v1.checkout.sessions.retrieve(session.id).status == "open"


def test_the_form_token_survives_a_restart(sandbox: Sandbox) -> None:
    session = sandbox.open_checkout()
    token = parse_html(sandbox.get(f"/pay/{session.id}").text).value("token")
    sandbox.stop()
    sandbox.start()
    form = {"token": token, "card": "succeeds", "email": "a@x.test"}
    assert sandbox.app.test_client().post(f"/pay/{session.id}", data=form).status_code == 303


@pytest.mark.parametrize("email", ["", "alice", "alice@", "a b@x.test", "alice@x", "@x.test"])
def test_an_invalid_email_shows_an_error_and_charges_nothing(sandbox: Sandbox, email: str) -> None:
    session = sandbox.open_checkout()
    answer = sandbox.pay(session.id, email=email)
    assert answer.status_code == 422
    assert "Enter an address such as you@example.com." in answer.text
    assert sandbox.stripe.v1.payment_intents.list().data == []


def test_an_unknown_card_shows_an_error(sandbox: Sandbox) -> None:
    session = sandbox.open_checkout()
    answer = sandbox.pay(session.id, card="gold")
    assert (answer.status_code, "Choose how to pay." in answer.text) == (422, True)


def test_a_declined_card_stays_chosen(sandbox: Sandbox) -> None:
    session = sandbox.open_checkout()
    page = parse_html(sandbox.get(sandbox.pay(session.id, card="declined").location).text)
    assert page.one("input[checked]")["value"] == "declined"
    assert not page.one("details").has_attribute("open")
    unknown = parse_html(sandbox.get(f"/pay/{session.id}?card=gold").text)
    assert unknown.one("input[checked]")["value"] == "succeeds"


def test_a_card_that_the_bank_did_not_confirm_stays_chosen(sandbox: Sandbox) -> None:
    session = sandbox.open_checkout()
    redirect = sandbox.get(sandbox.pay(session.id, card="further-step").location)
    action = parse_html(sandbox.get(redirect.location).text).one("form")["action"]
    again = sandbox.press(action, answer="fail")
    page = parse_html(sandbox.get(again.location).text)
    assert page.one("input[checked]")["value"] == "further-step"
    assert page.one("details").has_attribute("open")


def test_a_preset_email_is_shown_and_cannot_be_changed(sandbox: Sandbox) -> None:
    alice = sandbox.stripe.v1.customers.create({"email": "alice@x.test"})
    session = sandbox.open_checkout(customer=alice.id)
    assert 'name="email"' not in sandbox.get(f"/pay/{session.id}").text
    sandbox.pay(session.id, email="mallory@x.test")
    paid = sandbox.stripe.v1.checkout.sessions.retrieve(session.id)
    assert paid.customer_details
    assert paid.customer_details.email == "alice@x.test"


def test_text_from_the_shop_is_escaped(sandbox: Sandbox) -> None:
    nasty = {"currency": "usd", "unit_amount": 100, "product_data": {"name": "<script>x</script>"}}
    session = sandbox.open_checkout(
        line_items=[{"quantity": 3, "price_data": nasty}], metadata={"a": "</pre><script>"}
    )
    for path in (f"/pay/{session.id}", "/"):
        assert "<script" not in sandbox.get(path).text
    sandbox.pay(session.id)
    event = sandbox.stripe.v1.events.list().data[0]
    assert "<script" not in sandbox.get(f"/events/{event.id}").text


def test_every_page_states_that_no_money_moves_and_runs_no_script(sandbox: Sandbox) -> None:
    session = sandbox.open_checkout()
    sandbox.pay(session.id, "further-step")
    event = sandbox.stripe.v1.events.list().data[0]
    for path in ("/", f"/pay/{session.id}/step", f"/events/{event.id}", "/nothing"):
        answer = sandbox.get(path)
        assert "Sandbox: no real money." in answer.text
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    step = sandbox.get(f"/pay/{session.id}/step").headers["Content-Security-Policy"]
    assert "form-action 'self' http://shop.test" in step, "the form ends at the shop"


def test_templates_have_no_inline_script_or_style() -> None:
    for file in (PACKAGE / "templates").glob("*.html"):
        assert not re.search(r"<script|<style|\sstyle=|\son\w+=|javascript:", file.read_text())


def test_the_pages_work_below_a_prefix(tmp_path: Path) -> None:
    app = create_sandbox(
        tmp_path / "s.sqlite",
        public_url="http://localhost/sandbox",
        webhook_url=None,
        webhook_secret="",
    )
    browser = Client(DispatcherMiddleware(lambda *_: [], {"/sandbox": app}))
    page = browser.get("/sandbox/", environ_base={"REMOTE_ADDR": "127.0.0.1"}).text
    assert 'href="/sandbox/static/sandbox.css"' in page
    assert browser.get("/sandbox/static/sandbox.css").status_code == 200
    html = parse_html(page)
    assert "Back to CreditApp" in html.one('a[href="/"]').text
    targets = [link["href"] for link in html.all('[href^="/"]:not([href="/"])')]
    targets += [form["action"] for form in html.all("form")]
    for target in targets:
        assert target.startswith(("/sandbox/", "#"))


def test_the_overview_of_a_standalone_sandbox_has_no_shop_link(sandbox: Sandbox) -> None:
    assert "Back to" not in sandbox.get("/").text


def test_the_sandbox_imports_neither_stripe_nor_the_shop() -> None:
    for file in PACKAGE.rglob("*.py"):
        text = file.read_text()
        assert not re.search(r"^\s*(?:import|from) stripe\b", text, re.M), file
        for name in re.findall(r"^\s*(?:from|import) (creditapp[\w.]*)", text, re.M):
            assert name.startswith("creditapp.stripe_sandbox"), (file, name)
