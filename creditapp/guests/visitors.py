"""Identity of a guest: a signed cookie, and a network that is never stored as an address."""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
from dataclasses import dataclass

from itsdangerous import BadSignature, Signer

from creditapp.accounts import keyed_hash

_COOKIE_CHARACTERS_MAX = 200
_IPV6_SITE_BITS = 64
"""The smallest IPv6 prefix of one subscriber, who can use any address in it (RFC 6177)."""


@dataclass(frozen=True)
class Visitor:
    """A browser without an account: its cookie's id, and a keyed hash of its network."""

    cookie_id: str
    network: str

    @property
    def cookie_key(self) -> str:
        """The key of the cookie's window."""
        return f"cookie:{self.cookie_id}"

    @property
    def network_key(self) -> str:
        """The key of the network's window."""
        return f"network:{self.network}"


def visitor_of(
    cookie_value: str | None, remote_addr: str, secret: str
) -> tuple[Visitor, str | None]:
    """Return the visitor, and the cookie to set if the browser sent none that we signed.

    ``remote_addr`` is the client's address behind the proxies (``client_address``).
    """
    signer = Signer(secret, salt="creditapp.guests", digest_method=hashlib.sha256)
    network = network_of(remote_addr, secret)
    if cookie_value and len(cookie_value) <= _COOKIE_CHARACTERS_MAX:
        try:
            return Visitor(signer.unsign(cookie_value).decode("ascii"), network), None
        except (BadSignature, UnicodeError):
            pass
    cookie_id = secrets.token_urlsafe(16)
    return Visitor(cookie_id, network), signer.sign(cookie_id).decode("ascii")


def network_of(remote_addr: str, secret: str) -> str:
    """Return a keyed hash of the IPv4 address or of the IPv6 address's /64.

    All requests without a readable address share one network, so that hiding it gains nothing.
    """
    address = _parse(remote_addr)
    if address is None:
        text = "unknown"
    elif isinstance(address, ipaddress.IPv4Address):
        text = str(address)
    else:
        text = f"{int(address) >> (128 - _IPV6_SITE_BITS):x}/{_IPV6_SITE_BITS}"
    return keyed_hash(secret, "network", text)


def client_address(remote_addr: str, forwarded_for: str | None, trusted_proxies: int) -> str:
    """Return the client's address behind ``trusted_proxies`` proxies of ours.

    Each proxy appends the address it was called from to ``X-Forwarded-For``, so the N-th from the
    right was written by the outermost of ours; everything left of it is what the client wishes us
    to believe. With no proxies, too few entries or one that is no address, it is ``remote_addr``.
    """
    if trusted_proxies > 0 and forwarded_for:
        entries = forwarded_for.split(",")
        if len(entries) >= trusted_proxies:
            address = _parse(_without_port(entries[-trusted_proxies].strip()))
            if address is not None:
                return str(address)
    return remote_addr


def _parse(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        # A socket that listens on both kinds shows IPv4 clients like this.
        return address.ipv4_mapped
    return address


def _without_port(entry: str) -> str:
    # Some proxies write "192.0.2.1:4711" or "[2001:db8::1]:4711".
    if entry.startswith("["):
        return entry[1:].partition("]")[0]
    return entry.partition(":")[0] if entry.count(":") == 1 else entry
