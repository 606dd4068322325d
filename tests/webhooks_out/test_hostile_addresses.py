"""Addresses by which a member would have this server call what only it can reach."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from creditapp.webhooks_out import addresses, transport
from creditapp.webhooks_out.addresses import AddressRefused

HOSTILE = (
    # This machine, in every notation.
    *("127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0x7f.1", "127.0.0.0x1"),
    *("127.0.0.1.", "localhost", "localhost.", "a.localhost", "0.0.0.0", "0", "%31%32%37.0.0.1"),
    *("[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]"),
    # Its network, and what translates into it.
    *("10.0.0.1", "192.168.0.1", "172.16.0.1", "100.64.0.1", "198.18.0.1", "[fd00::1]"),
    *("[fe80::1]", "[fe80::1%25eth0]", "[2606:4700::1%25lo]", "[64:ff9b::7f00:1]"),
    *("[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[2001:0:7f00:1::]", "[100::1]"),
    # Metadata of clouds.
    *("169.254.169.254", "[fd00:ec2::254]", "100.100.100.200", "168.63.129.16", "192.0.0.192"),
    *("metadata.google.internal", "instance-data.internal", "router.local"),
    # No single machine.
    *("224.0.0.1", "255.255.255.255", "240.0.0.1", "[ff02::1]", "203.0.113.1", "[2001:db8::1]"),
    # Names that mean another host to another reader.
    *("user@example.com", "example.com@127.0.0.1", "example.com\\@127.0.0.1", "example.com#@a.b"),
    *("exa%6dple.com", "example.com%00.b.com", "127。0。0。1", "①②⑦.0.0.1", "a..b.com", "-a.com"),
    *("example.com.", "example", "[v1.x]", "", "example.com:80", "example.com:22", "example.com:0"),
    *("example.com:65536", "example.com:-1", "example.com:٤٤٣", "a.com:443:80", "a.com\r\nX: y"),
)  # fmt: skip


@pytest.mark.parametrize("host", HOSTILE)
def test_an_address_that_leads_inside_is_refused(host: str) -> None:
    for url in (f"https://{host}/hook", f"http://{host}/hook"):
        with pytest.raises(AddressRefused):
            addresses.parse(url, loopback=False)


@pytest.mark.parametrize(
    "found",
    [
        ["127.0.0.1"],
        ["93.184.215.14", "10.0.0.1"],  # one of several
        ["::ffff:169.254.169.254"],
        ["64:ff9b::a00:1"],
        ["fe80::1%2"],
        ["192.0.0.192"],
        [],
    ],
)
def test_a_name_that_leads_inside_is_never_connected_to(
    monkeypatch: pytest.MonkeyPatch, found: list[str]
) -> None:
    """The name is looked up for each attempt, so that one that changes its answer is refused."""

    def resolved(*_args: Any, **_options: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, 443)) for each in found]

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    monkeypatch.setattr(transport, "_send", lambda *_: pytest.fail("it was connected to"))
    outcome = transport.post("https://rebinds.example.com/", b"{}", {}, loopback=False)
    assert outcome.problem == ("refused_address" if found else "unknown_host")
    assert not outcome.ok
