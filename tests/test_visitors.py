"""Visitors: a signed cookie, and the client's address behind our proxies."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from creditapp.accounts import networks_of
from creditapp.guests import client_address, visitor_of

SECRET = "the secret of the tests"
HOME = networks_of("192.0.2.7", SECRET)


def test_a_browser_is_known_by_its_signed_cookie() -> None:
    first, cookie = visitor_of(None, HOME, SECRET)
    assert cookie is not None
    again, nothing_new = visitor_of(cookie, networks_of("192.0.2.8", SECRET), SECRET)
    assert (again.cookie_id, nothing_new) == (first.cookie_id, None)
    assert again.networks != first.networks


@pytest.mark.parametrize("forged", ["", "x", ".", "é", "a.b", "\ud800", "x" * 100_000, "a\0.b"])
def test_a_forged_cookie_is_replaced(forged: str) -> None:
    visitor, cookie = visitor_of(forged, HOME, SECRET)
    assert cookie is not None
    assert visitor.cookie_id in cookie
    assert visitor.cookie_id != forged


def test_a_cookie_of_another_house_or_another_purpose_is_replaced() -> None:
    _, cookie = visitor_of(None, HOME, "another secret")
    assert visitor_of(cookie, HOME, SECRET)[1] is not None


ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str)


@given(st.text(max_size=60), ADDRESSES, st.lists(ADDRESSES, max_size=3), st.integers(1, 4))
def test_a_forged_header_does_not_hide_the_address_seen_by_our_outermost_proxy(
    forged: str, client: str, between: list[str], proxies: int
) -> None:
    """The client writes what it likes; each of our proxies appends whom it was called from."""
    hops = [client, *(between * 4)[: proxies - 1]]
    hops += ["10.0.0.1"] * (proxies - len(hops))
    header = ", ".join(([forged] if forged else []) + hops)
    seen = client_address("10.9.9.9", header, proxies)
    address = ipaddress.ip_address(client)
    mapped = getattr(address, "ipv4_mapped", None)
    assert seen == str(mapped or address)


@given(st.text(max_size=80), st.integers(0, 5))
def test_any_header_gives_an_address_or_the_callers(header: str, proxies: int) -> None:
    seen = client_address("192.0.2.1", header, proxies)
    assert seen == "192.0.2.1" or ipaddress.ip_address(seen)


@pytest.mark.parametrize(
    ("header", "proxies", "client"),
    [
        ("198.51.100.1", 0, "192.0.2.1"),
        (None, 1, "192.0.2.1"),
        ("", 1, "192.0.2.1"),
        ("198.51.100.1", 1, "198.51.100.1"),
        ("6.6.6.6, 198.51.100.1", 1, "198.51.100.1"),
        ("6.6.6.6, 198.51.100.1, 10.0.0.2", 2, "198.51.100.1"),
        ("198.51.100.1", 2, "192.0.2.1"),
        ("198.51.100.1, unknown", 1, "192.0.2.1"),
        ("198.51.100.1,", 1, "192.0.2.1"),
        ("198.51.100.1:4711", 1, "198.51.100.1"),
        ("[2001:db8::1]:4711", 1, "2001:db8::1"),
        ("2001:db8::1", 1, "2001:db8::1"),
        ("1.2.3.4.5", 1, "192.0.2.1"),
        ("127.0.0.1 , 198.51.100.1 ", 1, "198.51.100.1"),
        ("198.51.100.1", -1, "192.0.2.1"),
    ],
)
def test_the_client_behind_declared_proxies(header: str | None, proxies: int, client: str) -> None:
    assert client_address("192.0.2.1", header, proxies) == client
