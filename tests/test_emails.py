"""Emails: queued with their event, rendered when sent, sent once, by SMTP or as files."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.headerregistry import Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.engine import Engine
from structlog.testing import capture_logs

from creditapp import accounts, emails
from creditapp.accounts import AccountRules, AddressInvalid, SignUpCredits, User
from creditapp.clock import StoppedClock
from creditapp.config import SettingsInvalid
from creditapp.db import transaction
from creditapp.emails import Email, EmailFailed, EmailService, FileMailer, Message, SmtpMailer
from creditapp.emails.mailers import as_email
from tests.databases import at_once
from tests.fakes.smtp_server import FakeSmtpServer, loopback_certificate

pytestmark = pytest.mark.databases("sqlite", "postgresql")
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SENDER = "CreditApp <credits@shop.example>"
RULES = AccountRules(secret="a secret of the tests", credits=SignUpCredits(0, 0))
HELLO = Message(
    id="email_1",
    event="hello",
    to="alice@example.com",
    subject="Grüße",
    text="Hello Alice,\n.\nwelcome.\n",
    html="<p>Hello</p>",
    created_at=NOW,
)


class RecordingMailer:
    """A mailer that records messages, or fails on request."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.failure: Exception | None = None
        self.while_sending: Callable[[], None] = lambda: None

    def send(self, message: Message) -> None:
        self.while_sending()
        if self.failure:
            raise self.failure
        self.sent.append(message)


def render(event: str, part: str, context: dict[str, object]) -> str:
    """Stand for the templates."""
    return f"{event} {part}: {context.get('credits', '')} {context.get('link', '')}"


@pytest.fixture
def mailer() -> RecordingMailer:
    return RecordingMailer()


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock(NOW)


@pytest.fixture
def service(engine: Engine, mailer: RecordingMailer, clock: StoppedClock) -> EmailService:
    return EmailService(mailer, render, "https://shop.example/", RULES.secret, clock, engine)


@pytest.fixture
def alice(engine: Engine) -> User:
    new = accounts.prepare_account("Alice@Example.com", "a long walk by the sea")
    with transaction(engine) as session:
        return accounts.sign_up(session, new, RULES, now=NOW).user


def queue(
    engine: Engine, event: str = "hello", *, key: str = "hello:1", user: User | None = None
) -> str | None:
    with transaction(engine) as session:
        return emails.queue(
            session,
            event,
            user.email if user else "alice@example.com",
            {"credits": 50},
            key,
            now=NOW,
            user_id=user.id if user else None,
        )


def row(engine: Engine, email_id: str | None) -> Email:
    with transaction(engine) as session:
        return session.get_one(Email, email_id)


# Delivery.


def test_a_queued_email_is_rendered_and_sent_once(
    engine: Engine, service: EmailService, mailer: RecordingMailer
) -> None:
    email_id = queue(engine)
    assert email_id is not None
    assert emails.deliver(email_id, service) is None
    emails.deliver(email_id, service)
    assert emails.deliver_due(service) == 0
    (sent,) = mailer.sent
    assert (sent.to, sent.subject, sent.created_at) == (
        "alice@example.com",
        "hello subject: 50 ",
        NOW,
    )
    assert (row(engine, email_id).state, row(engine, email_id).sent_at) == ("sent", NOW)


def test_the_same_key_is_emailed_once(
    engine: Engine, service: EmailService, mailer: RecordingMailer
) -> None:
    assert queue(engine) is not None
    assert queue(engine) is None
    assert at_once(5, lambda _: queue(engine, key="other")).count(None) == 4
    assert emails.deliver_due(service) == 2


def test_a_rolled_back_change_sends_no_email(engine: Engine, service: EmailService) -> None:
    def change() -> None:
        with transaction(engine) as session:
            emails.queue(session, "hello", "alice@example.com", {}, "k", now=NOW)
            raise RuntimeError("the change failed")

    with pytest.raises(RuntimeError):
        change()
    assert emails.deliver_due(service) == 0


def test_many_workers_send_it_once(
    engine: Engine, service: EmailService, mailer: RecordingMailer
) -> None:
    email_id = queue(engine)
    assert email_id
    at_once(8, lambda _: emails.deliver(email_id, service))
    assert len(mailer.sent) == 1


