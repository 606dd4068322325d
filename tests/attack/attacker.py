"""An attacker: a browser or a program that sends whatever it likes, from any network."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.cookies import SimpleCookie
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

from tests.pages import Element, parse_html

T = TypeVar("T")

TIMEOUT_SECONDS = 60.0
PASSWORD = "correct horse battery"


@dataclass(frozen=True)
class Answer:
    """One answer, with the seconds that it took."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    seconds: float

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode(errors="replace")

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def page(self) -> Element:
        """The body as a page."""
        return parse_html(self.text)

    def header(self, name: str) -> str:
        """Return the first header of a name, or an empty text."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")

    @property
    def cookies(self) -> list[str]:
        """The Set-Cookie headers."""
        return [value for key, value in self.headers if key.lower() == "set-cookie"]


@dataclass
class Attacker:
    """A client with cookies of its own; ``network`` is the address that it calls from.

    Behind the trusted proxy of the production set-up that is the entry in X-Forwarded-For; at the
    demo, which has no proxy, a connection from that loopback address.
    """

    port: int
    host: str
    behind_proxy: bool
    network: str
    cookies: dict[str, str] = field(default_factory=dict)

    @property
    def origin(self) -> str:
        """The site's own origin."""
        return f"https://{self.host}" if self.behind_proxy else f"http://{self.host}"

    def call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        timeout: float = TIMEOUT_SECONDS,
    ) -> Answer:
        """Send one request on a connection of its own; keep the cookies of the answer."""
        sent = {"Host": self.host, **(headers or {})}
        if self.behind_proxy:
            sent.setdefault("X-Forwarded-For", self.network)
        if self.cookies:
            sent.setdefault("Cookie", "; ".join(f"{k}={v}" for k, v in self.cookies.items()))
        began = time.monotonic()
        connection = self.connection(timeout)
        try:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            content = response.read()
            answer = Answer(
                response.status, tuple(response.getheaders()), content, time.monotonic() - began
            )
        finally:
            connection.close()
        self._keep_cookies(answer)
        return answer

    def connection(self, timeout: float = TIMEOUT_SECONDS) -> HTTPConnection:
        """Return a connection, not yet opened."""
        source = None if self.behind_proxy else (self.network, 0)
        return HTTPConnection("127.0.0.1", self.port, timeout=timeout, source_address=source)

    def _keep_cookies(self, answer: Answer) -> None:
        for line in answer.cookies:
            for name, morsel in SimpleCookie(line).items():
                if morsel["max-age"] == "0" or not morsel.value:
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value

    def get(self, path: str, **headers: str) -> Answer:
        """Open a page; header names are written with underscores."""
        return self.call("GET", path, headers=_dashed(headers))

    def send_json(self, path: str, value: Any, method: str = "POST", **headers: str) -> Answer:
        """Send JSON as a page of the site does."""
        own = {"Content-Type": "application/json", "Origin": self.origin}
        return self.call(method, path, json.dumps(value).encode(), own | _dashed(headers))

    def send_form(self, path: str, fields: Mapping[str, str], **headers: str) -> Answer:
        """Send a form exactly as given."""
        own = {"Content-Type": "application/x-www-form-urlencoded", "Origin": self.origin}
        return self.call("POST", path, urlencode(fields).encode(), own | _dashed(headers))

    def token(self) -> str:
        """Return a CSRF token of this session."""
        return self.get("/auth/forgot").page.all("input[name=csrf_token]")[0]["value"]

    def submit(self, path: str, fields: Mapping[str, str], **headers: str) -> Answer:
        """Send a form with a valid token."""
        return self.send_form(path, {"csrf_token": self.token(), **fields}, **headers)

    def sign_up(self, email: str) -> Answer:
        """Open an account."""
        return self.submit("/auth/signup", {"email": email, "password": PASSWORD})

    def log_in(self, email: str, password: str = PASSWORD) -> Answer:
        """Log in."""
        return self.submit("/auth/login", {"email": email, "password": password})

    def credits(self) -> float:
        """Return the balance that can be spent."""
        balance = self.get("/api/credits/balance").json["balance"]
        return float(balance)

    def generate(self, **fields: Any) -> Answer:
        """Order an image by the API."""
        order = {"prompt": "a boat", "model": "nano-banana", **fields}
        return self.send_json("/api/generate-image", order)

    def start_checkout(self, pack: str = "creator") -> str:
        """Start buying a pack; return the path of the bank's page."""
        answer = self.send_json("/api/billing/checkout-session", {"packId": pack})
        assert answer.status == 200, answer.text
        return urlsplit(str(answer.json["url"])).path

    def drip(self, path: str, seconds: float, *, length: int = 10_000) -> bool:
        """Send a body by one byte a second; return whether the server closed or answered."""
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {self.host}\r\nOrigin: {self.origin}\r\n"
            f"X-Forwarded-For: {self.network}\r\nContent-Length: {length}\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\n\r\n"
        )
        end = time.monotonic() + seconds
        with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
            try:
                connection.sendall(head.encode())
                while time.monotonic() < end:
                    connection.sendall(b"a")
                    try:
                        connection.recv(4096)
                    except TimeoutError:
                        continue
                    return True
            except OSError:
                return True
        return False


def together(count: int, act: Callable[[int], T]) -> list[T]:
    """Do something ``count`` times at once; return what each did."""
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(act, range(count)))


def _dashed(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
