"""Small SMTP server on loopback: it records emails, and fails on request."""

from __future__ import annotations

import base64
import contextlib
import ipaddress
import socketserver
import ssl
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from types import TracebackType

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Received:
    """One email as it was received."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes
    encrypted: bool
    login: tuple[str, str] | None

    @property
    def email(self) -> EmailMessage:
        """The parsed email."""
        return message_from_bytes(self.content, policy=policy.default)


@dataclass
class Behaviour:
    """Failures of the server; change them while it runs."""

    answers: dict[str, str] = field(default_factory=dict)
    """A command, such as ``RCPT`` or ``BODY`` (the end of the data), and the answer to it."""
    hang_up_at: str = ""
    silent_at: str = ""


class FakeSmtpServer:
    """``with FakeSmtpServer() as server:`` listens on ``server.port`` until the end."""

    def __init__(
        self,
        *,
        certificate: ssl.SSLContext | None = None,
        tls_at_once: bool = False,
        logins: dict[str, str] | None = None,
    ) -> None:
        self.certificate = certificate
        self.tls_at_once = tls_at_once
        self.logins = logins
        self.behaviour = Behaviour()
        self.received: list[Received] = []
        self.released = threading.Event()
        server = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError, ValueError):
                    _Dialogue(server, self).run()

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def port(self) -> int:
        """The port on 127.0.0.1."""
        return int(self._server.server_address[1])

    def __enter__(self) -> FakeSmtpServer:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop listening; a second call changes nothing."""
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


class _Dialogue:
    """One connection, from greeting to QUIT."""

    def __init__(self, server: FakeSmtpServer, handler: socketserver.StreamRequestHandler) -> None:
        self.server = server
        self.socket = handler.request
        self.encrypted = False
        self.login: tuple[str, str] | None = None
        self.sender = ""
        self.recipients: list[str] = []

    def run(self) -> None:
        if self.server.tls_at_once:
            self.start_tls()
        self.lines = self.socket.makefile("rb")
        self.say("220 fake.test ESMTP")
        while line := self.lines.readline():
            text = line.decode().rstrip("\r\n")
            command = text.partition(" ")[0].partition(":")[0].upper()
            if not self.obey(command, text):
                return

    def obey(self, command: str, text: str) -> bool:
        """Answer one command; return whether the dialogue goes on."""
        behaviour = self.server.behaviour
        if command == behaviour.hang_up_at:
            return False
        if command == behaviour.silent_at:
            self.server.released.wait(20)
            return False
        if command in behaviour.answers:
            self.say(behaviour.answers[command])
            return True
        if command == "EHLO":
            self.greet()
        elif command == "STARTTLS":
            self.say("220 go ahead")
            self.start_tls()
            self.lines = self.socket.makefile("rb")
        elif command == "AUTH":
            self.authenticate(text)
        elif command == "MAIL":
            self.sender = _address(text)
            needs = self.server.logins is not None and self.login is None
            self.say("530 log in first" if needs else "250 ok")
        elif command == "RCPT":
            self.recipients.append(_address(text))
            self.say("250 ok")
        elif command == "DATA":
            self.say("354 end with a dot")
            return self.receive_email()
        elif command == "QUIT":
            self.say("221 bye")
            return False
        else:
            self.say("250 ok" if command in ("RSET", "NOOP", "HELO") else "502 unknown")
        return True

    def greet(self) -> None:
        offers = ["fake.test", "8BITMIME"]
        if self.server.certificate and not self.encrypted:
            offers.append("STARTTLS")
        if self.server.logins is not None:
            offers.append("AUTH PLAIN")
        for offer in offers[:-1]:
            self.say(f"250-{offer}")
        self.say(f"250 {offers[-1]}")

    def authenticate(self, text: str) -> None:
        _, _, given = text.partition("PLAIN ")
        _, user, password = base64.b64decode(given).decode().split("\0")
        if (self.server.logins or {}).get(user) == password:
            self.login = (user, password)
            self.say("235 welcome")
        else:
            self.say("535 wrong user or password")

    def receive_email(self) -> bool:
        content = b""
        while (line := self.lines.readline()) not in (b".\r\n", b""):
            content += line[1:] if line.startswith(b".") else line
        received = Received(
            self.sender, tuple(self.recipients), content, self.encrypted, self.login
        )
        refusal = self.server.behaviour.answers.get("BODY")
        if refusal is None:
            self.server.received.append(received)
        self.say(refusal or "250 queued")
        return True

    def start_tls(self) -> None:
        assert self.server.certificate
        self.socket = self.server.certificate.wrap_socket(self.socket, server_side=True)
        self.encrypted = True

    def say(self, text: str) -> None:
        self.socket.sendall(text.encode() + b"\r\n")


def _address(text: str) -> str:
    return text[text.index("<") + 1 : text.index(">")]


def loopback_certificate(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return the TLS contexts of a server on 127.0.0.1 and of a client that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    begins = datetime.now(UTC) - timedelta(hours=1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    return server, ssl.create_default_context(cafile=str(path))
