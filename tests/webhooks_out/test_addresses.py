"""Addresses: what only this server can reach is refused when saved, and again when resolved."""

from __future__ import annotations

import errno
import socket
import threading
import time
from datetime import timedelta
from ipaddress import ip_address

import pytest

from creditapp.webhooks_out import addresses, transport
from creditapp.webhooks_out.addresses import AddressRefused
from tests.app_factory import Person
from tests.webhooks_out.hooks import PATH, Hooks
from tests.webhooks_out.receiver import Receiver

NOT_PUBLIC = [
    *("0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "127.9.9.9", "169.254.169.254"),
    *("172.16.0.1", "192.0.0.1", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1"),
    *("168.63.129.16", "203.0.113.9", "224.0.0.1", "239.255.255.250", "240.0.0.1"),
    *("255.255.255.255", "::", "::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::7f00:1"),
    *("64:ff9b::7f00:1", "64:ff9b:1::a00:1", "100::1", "fc00::1", "fd12:3456::1", "fe80::1"),
    *("fec0::1", "ff02::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "2002:a00:1::", "3fff::1"),
]
PUBLIC = ["8.8.8.8", "1.1.1.1", "93.184.216.34", "2606:2800:220:1::1", "2a00:1450:4001::1"]
REFUSED = [
    *("http://hooks.example.com/", "ftp://hooks.example.com/", "hooks.example.com", "https://"),
    *("https:///path", "//hooks.example.com", "javascript:alert(1)", "file:///etc/passwd"),
    *(
        "https://user@hooks.example.com/",
        "https://user:pw@hooks.example.com/",
        "https://@a.example",
    ),
    *(
        "https://localhost/",
        "https://LOCALHOST:8443/",
        "https://localhost./",
        "https://a.localhost/",
    ),
    *(
        "https://intranet/",
        "https://db.internal/",
        "https://printer.local/",
        "https://a.home.arpa/",
    ),
    *("https://2130706433/", "https://0x7f000001/", "https://0x7f.1/", "https://0177.0.0.1/"),
    *("https://127.1/", "https://1.2.3.4.5/", "https://127.0.0.1./", "https://a.0x7f/"),
    *("https://hooks.example.com:22/", "https://hooks.example.com:80/", "https://a.example:0/"),
    *("https://hooks.example.com:65536/", "https://a.example:x/", "https://a.example:-1/"),
    *("https://hooks.example.com/#part", "https://hooks.example.com /", "https://a.example/\n"),
    *("https://exa mple.com/", "https://ex\\ample.com/", "https://hooks.example.com\\@10.0.0.1/"),
    *("https://b\u00fccher.example/", "https://\uff11\uff12\uff17.0.0.1/", "https://a..example/"),
    *("https://-a.example/", "https://[::1", "https://[v1.a]/", "https://a.example/" + "x" * 500),
]


@pytest.mark.parametrize("text", NOT_PUBLIC)
def test_an_address_that_is_not_public_is_refused(text: str) -> None:
    assert not addresses.is_public(ip_address(text))
    host = f"[{text}]" if ":" in text else text
    with pytest.raises(AddressRefused):
        addresses.parse(f"https://{host}/", loopback=True)


@pytest.mark.parametrize("text", PUBLIC)
def test_a_public_address_is_allowed(text: str) -> None:
    assert addresses.is_public(ip_address(text))
    host = f"[{text}]" if ":" in text else text
    target = addresses.parse(f"https://{host}:8443/in?a=b", loopback=False)
    assert (target.host, target.port, target.path) == (text, 8443, "/in?a=b")
    assert target.host_header == f"{host}:8443"


@pytest.mark.parametrize("url", REFUSED)
@pytest.mark.parametrize("loopback", [False, True])
def test_an_address_that_is_never_called_is_refused(url: str, loopback: bool) -> None:
    with pytest.raises(AddressRefused):
        addresses.parse(url, loopback=loopback)


@pytest.mark.parametrize(
    "url",
    [
        *("http://127.0.0.1:5000/", "http://localhost/", "http://[::1]:8080/in"),
        "http://LocalHost:9999/?a",
    ],
)
def test_this_machine_is_reached_by_http_where_the_setting_allows_it(url: str) -> None:
    assert not addresses.parse(url, loopback=True).tls
    with pytest.raises(AddressRefused):
        addresses.parse(url, loopback=False)


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.2/", "http://127.1/", "http://0/", "http://10.0.0.1/", "http://a.example/"],
)
def test_the_setting_opens_three_names_and_nothing_else(url: str) -> None:
    with pytest.raises(AddressRefused):
        addresses.parse(url, loopback=True)


class Resolver:
    """Answers of a name server, one after the other."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, host: str, port: int, **_options: object) -> list[tuple[object, ...]]:
        self.asked.append(host)
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in self.answers.pop(0)
        ]


@pytest.mark.parametrize("private", NOT_PUBLIC)
def test_a_name_with_one_address_that_is_not_public_is_not_called(
    private: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", Resolver(["93.184.216.34", private]))
    outcome = transport.post("https://hooks.example.com/", b"{}", {}, loopback=True)
    assert (outcome.status, outcome.problem) == (None, "refused_address")


def test_a_name_that_changes_its_answer_reaches_only_the_address_that_was_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The name is asked once; the connection is asked for the checked address itself."""
    resolver = Resolver(["93.184.216.34"], ["127.0.0.1"])
    monkeypatch.setattr(addresses.socket, "getaddrinfo", resolver)
    connected: list[tuple[str, int]] = []

    def connect(address: tuple[str, int], *_rest: object, **_options: object) -> socket.socket:
        connected.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", connect)
    outcome = transport.post("https://hooks.example.com/", b"{}", {}, loopback=True)
    assert outcome.problem == "no_connection"
    assert connected == [("93.184.216.34", 443)]
    assert resolver.asked == ["hooks.example.com"]


def test_localhost_that_resolves_elsewhere_is_not_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses.socket, "getaddrinfo", Resolver(["10.0.0.1"]))
    outcome = transport.post("http://localhost:5000/", b"{}", {}, loopback=True)
    assert outcome.problem == "refused_address"


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "unknown_host"),
        (socket.gaierror(socket.EAI_NODATA, "No address"), "unknown_host"),
        (UnicodeError("label too long"), "unknown_host"),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), "lookup_failed"),
        (socket.gaierror(socket.EAI_FAIL, "Non-recoverable failure"), "lookup_failed"),
        (OSError(errno.EMFILE, "Too many open files"), "lookup_failed"),
    ],
)
def test_an_unknown_name_and_a_lookup_that_failed_are_told_apart(
    monkeypatch: pytest.MonkeyPatch, error: Exception, problem: str
) -> None:
    """A name server in trouble says nothing about the name."""

    def look_up(*_arguments: object, **_options: object) -> list[tuple[object, ...]]:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    outcome = transport.post("https://hooks.example.com/", b"{}", {}, loopback=False)
    assert (outcome.ok, outcome.status, outcome.problem) == (False, None, problem)


