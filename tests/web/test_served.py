"""The real server under slow senders, behind one trusted proxy."""

from __future__ import annotations

import http.client
import json
import resource
import shutil
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from creditapp.rate_limits import HEADERS_BYTES_MAX, HEADERS_SECONDS
from tests.browser.conftest import free_port, start_server, stop_server

DRIPPING_CLIENTS = 25
SECONDS_MAX = 5.0
"""For an honest request while both cores are busy; without the limits it waited for ever."""


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a server behind one proxy, with few threads."""
    folder, number = tmp_path_factory.mktemp("served"), free_port()
    environ = {"CREDITAPP_TRUSTED_PROXIES": "1", "CREDITAPP_THREADS": "8"}
    process = start_server(folder, number, environ)
    yield number
    stop_server(process)
    shutil.rmtree(folder, ignore_errors=True)


class Drip:
    """A client of a network of its own that sends a byte now and then."""

    def __init__(self, port: int, number: int, path: str = "/auth/login") -> None:
        self.answer = b""
        self.ended_at = 0.0
        self.socket = socket.create_connection(("127.0.0.1", port))
        head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-For: 10.{number}.0.1\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 5000\r\n\r\n"
        )
        self.socket.sendall(head.encode())
        self.thread = threading.Thread(target=self.drip)
        self.thread.start()

    def drip(self) -> None:
        self.socket.settimeout(0.5)
        give_up_at = time.monotonic() + 60
        while time.monotonic() < give_up_at:
            try:
                got = self.socket.recv(65_536)
            except TimeoutError:
                try:
                    self.socket.sendall(b"a")
                except OSError:
                    break
                continue
            except OSError:
                break
            if not got:
                break
            self.answer += got
        self.ended_at = time.monotonic()


def call(port: int, path: str, body: bytes | None = None) -> tuple[int, float]:
    """Send a request of a client that has done nothing; return its status and its seconds."""
    began_at = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"X-Forwarded-For": "192.0.2.1", "Content-Type": "application/json"}
    connection.request("GET" if body is None else "POST", path, body, headers)
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status, time.monotonic() - began_at


@pytest.mark.whole
def test_a_thousand_silent_connections_change_nothing_for_others(port: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    silent = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(1100)]
    try:
        status, seconds = call(port, "/healthz")
        assert (status, seconds < SECONDS_MAX) == (200, True)
        began_at = time.monotonic()
        assert silent[0].recv(1) == b""  # the server closes it
        assert time.monotonic() - began_at < HEADERS_SECONDS + SECONDS_MAX
    finally:
        for each in silent:
            each.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_headers_without_end_are_refused(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        head = b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-Filler: " + b"a" * (HEADERS_BYTES_MAX + 1)
        client.sendall(head)
        assert client.recv(100).startswith(b"HTTP/1.1 431 ")


def test_dripping_clients_of_many_networks_change_nothing_for_others(port: int) -> None:
    quote = json.dumps({"model": "flux-dev"}).encode()
    began_at = time.monotonic()
    drips = [Drip(port, number) for number in range(DRIPPING_CLIENTS)]
    drips += [Drip(port, number, "/api/webhooks/stripe") for number in range(DRIPPING_CLIENTS)]
    while time.monotonic() - began_at < 3:
        for path, body, status in (
            ("/api/quotes", quote, 200),
            ("/", None, 200),
            ("/api/webhooks/stripe", b"{}", 400),  # read, and refused for its signature
        ):
            answer = call(port, path, body)
            assert answer[0] == status
            assert answer[1] < SECONDS_MAX
    for drip in drips:
        drip.thread.join(60)
    for drip in drips:
        assert drip.answer.startswith(b"HTTP/1.1 408 "), drip.answer[:80]
        assert 4 < drip.ended_at - began_at < 40


def test_a_long_body_is_refused_before_it_is_sent(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(
            b"POST /api/quotes HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: 12000000\r\nExpect: 100-continue\r\n\r\n"
        )
        answer = client.recv(65_536)
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b'"code":"payload_too_large"' in answer or client.recv(65_536)


def test_a_connection_is_kept_for_the_next_request(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for _ in range(3):
        connection.request("POST", "/api/quotes", b'{"model": "flux-dev"}')
        response = connection.getresponse()
        response.read()
        assert response.status == 415  # no content type
        kept = connection.sock
        connection.request("GET", "/healthz")
        assert connection.getresponse().read() == b'{"status":"ok"}'
        assert connection.sock is kept
    connection.close()
