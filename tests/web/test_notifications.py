"""Email preferences: changed in the settings, by a link, by a button or by an email program."""

from __future__ import annotations

import pytest
from flask import Flask

from creditapp import accounts, emails
from creditapp.accounts import AccountRules
from creditapp.clock import now
from creditapp.db import snapshot, transaction
from creditapp.emails import EmailService
from creditapp.services import get
from tests.app_factory import Outbox, Person, Queue
from tests.pages import parse_html

LOW = {"balance_micro": 7_500_000, "low_micro": 10_000_000, "path": "/credits"}
REFUND = {
    "number": "pur_1", "path": "/receipts/pur_1", "item": "Creator pack", "currency": "USD",
    "sandbox": True, "undone": False, "refunded_minor": 1499, "back_minor": 1499,
    "total_minor": 1499, "credits_micro": 110_000_000,
}  # fmt: skip


def notify(app: Flask, event: str, context: dict[str, object], key: str = "k") -> str | None:
    with app.app_context(), transaction() as session:
        user = accounts.find_by_email(session, "alice@example.com")
        assert user
        return emails.notify(session, event, user, context, key, now=now())


def send(app: Flask) -> None:
    with app.app_context():
        emails.deliver_due()


def link(app: Flask, outbox: Outbox) -> str:
    """Return the path of the unsubscribe link in an email about a low balance."""
    notify(app, "low_balance", LOW, "the link")
    send(app)
    mail = outbox.sent[-1]
    assert mail.unsubscribe_url in mail.text
    assert mail.unsubscribe_url in mail.html
    return mail.unsubscribe_url.removeprefix("http://localhost")


def boxes(person: Person) -> dict[str, bool]:
    return {
        box["value"]: box.has_attribute("checked")
        for box in person.page("/settings").all("[name=notify]")
    }


def test_every_optional_email_is_on_at_first(alice: Person) -> None:
    assert boxes(alice) == dict.fromkeys(emails.OPTIONAL, True)
    page = alice.browser.get("/settings").text
    assert "about payments" in page
    for event in emails.ABOUT_MONEY:
        assert f'value="{event}"' not in page


def test_a_member_who_switches_emails_off_still_gets_those_about_money(
    app: Flask, alice: Person, outbox: Outbox
) -> None:
    answer = alice.post("/settings/notifications", {"notify": "card_expiring"})
    assert (answer.status_code, answer.location) == (303, "/settings")
    assert boxes(alice) == {event: event == "card_expiring" for event in emails.OPTIONAL}
    assert notify(app, "low_balance", LOW) is None
    assert notify(app, "refund", REFUND, "refund") is not None
    send(app)
    assert "low_balance" not in {each.event for each in outbox.sent}
    refund = outbox.sent[-1]
    assert (refund.event, refund.unsubscribe_url) == ("refund", "")
    assert "Your refund of $14.99" in refund.subject

    alice.post("/settings/notifications", {"notify": "low_balance"})
    assert boxes(alice)["low_balance"]
    assert notify(app, "low_balance", LOW) is not None


def test_a_forged_form_cannot_switch_off_emails_about_money(app: Flask, alice: Person) -> None:
    alice.post("/settings/notifications", {"notify": "made-up"})
    with app.app_context(), snapshot() as session:
        user = accounts.find_by_email(session, "alice@example.com")
        assert user
        assert emails.unsubscribed_events(session, user.id) == set(emails.OPTIONAL)
        with pytest.raises(ValueError, match="cannot be unsubscribed"):
            emails.unsubscribe(session, user.id, "receipt", now=now())
    with pytest.raises(ValueError, match="not an email that notify"):
        notify(app, "verify", {})


def test_a_queued_email_is_dropped_when_its_kind_is_switched_off(
    app: Flask, alice: Person, outbox: Outbox
) -> None:
    assert notify(app, "low_balance", LOW)
    alice.post("/settings/notifications")
    send(app)
    assert "low_balance" not in {each.event for each in outbox.sent}


def test_the_unsubscribe_link_asks_first_and_its_button_unsubscribes(
    app: Flask, alice: Person, outbox: Outbox
) -> None:
    path = link(app, outbox)
    stranger = Person(app)
    page = stranger.browser.get(path)
    assert page.status_code == 200
    assert "Low balance" in page.text
    assert "alice@example.com" in page.text
    assert boxes(alice)["low_balance"], "opening a link changes nothing"
    form = parse_html(page.text).one("main form")
    assert (form["method"], form.has_attribute("action")) == ("post", False)
    done = stranger.browser.post(path)
    assert done.status_code == 200
    assert "Switched off." in done.text
    assert boxes(alice) == {event: event != "low_balance" for event in emails.OPTIONAL}
    assert "Switched off." in stranger.browser.get(path).text


def test_an_email_program_unsubscribes_with_one_request_and_may_repeat_it(
    app: Flask, alice: Person, outbox: Outbox
) -> None:
    path = link(app, outbox)
    for _ in range(2):
        answer = app.test_client().post(path, data={"List-Unsubscribe": "One-Click"})
        assert answer.status_code == 200
    assert not boxes(alice)["low_balance"]


def test_an_altered_link_changes_nothing(app: Flask, alice: Person, outbox: Outbox) -> None:
    path = link(app, outbox)
    with app.app_context(), snapshot() as session:
        secret = get(EmailService).secret
        user = accounts.find_by_email(session, "alice@example.com")
        assert user
        foreign = emails.preferences.mint_unsubscribe(user.id, "low_balance", "another secret")
        money = emails.preferences.mint_unsubscribe(user.id, "receipt", secret)
        nobody = emails.preferences.mint_unsubscribe("usr_none", "low_balance", secret)
    for token in (path.rpartition("/")[2][:-2] + "xx", "x", foreign, money, nobody):
        for method in ("GET", "POST"):
            answer = app.test_client().open(f"/unsubscribe/{token}", method=method)
            assert answer.status_code == 401, token
            assert 'data-code="token_invalid"' in answer.text
    assert all(boxes(alice).values())


def test_the_choices_are_the_members_own(guest: Person, alice: Person, charlie: Person) -> None:
    assert guest.post("/settings/notifications").status_code == 401
    assert alice.browser.get("/settings/notifications").status_code == 405
    alice.post("/settings/notifications")
    assert all(boxes(charlie).values())


def test_a_deleted_account_is_told_nothing(app: Flask, alice: Person, outbox: Outbox) -> None:
    path = link(app, outbox)
    with app.app_context(), transaction() as session:
        user = accounts.find_by_email(session, "alice@example.com")
        assert user
        accounts.delete_account(session, user, get(AccountRules), now=now())
        assert emails.notify(session, "refund", user, REFUND, "gone", now=now()) is None
    assert app.test_client().get(path).status_code == 401


def test_an_email_has_the_headers_that_programs_read(
    app: Flask, alice: Person, outbox: Outbox, queue: Queue
) -> None:
    from email import message_from_bytes, policy
    from email.headerregistry import Address

    from creditapp.emails.mailers import as_email

    link(app, outbox)
    sent = as_email(outbox.sent[-1], Address("Shop", "credits", "shop.example")).as_bytes()
    url = outbox.sent[-1].unsubscribe_url
    assert f"List-Unsubscribe: <{url}>\r\n".encode() in sent
    assert b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in sent
    assert message_from_bytes(sent, policy=policy.default)["List-Unsubscribe"] == f"<{url}>"
    notify(app, "refund", REFUND, "refund")
    send(app)
    plain = as_email(outbox.sent[-1], Address("Shop", "credits", "shop.example"))
    assert "List-Unsubscribe" not in plain