def test_no_transaction_is_open_while_the_mailer_works(
    engine: Engine, service: EmailService, mailer: RecordingMailer
) -> None:
    email_id = queue(engine)
    assert email_id
    free = []

    def write_elsewhere() -> None:
        writer = threading.Thread(target=lambda: free.append(queue(engine, key="meanwhile")))
        writer.start()
        writer.join(5)

    mailer.while_sending = write_elsewhere
    emails.deliver(email_id, service)
    assert len(free) == 1


def test_a_passing_failure_is_tried_again_later_and_later(
    engine: Engine, service: EmailService, mailer: RecordingMailer, clock: StoppedClock
) -> None:
    email_id = queue(engine)
    assert email_id
    mailer.failure = EmailFailed("server 421", permanent=False)
    retry_at = emails.deliver(email_id, service)
    assert retry_at == NOW + timedelta(minutes=1)
    emails.deliver(email_id, service)  # too early: left alone
    waiting = row(engine, email_id)
    assert (waiting.state, waiting.attempts, waiting.last_error) == ("queued", 1, "server 421")
    waits = []
    while retry_at:
        waits.append(retry_at - clock.now())
        clock.advance(retry_at - clock.now())
        retry_at = emails.deliver(email_id, service)
    assert waits == sorted(waits)
    assert sum(waits, timedelta()) > timedelta(days=1)
    given_up = row(engine, email_id)
    assert (given_up.state, given_up.attempts) == ("failed", 8)


def test_after_a_passing_failure_the_next_try_sends(
    engine: Engine, service: EmailService, mailer: RecordingMailer, clock: StoppedClock
) -> None:
    email_id = queue(engine)
    mailer.failure = EmailFailed("server 421", permanent=False)
    emails.deliver_due(service)
    mailer.failure = None
    clock.advance(timedelta(minutes=1))
    assert emails.deliver_due(service) == 1
    sent = row(engine, email_id)
    assert (sent.state, sent.last_error) == ("sent", None)


def test_a_refused_address_is_given_up_at_once(
    engine: Engine, service: EmailService, mailer: RecordingMailer
) -> None:
    email_id = queue(engine)
    mailer.failure = EmailFailed("recipient 550", permanent=True)
    emails.deliver_due(service)
    assert row(engine, email_id).state == "failed"


def test_a_template_with_a_mistake_delays_the_email_and_names_the_place(
    engine: Engine, service: EmailService
) -> None:
    def broken(event: str, part: str, context: dict[str, object]) -> str:
        raise KeyError(f"no such name for alice@example.com in {event}")

    email_id = queue(engine)
    with capture_logs() as entries:
        assert emails.deliver(str(email_id), replace(service, render=broken)) is not None
    delayed = row(engine, email_id)
    assert delayed.state == "queued"
    assert (delayed.last_error or "").startswith("KeyError in test_emails.py:")
    assert [entry["event"] for entry in entries] == ["email delayed"]
    assert "alice" not in str(entries)


def test_an_email_lost_with_its_worker_is_sent_by_another(
    engine: Engine, service: EmailService, mailer: RecordingMailer, clock: StoppedClock
) -> None:
    email_id = queue(engine)

    class Killed(BaseException):
        pass

    def die() -> None:
        raise Killed

    mailer.while_sending = die
    with pytest.raises(Killed):
        emails.deliver(str(email_id), service)
    mailer.while_sending = lambda: None
    assert emails.deliver_due(service) == 0
    clock.advance(timedelta(minutes=6))
    assert emails.deliver_due(service) == 1
    assert len(mailer.sent) == 1


def test_an_attempt_that_took_too_long_does_not_undo_the_next(
    engine: Engine, service: EmailService, mailer: RecordingMailer, clock: StoppedClock
) -> None:
    email_id = queue(engine)

    def meanwhile() -> None:
        mailer.while_sending = lambda: None
        clock.advance(timedelta(minutes=6))
        emails.deliver(str(email_id), service)
        mailer.failure = EmailFailed("server 421", permanent=False)

    mailer.while_sending = meanwhile
    emails.deliver(str(email_id), service)
    assert row(engine, email_id).state == "sent"