def test_a_lookup_that_failed_is_tried_again_and_the_log_says_so(
    alice: Person, hooks: Hooks, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = hooks.endpoint(alice, receiver, "credits.spent")
    alice.call("POST", f"{PATH}/{endpoint['id']}/test")

    def refuse(_target: addresses.Target) -> list[str]:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    with monkeypatch.context() as patched:
        patched.setattr(addresses, "resolve", refuse)
        hooks.deliver()
    page = alice.page(f"/settings/webhooks/{endpoint['id']}")
    assert "the name could not be looked up" in page.one(".webhook-delivery").text
    hooks.deliver(timedelta(seconds=15))
    assert receiver.types() == ["webhook.test"]


def test_an_address_saved_before_the_setting_was_withdrawn_is_not_called(
    alice: Person, hooks: Hooks, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    from creditapp.config import Settings
    from creditapp.services import get, provide

    endpoint = hooks.endpoint(alice, receiver, "credits.spent")
    with hooks.app.app_context():
        settings = get(Settings).model_copy(update={"webhooks_to_loopback": False})
    provide(hooks.app, Settings, settings)
    alice.call("POST", f"{PATH}/{endpoint['id']}/test")
    hooks.deliver()
    assert receiver.received == []
    (delivery,) = hooks.log(alice, endpoint)
    assert delivery["attempts"][0]["problem"] == "refused_address"


class HangingLookup:
    """A name server that answers when the test is over."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.over = threading.Event()
        self.asked = 0
        monkeypatch.setattr(socket, "getaddrinfo", self)

    def __call__(self, *_arguments: object, **_options: object) -> list[tuple[object, ...]]:
        self.asked += 1
        self.over.wait(30)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    def threads(self) -> int:
        """Return how many threads wait for an answer."""
        return sum(thread.name == "webhook-lookup" for thread in threading.enumerate())

    def end(self) -> None:
        """Answer, and wait for the threads to end."""
        self.over.set()
        give_up_at = time.monotonic() + 10
        while self.threads():
            assert time.monotonic() < give_up_at
            time.sleep(0.01)


def test_a_name_server_that_never_answers_holds_an_attempt_for_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(addresses, "LOOKUP_SECONDS", 0.3)
    hanging = HangingLookup(monkeypatch)
    started = time.monotonic()
    outcome = transport.post("https://hooks.example.com/", b"{}", {}, loopback=False)
    assert (outcome.status, outcome.problem) == (None, "no_lookup")
    assert 0.3 <= time.monotonic() - started < 3
    hanging.end()
    assert addresses.LOOKUP_SECONDS < transport.TOTAL_SECONDS


def test_lookups_that_hang_are_bounded_in_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "LOOKUP_SECONDS", 0.1)
    monkeypatch.setattr(addresses, "_lookups", threading.BoundedSemaphore(3))
    hanging = HangingLookup(monkeypatch)
    for number in range(8):
        outcome = transport.post(f"https://a{number}.example.com/", b"{}", {}, loopback=False)
        assert outcome.problem == "no_lookup"
    assert hanging.asked == 3
    assert hanging.threads() == 3
    hanging.end()
    outcome = transport.post("https://hooks.example.com/", b"{}", {}, loopback=False)
    assert outcome.problem == "unknown_host"
