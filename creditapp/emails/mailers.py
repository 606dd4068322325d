"""Mailers: SMTP, or files that a developer can open."""

from __future__ import annotations

import re
import smtplib
import ssl
from dataclasses import dataclass, field
from datetime import datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from creditapp.config import SettingsInvalid

# No header folding: the library folds a long address by encoding it, which nothing can read.
_POLICY = SMTP.clone(max_line_length=998)
_CLEARTEXT = "smtp+cleartext"
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class EmailFailed(Exception):
    """The email was not sent; ``permanent`` says that trying again would not help."""

    def __init__(self, reason: str, *, permanent: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        """A few words without the address or the server's answer."""
        self.permanent = permanent


@dataclass(frozen=True)
class Message:
    """A rendered email to one recipient."""

    id: str
    event: str
    to: str = field(repr=False)
    subject: str = field(repr=False)
    text: str = field(repr=False)
    html: str = field(repr=False)
    """Empty if there is only text."""
    created_at: datetime
    unsubscribe_url: str = field(default="", repr=False)
    """The link that unsubscribes from emails of this kind; empty if they are not optional."""


class Mailer(Protocol):
    """Interface of the mailers."""

    def send(self, message: Message) -> None:
        """Send, or raise ``EmailFailed``; called with no transaction open."""


def mailer_for(mail_url: str, sender: str, folder: Path) -> Mailer:
    """Return the mailer that ``MAIL_URL`` names; without one, emails become files in ``folder``."""
    if not mail_url or mail_url.startswith("file:"):
        return FileMailer(Path(mail_url.removeprefix("file:")) if mail_url else folder, sender)
    return SmtpMailer(mail_url, sender)


class FileMailer:
    """Writes each email as a file ``<time>-<event>-<address>-<id>.eml``."""

    def __init__(self, folder: Path, sender: str = "CreditApp <credits@localhost>") -> None:
        self._folder = folder
        self._sender = _sender(sender)

    def send(self, message: Message) -> None:
        """Write the file whole or not at all; sending the same email again writes the same file."""
        content = as_email(message, self._sender).as_bytes()
        time = message.created_at.strftime("%Y%m%dT%H%M%SZ")
        to = re.sub(r"[^a-z0-9]+", "-", message.to.lower()).strip("-")[:60]
        path = self._folder / f"{time}-{message.event}-{to}-{message.id[-8:]}.eml"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            draft = path.with_suffix(".part")
            # Readable by its owner alone: the links in it open accounts.
            draft.touch(mode=0o600)
            draft.write_bytes(content)
            draft.replace(path)
        except OSError as error:
            raise EmailFailed(f"file: {type(error).__name__}", permanent=False) from error


class SmtpMailer:
    """Sends by ``smtp://user:password@host:port`` or ``smtps://``, and only with TLS.

    The links in emails open accounts. Without TLS it sends to this machine itself, and with
    ``smtp+cleartext://`` to a server in a network that the operator trusts; a password never.
    """

    def __init__(
        self,
        url: str,
        sender: str,
        *,
        timeout_seconds: float = 15,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if parts.scheme not in ("smtp", "smtps", _CLEARTEXT) or not parts.hostname:
            raise SettingsInvalid("MAIL_URL is not like smtp://user:password@host:587.")
        if parts.scheme == _CLEARTEXT and parts.username:
            raise SettingsInvalid(
                "MAIL_URL would send its password in clear: use smtp:// or smtps://."
            )
        self._needs_tls = parts.scheme != _CLEARTEXT and parts.hostname not in _LOOPBACK
        self._direct_tls = parts.scheme == "smtps"
        self._host = parts.hostname
        self._port = port or (465 if self._direct_tls else 587)
        self._user = unquote(parts.username or "")
        self._password = unquote(parts.password or "")
        self._sender = _sender(sender)
        self._timeout_seconds = timeout_seconds
        self._tls = tls or ssl.create_default_context()

    def __repr__(self) -> str:
        return f"SmtpMailer({self._host}:{self._port})"

    def send(self, message: Message) -> None:
        """Send over a connection of its own; raise ``EmailFailed``."""
        email = as_email(message, self._sender)
        smtp: smtplib.SMTP | None = None
        try:
            smtp = self._connect()
            smtp.send_message(email, self._sender.addr_spec, [message.to])
        except smtplib.SMTPRecipientsRefused as error:
            code = max((answer[0] for answer in error.recipients.values()), default=450)
            raise _failure("recipient", code) from None
        except smtplib.SMTPAuthenticationError as error:
            # The operator's mistake, not the email's: it is sent once the login is corrected.
            raise EmailFailed(f"login {error.smtp_code}", permanent=False) from None
        except smtplib.SMTPResponseException as error:
            raise _failure("server", error.smtp_code) from None
        except (smtplib.SMTPException, OSError) as error:
            raise EmailFailed(f"smtp: {type(error).__name__}", permanent=False) from None
        finally:
            if smtp is not None:
                _close(smtp)

    def _connect(self) -> smtplib.SMTP:
        # Our own name, or smtplib would look ours up and may wait for a name server.
        name = self._sender.domain or "localhost"
        if self._direct_tls:
            smtp: smtplib.SMTP = smtplib.SMTP_SSL(
                self._host, self._port, name, timeout=self._timeout_seconds, context=self._tls
            )
        else:
            smtp = smtplib.SMTP(self._host, self._port, name, timeout=self._timeout_seconds)
        try:
            encrypted = self._direct_tls
            smtp.ehlo_or_helo_if_needed()
            if not encrypted and smtp.has_extn("starttls"):
                smtp.starttls(context=self._tls)
                encrypted = True
            if self._needs_tls and not encrypted:
                raise EmailFailed("server offers no encryption", permanent=False)
            if self._user:
                smtp.login(self._user, self._password)
        except BaseException:
            _close(smtp)
            raise
        return smtp


def as_email(message: Message, sender: Address) -> EmailMessage:
    """Return the email in its form for the wire; no header can be smuggled in by any value.

    Raises ``EmailFailed`` for an address that is none.
    """
    email = EmailMessage(policy=_POLICY)
    try:
        email["To"] = Address(addr_spec=message.to)
        email["From"] = sender
        # A header has one line: line breaks from a template or a name become spaces.
        email["Subject"] = " ".join(message.subject.split())
        email["Date"] = format_datetime(message.created_at)
        # The same for every attempt, so that an email sent twice is shown once.
        email["Message-ID"] = f"<{message.id}@{sender.domain}>"
        email["Auto-Submitted"] = "auto-generated"
        if message.unsubscribe_url:
            # RFC 8058: the email program posts to it at once, without a login.
            email["List-Unsubscribe"] = f"<{message.unsubscribe_url}>"
            email["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    except (ValueError, IndexError, MessageError):
        raise EmailFailed("address", permanent=True) from None
    email.set_content(message.text)
    if message.html:
        email.add_alternative(message.html, subtype="html")
    return email


def _sender(text: str) -> Address:
    name, address = parseaddr(text)
    try:
        return Address(display_name=name, addr_spec=address)
    except (ValueError, IndexError, MessageError):
        raise SettingsInvalid(
            "CREDITAPP_MAIL_FROM is not like CreditApp <credits@example.com>."
        ) from None


def _failure(command: str, code: int) -> EmailFailed:
    return EmailFailed(f"{command} {code}", permanent=500 <= code < 600)


def _close(smtp: smtplib.SMTP) -> None:
    # The email is accepted or refused by now; a server that hangs up first changes neither.
    try:
        smtp.quit()
    except (smtplib.SMTPException, OSError):
        smtp.close()
