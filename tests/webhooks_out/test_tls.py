"""TLS: the certificate is verified for the name, at the address that was checked."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from creditapp.webhooks_out import transport

NAME = "hooks.example.com"
IP = "93.184.216.34"


class TlsReceiver:
    """A receiver with a certificate for ``hooks.example.com``, reached as if it had a public IP."""

    def __init__(self, folder: Path) -> None:
        self.names: list[str | None] = []
        self.hosts: list[str] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                receiver.hosts.append(self.headers["Host"])
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        self.certificate = _write_certificate(folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, folder / "key.pem")
        context.sni_callback = lambda _socket, name, _context: self.names.append(name)
        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *_: None  # type: ignore[method-assign]  # refusals are the test
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()


def _write_certificate(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "receiver")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    path = folder / "certificate.pem"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def receiver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TlsReceiver]:
    """A receiver that any name resolves to, whose authority is trusted."""
    made = TlsReceiver(tmp_path)
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda *_, **__: [(socket.AF_INET, 1, 6, "", (IP, 443))]
    )

    def to_receiver(address: tuple[str, int], *_: object, **__: object) -> socket.socket:
        assert ipaddress.ip_address(address[0]) == ipaddress.ip_address(IP)
        connection = socket.socket()
        connection.connect(made.server.server_address)
        return connection

    monkeypatch.setattr(socket, "create_connection", to_receiver)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.certificate))
    transport._tls.cache_clear()
    yield made
    transport._tls.cache_clear()
    made.server.shutdown()
    made.server.server_close()


def test_the_name_is_in_tls_and_host_while_the_connection_goes_to_the_address(
    receiver: TlsReceiver,
) -> None:
    for port, host in (("", NAME), (":8443", f"{NAME}:8443")):
        outcome = transport.post(f"https://{NAME}{port}/in", b"{}", {}, loopback=False)
        assert (outcome.status, outcome.problem) == (204, None)
        assert (receiver.names[-1], receiver.hosts[-1]) == (NAME, host)


def test_a_certificate_of_another_name_is_refused(receiver: TlsReceiver) -> None:
    outcome = transport.post("https://other.example.com/", b"{}", {}, loopback=False)
    assert (outcome.status, outcome.problem) == (None, "tls")
    assert receiver.hosts == []


def test_a_certificate_that_nobody_trusts_is_refused(
    receiver: TlsReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    transport._tls.cache_clear()
    outcome = transport.post(f"https://{NAME}/", b"{}", {}, loopback=False)
    assert (outcome.status, outcome.problem) == (None, "tls")
    assert receiver.hosts == []
