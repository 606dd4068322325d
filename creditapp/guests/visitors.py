"""Identity of a guest: a signed cookie, and a network that is never stored as an address."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from itsdangerous import BadSignature, Signer

from creditapp.accounts import Networks, parse_ip

COOKIE_LIFETIME: Final = timedelta(days=400)
"""The longest that browsers keep a cookie. It is set once, by the first visit."""
_COOKIE_CHARACTERS_MAX = 200


@dataclass(frozen=True)
class Visitor:
    """A browser without an account: its cookie's id, and its networks as keyed hashes."""

    cookie_id: str
    networks: Networks

    @property
    def windows(self) -> dict[str, int]:
        """The keys of its windows in the order of counting, each with its multiple of the limit."""
        keys = {f"network:{network.key}": network.multiple for network in self.networks}
        return {f"cookie:{self.cookie_id}": 1} | keys


def visitor_of(
    cookie_value: str | None, networks: Networks, secret: str
) -> tuple[Visitor, str | None]:
    """Return the visitor, and the cookie to set if the browser sent none that we signed."""
    signer = Signer(secret, salt="creditapp.guests", digest_method=hashlib.sha256)
    if cookie_value and len(cookie_value) <= _COOKIE_CHARACTERS_MAX:
        try:
            return Visitor(signer.unsign(cookie_value).decode("ascii"), networks), None
        except (BadSignature, UnicodeError):
            pass
    cookie_id = secrets.token_urlsafe(16)
    return Visitor(cookie_id, networks), signer.sign(cookie_id).decode("ascii")


def client_address(remote_addr: str, forwarded_for: str | None, trusted_proxies: int) -> str:
    """Return the client's address behind ``trusted_proxies`` proxies of ours.

    Each proxy appends the address it was called from to ``X-Forwarded-For``, so the N-th from the
    right was written by the outermost of ours; everything left of it is what the client wishes us
    to believe. With no proxies, too few entries or one that is no address, it is ``remote_addr``.
    """
    if trusted_proxies > 0 and forwarded_for:
        entries = forwarded_for.split(",")
        if len(entries) >= trusted_proxies:
            address = parse_ip(_without_port(entries[-trusted_proxies].strip()))
            if address is not None:
                return str(address)
    return remote_addr


def _without_port(entry: str) -> str:
    # Some proxies write "192.0.2.1:4711" or "[2001:db8::1]:4711".
    if entry.startswith("["):
        return entry[1:].partition("]")[0]
    return entry.partition(":")[0] if entry.count(":") == 1 else entry
