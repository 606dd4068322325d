"""Networks: the blocks of addresses that every limit by network counts."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session

from creditapp import accounts
from creditapp.accounts import AccountRules, Networks, networks_of
from creditapp.db import transaction
from creditapp.errors import RateLimited
from creditapp.rate_limits import LOG_IN_OF_NETWORK, RESET_OF_NETWORK, SIGN_UP_OF_NETWORK
from tests.accounts.conftest import NOW, Join

SECRET = "the secret of the tests"


def keys(address: str) -> tuple[str, ...]:
    return tuple(network.key for network in networks_of(address, SECRET))


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", 3),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", 2),
        ("2001:db8:1:2::1", "2001:db8:1:ff02::1", 1),
        ("2001:db8:1:2::1", "2001:db8:2:2::1", 0),
        ("192.0.2.1", "192.0.2.2", 1),
        ("192.0.2.1", "192.0.3.1", 0),
        ("fe80::1%eth0", "fe80::1", 3),
        ("", "unix:", 1),
        ("", "192.0.2.1", 0),
    ],
)
def test_near_addresses_share_the_larger_networks(one: str, other: str, shared: int) -> None:
    assert len(set(keys(one)) & set(keys(other))) == shared
    assert [network.multiple for network in networks_of(one, SECRET)] in ([1, 2, 4], [1, 4], [1])


@pytest.mark.parametrize(
    "address",
    [
        "::ffff:192.0.2.1",  # mapped
        "::ffff:c000:201",
        "2002:c000:201::1",  # 6to4: a /48 for each IPv4 address
        "2002:c000:201:7::9",
        "64:ff9b::192.0.2.1",  # NAT64
        "2001:0:4136:e378:8000:63bf:3fff:fdfe",  # Teredo: the client's address is inverted
    ],
)
def test_an_address_that_contains_an_ipv4_address_is_that_one(address: str) -> None:
    assert keys(address) == keys("192.0.2.1")


@given(st.ip_addresses().map(str))
def test_no_key_contains_an_address_and_another_secret_gives_others(address: str) -> None:
    assert address not in " ".join(keys(address))
    others = {network.key for network in networks_of(address, "another secret")}
    assert not others & set(keys(address))


Try = Callable[[Session, int, Networks, AccountRules], object]


def sign_up(session: Session, number: int, networks: Networks, rules: AccountRules) -> object:
    return accounts.count_sign_up(session, networks, rules, now=NOW)


def reset(session: Session, number: int, networks: Networks, rules: AccountRules) -> object:
    return accounts.request_reset(session, f"a{number}@example.com", networks, rules, now=NOW)


def log_in(session: Session, number: int, networks: Networks, rules: AccountRules) -> object:
    return accounts.begin_log_in(session, f"a{number}@example.com", networks, rules, now=NOW)


@pytest.mark.databases("sqlite", "postgresql")
@pytest.mark.parametrize(
    ("attempt", "limit"),
    [
        (sign_up, SIGN_UP_OF_NETWORK.limit),
        (reset, RESET_OF_NETWORK.limit),
        (log_in, LOG_IN_OF_NETWORK.limit),
    ],
)
def test_all_subscribers_of_a_region_have_four_limits(
    engine: Engine, rules: AccountRules, attempt: Try, limit: int
) -> None:
    """Tries from other /64s of one /48, as a tunnel broker gives to anybody."""
    passed = 0
    for number in range(limit * 4 + 20):
        site = f"2001:db8:1:{number % 16:02x}{number % 200:02x}::1"
        try:
            with transaction(engine) as session:
                attempt(session, number, networks_of(site, SECRET), rules)
            passed += 1
        except RateLimited:
            pass
    assert passed == limit * 4


def test_an_ipv4_block_has_four_limits(engine: Engine, rules: AccountRules) -> None:
    passed = 0
    for number in range(100):
        try:
            with transaction(engine) as session:
                sign_up(session, 0, networks_of(f"192.0.2.{number}", SECRET), rules)
            passed += 1
        except RateLimited:
            pass
    assert passed == SIGN_UP_OF_NETWORK.limit * 4


def test_ones_own_log_in_uses_up_no_network(
    engine: Engine, join: Join, rules: AccountRules
) -> None:
    join()
    office = networks_of("2001:db8::1", SECRET)
    members = []
    for _ in range(LOG_IN_OF_NETWORK.limit + 1):
        with transaction(engine) as session:
            attempt = accounts.begin_log_in(session, "alice@example.com", office, rules, now=NOW)
        proof = accounts.Proof(attempt, True, None)
        with transaction(engine) as session:
            members.append(accounts.log_in(session, proof, now=NOW).email)
    assert members == ["alice@example.com"] * (LOG_IN_OF_NETWORK.limit + 1)