# Links.


def test_a_link_is_made_when_the_email_is_rendered_and_stored_nowhere(
    engine: Engine,
    service: EmailService,
    mailer: RecordingMailer,
    alice: User,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    email_id = queue(engine, "verify", user=alice)
    emails.deliver_due(service)
    (sent,) = mailer.sent
    link = sent.text.split()[-1]
    assert link.startswith("https://shop.example/auth/verify/")
    token = link.rpartition("/")[2]
    assert token not in str(vars(row(engine, email_id)))
    for secret in (token, "alice@example.com", "Alice@"):
        assert secret not in caplog.text
        assert secret not in repr(sent)
    with transaction(engine) as session:
        assert accounts.verify_address(session, token, RULES, now=NOW).user.verified


def test_a_reset_link_opens_the_reset(
    engine: Engine, service: EmailService, mailer: RecordingMailer, alice: User
) -> None:
    queue(engine, "reset", user=alice)
    emails.deliver_due(service)
    link = mailer.sent[0].html.split()[-1]
    assert link.startswith("https://shop.example/auth/reset/")
    with transaction(engine) as session:
        token = link.rpartition("/")[2]
        assert accounts.find_by_reset_token(session, token, RULES, now=NOW).id == alice.id


def test_a_link_that_is_no_longer_needed_is_not_sent(
    engine: Engine, service: EmailService, mailer: RecordingMailer, alice: User
) -> None:
    verify, reset = queue(engine, "verify", user=alice), queue(engine, "reset", key="r", user=alice)
    with transaction(engine) as session:
        mine = session.get_one(User, alice.id)
        accounts.confirm_address(session, mine, RULES, now=NOW)
    emails.deliver(str(verify), service)
    with transaction(engine) as session:
        accounts.delete_account(session, session.get_one(User, alice.id), RULES, now=NOW)
    emails.deliver(str(reset), service)
    assert mailer.sent == []
    assert {row(engine, verify).state, row(engine, reset).state} == {"dropped"}


def test_a_secret_in_the_context_is_refused(engine: Engine) -> None:
    with transaction(engine) as session:
        for name in ("token", "resetToken", "link", "password"):
            with pytest.raises(ValueError, match="would be stored"):
                emails.queue(session, "hello", "a@example.com", {name: "x"}, "k", now=NOW)
        with pytest.raises(ValueError, match="user_id"):
            emails.queue(session, "verify", "a@example.com", {}, "k", now=NOW)
        with pytest.raises(AddressInvalid):
            emails.queue(session, "hello", "a@example.com\nBcc: b@example.com", {}, "k", now=NOW)


def test_old_emails_are_deleted(engine: Engine, service: EmailService) -> None:
    queue(engine)
    emails.deliver_due(service)
    queue(engine, key="still waiting")
    with transaction(engine) as session:
        emails.sweep(session, now=NOW + timedelta(days=31))
        assert [email.key for email in session.scalars(select(Email))] == ["still waiting"]


# As files.


def test_an_email_is_a_file_that_a_person_finds(tmp_path: Path) -> None:
    FileMailer(tmp_path / "mail", SENDER).send(HELLO)
    FileMailer(tmp_path / "mail", SENDER).send(HELLO)
    (path,) = (tmp_path / "mail").iterdir()
    assert path.name == "20261121T120000Z-hello-alice-example-com-email_1.eml"
    assert path.stat().st_mode & 0o077 == 0
    email = message_from_bytes(path.read_bytes(), policy=policy.default)
    assert (email["To"], email["From"], email["Subject"]) == ("alice@example.com", SENDER, "Grüße")
    assert email["Message-ID"] == "<email_1@shop.example>"


def test_a_folder_that_cannot_be_written_is_a_passing_failure(tmp_path: Path) -> None:
    (tmp_path / "mail").write_text("in the way")
    with pytest.raises(EmailFailed) as failed:
        FileMailer(tmp_path / "mail").send(HELLO)
    assert not failed.value.permanent


HEADERS = {"To", "From", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version"}


@given(st.text(max_size=200), st.text(max_size=80))
def test_no_value_smuggles_a_header(subject: str, to: str) -> None:
    hostile = replace(HELLO, subject=subject + "\r\nBcc: eve@example.com", to=to + "@example.com")
    try:
        wire = as_email(hostile, Address("CreditApp", addr_spec="credits@shop.example")).as_bytes()
    except EmailFailed:
        return
    email = message_from_bytes(wire, policy=policy.default)
    assert {name for name in email if not name.startswith("Content-")} == HEADERS
    assert email["Bcc"] is None


# By SMTP.


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    return loopback_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def server() -> Iterator[FakeSmtpServer]:
    with FakeSmtpServer() as server:
        yield server


def mailer_at(server: FakeSmtpServer, timeout_seconds: float = 5) -> SmtpMailer:
    return SmtpMailer(f"smtp://127.0.0.1:{server.port}", SENDER, timeout_seconds=timeout_seconds)


def test_an_email_arrives_whole(server: FakeSmtpServer) -> None:
    mailer_at(server).send(HELLO)
    (received,) = server.received
    assert (received.sender, received.recipients) == (
        "credits@shop.example",
        ("alice@example.com",),
    )
    email = received.email
    assert email["Subject"] == "Grüße"
    text = email.get_body(("plain",))
    html = email.get_body(("html",))
    assert text is not None
    assert text.get_content().replace("\r\n", "\n") == HELLO.text
    assert html is not None
    assert "<p>Hello</p>" in html.get_content()


@pytest.mark.parametrize("tls_at_once", [False, True])
def test_the_line_is_encrypted_whenever_that_is_offered(
    certificates: tuple[ssl.SSLContext, ssl.SSLContext], tls_at_once: bool
) -> None:
    shown, trusted = certificates
    logins = {"shop@example.com": "a:b/c @?"}
    with FakeSmtpServer(certificate=shown, tls_at_once=tls_at_once, logins=logins) as server:
        scheme = "smtps" if tls_at_once else "smtp"
        url = f"{scheme}://shop%40example.com:a%3Ab%2Fc%20%40%3F@127.0.0.1:{server.port}"
        SmtpMailer(url, SENDER, tls=trusted).send(HELLO)
        (received,) = server.received
        assert received.encrypted
        assert received.login == ("shop@example.com", "a:b/c @?")


def test_a_stranger_with_a_certificate_of_their_own_gets_nothing(
    certificates: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    with FakeSmtpServer(certificate=certificates[0]) as server:
        with pytest.raises(EmailFailed) as failed:
            mailer_at(server).send(HELLO)
        assert not failed.value.permanent
        assert server.received == []


@pytest.mark.parametrize("login", ["shop:secret@", ""])
def test_nothing_goes_over_an_open_line(
    server: FakeSmtpServer, monkeypatch: pytest.MonkeyPatch, login: str
) -> None:
    if login:
        server.logins = {"shop": "secret"}
    url = f"smtp://{login}127.0.0.1:{server.port}"
    SmtpMailer(url, SENDER).send(HELLO)  # this machine itself
    monkeypatch.setattr("creditapp.emails.mailers._LOOPBACK", set())
    mailer = SmtpMailer(url, SENDER)
    with pytest.raises(EmailFailed, match="no encryption"):
        mailer.send(HELLO)
    assert len(server.received) == 1
    assert "secret" not in repr(mailer)


def test_an_operator_may_trust_the_network_of_a_server_without_a_password(
    server: FakeSmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("creditapp.emails.mailers._LOOPBACK", set())
    SmtpMailer(f"smtp+cleartext://127.0.0.1:{server.port}", SENDER).send(HELLO)
    assert len(server.received) == 1
    with pytest.raises(SettingsInvalid, match=r"MAIL_URL .* in clear"):
        SmtpMailer("smtp+cleartext://shop:password@mail.example", SENDER)


@pytest.mark.parametrize(
    ("at", "answer", "permanent", "reason"),
    [
        ("RCPT", "550 no such person <alice@example.com>", True, "recipient 550"),
        ("RCPT", "450 try later", False, "recipient 450"),
        ("MAIL", "421 too busy", False, "server 421"),
        ("MAIL", "553 not from here", True, "server 553"),
        ("BODY", "554 spam", True, "server 554"),
        ("BODY", "451 disk full", False, "server 451"),
        ("EHLO", "421 too busy", False, "smtp: "),
    ],
)
def test_a_refusal_says_whether_trying_again_helps(
    server: FakeSmtpServer, at: str, answer: str, permanent: bool, reason: str
) -> None:
    server.behaviour.answers[at] = answer
    if at == "EHLO":
        server.behaviour.answers["HELO"] = answer
    with pytest.raises(EmailFailed) as failed:
        mailer_at(server).send(HELLO)
    assert failed.value.permanent is permanent
    assert failed.value.reason.startswith(reason) or at == "EHLO"
    assert "alice" not in str(failed.value)


def test_a_wrong_password_is_the_operators_and_passes() -> None:
    with FakeSmtpServer(logins={"shop": "right"}) as server:
        with pytest.raises(EmailFailed, match="login 535") as failed:
            SmtpMailer(f"smtp://shop:wrong@127.0.0.1:{server.port}", SENDER).send(HELLO)
        assert not failed.value.permanent


@pytest.mark.parametrize("at", ["EHLO", "RCPT", "DATA"])
def test_a_server_that_hangs_up_or_falls_silent_passes(server: FakeSmtpServer, at: str) -> None:
    server.behaviour.hang_up_at = at
    with pytest.raises(EmailFailed) as failed:
        mailer_at(server).send(HELLO)
    assert not failed.value.permanent
    server.behaviour.hang_up_at = ""
    server.behaviour.silent_at = at
    with pytest.raises(EmailFailed) as failed:
        mailer_at(server, timeout_seconds=0.2).send(HELLO)
    assert not failed.value.permanent


@pytest.mark.parametrize("answer", ["", "500 what", "421 bye"])
def test_an_email_that_was_accepted_is_sent_however_the_server_parts(
    server: FakeSmtpServer, answer: str
) -> None:
    if answer:
        server.behaviour.answers["QUIT"] = answer
    else:
        server.behaviour.hang_up_at = "QUIT"
    mailer_at(server).send(HELLO)
    assert len(server.received) == 1


def test_no_server_at_all_passes(server: FakeSmtpServer) -> None:
    server.stop()
    with pytest.raises(EmailFailed) as failed:
        mailer_at(server).send(HELLO)
    assert not failed.value.permanent


def test_an_email_goes_from_the_table_to_the_server(
    engine: Engine, service: EmailService, server: FakeSmtpServer
) -> None:
    email_id = queue(engine)
    server.behaviour.answers["BODY"] = "451 disk full"
    assert emails.deliver(str(email_id), replace(service, mailer=mailer_at(server))) is not None
    server.behaviour.answers.clear()
    assert isinstance(service.clock, StoppedClock)
    service.clock.advance(timedelta(minutes=1))
    emails.deliver(str(email_id), replace(service, mailer=mailer_at(server)))
    assert row(engine, email_id).state == "sent"
    assert server.received[0].email["Message-ID"] == f"<{email_id}@shop.example>"


@pytest.mark.parametrize(
    "url",
    ["smtp:", "smtp://", "http://mail.example", "smtp://host:port", "smtp://[", "mail.example"],
)
def test_an_email_url_that_cannot_be_used_says_so(url: str) -> None:
    with pytest.raises(SettingsInvalid, match="MAIL_URL"):
        SmtpMailer(url, SENDER)


@pytest.mark.parametrize("sender", ["", "nobody", "A <a b@example.com>", "A <>"])
def test_a_sender_that_cannot_be_used_says_so(sender: str) -> None:
    with pytest.raises(SettingsInvalid, match="CREDITAPP_MAIL_FROM"):
        FileMailer(Path(), sender)


def test_the_email_url_chooses_the_mailer(tmp_path: Path) -> None:
    assert isinstance(emails.mailer_for("", SENDER, tmp_path), FileMailer)
    assert isinstance(emails.mailer_for(f"file:{tmp_path}", SENDER, tmp_path), FileMailer)
    assert repr(emails.mailer_for("smtps://u:pw@host", SENDER, tmp_path)) == "SmtpMailer(host:465)"
