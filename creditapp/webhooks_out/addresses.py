"""Addresses that a webhook may go to: public ones, by https.

A member chooses the address and this server calls it, so that it must never reach what only this
server can: itself, its network, or a cloud's metadata. An address is checked when it is saved, and
again by what its name resolves to, right before each connection.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, urlsplit

URL_CHARACTERS_MAX: Final = 500
HTTPS: Final = 443
LOOKUP_SECONDS: Final = 5.0
"""Of a name, which the system's own lookup does not limit."""
LOOKUPS_MAX: Final = 64
"""Lookups at once in this process, with those that nobody waits for any more."""
_lookups: Final = threading.BoundedSemaphore(LOOKUPS_MAX)
_PORTS: Final = range(1024, 65536)
"""Besides 443: the lower ports are those of other protocols."""
_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.ASCII)
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
"""A last label that some resolvers read as a part of an IPv4 address."""
_LOCAL_NAMES: Final = ("localhost", "local", "internal", "intranet", "lan", "home", "corp", "arpa")
_LOOPBACK_NAMES: Final = ("localhost", "127.0.0.1", "::1")
_UNICAST: Final = ipaddress.ip_network("2000::/3")
_NEVER: Final = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("192.88.99.0/24", "2001::/23", "2002::/16"),  # tunnels, which hold an IPv4 address
        *("100.64.0.0/10", "3fff::/20"),  # shared, examples
        *("168.63.129.16/32", "192.0.0.0/24"),  # clouds' own
    )
)

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


_UNKNOWN: Final = frozenset(
    getattr(socket, name)
    for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY")
    if hasattr(socket, name)
)
"""Errors of a lookup that say that the name has no address; any other one says nothing about it."""


class AddressRefused(Exception):
    """An address that no webhook may go to; its text is one sentence for the member."""


class UnknownHost(Exception):
    """A name without an IP address."""


@dataclass(frozen=True, slots=True)
class Target:
    """The parts of an address that a connection needs."""

    host: str
    port: int
    tls: bool
    path: str
    """With the query."""

    @property
    def host_header(self) -> str:
        """The value of the header ``Host``."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == (HTTPS if self.tls else 80) else f"{name}:{self.port}"


def parse(url: str, *, loopback: bool) -> Target:
    """Return the parts of an address; raise ``AddressRefused`` for one that is never allowed.

    ``loopback`` also allows http to this machine, for a demo that a developer tries.
    """
    parts = _split(url)
    host = (parts.hostname or "").lower()
    try:
        port = parts.port
    except ValueError:
        raise AddressRefused("The port is not a number up to 65535.") from None
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if parts.scheme == "http" and loopback and host in _LOOPBACK_NAMES:
        return Target(host, port or 80, tls=False, path=path)
    if parts.scheme != "https":
        raise AddressRefused("The address must begin with https://.")
    _check_host(host)
    if port is not None and port != HTTPS and port not in _PORTS:
        raise AddressRefused("The port must be 443, or 1024 and above.")
    return Target(host, port or HTTPS, tls=True, path=path)


def resolve(target: Target) -> list[str]:
    """Return the IP addresses to connect to; raise ``AddressRefused`` unless all are public.

    The name is looked up once, and the connection goes to a returned address itself: a name that
    answers differently the next time reaches nothing else. Raises ``UnknownHost``, ``OSError`` for
    a lookup that failed, and ``TimeoutError`` for one without an answer in ``LOOKUP_SECONDS``.
    """
    found = _look_up(target.host, target.port)
    addresses = [ipaddress.ip_address(text.partition("%")[0]) for text in found]
    if not addresses:
        raise UnknownHost
    allowed = is_public if target.tls else _is_loopback
    if not all(allowed(address) for address in addresses):
        raise AddressRefused("The address is not public.")
    return [str(address) for address in dict.fromkeys(addresses)]


def is_public(address: IpAddress) -> bool:
    """Whether an IP address is one of the public internet, and of one machine."""
    if isinstance(address, ipaddress.IPv6Address) and address not in _UNICAST:
        # Loopback, link-local, ULA, multicast, mapped IPv4, NAT64 and all that is not assigned.
        return False
    if any(address.version == net.version and address in net for net in _NEVER):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _look_up(host: str, port: int) -> list[str]:
    """Return the IP addresses of a name.

    ``getaddrinfo`` cannot be interrupted, so it runs in a thread of its own, which ends when the
    system gives up. A name server that never answers holds such threads, at most ``LOOKUPS_MAX``.
    """
    ends_at, slots = time.monotonic() + LOOKUP_SECONDS, _lookups
    if not slots.acquire(timeout=LOOKUP_SECONDS):
        raise TimeoutError
    answer: Future[list[str]] = Future()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            unknown = isinstance(error, UnicodeError) or error.errno in _UNKNOWN
            answer.set_exception(UnknownHost() if unknown else error)
        else:
            answer.set_result([str(info[4][0]) for info in found])
        finally:
            slots.release()

    threading.Thread(target=ask, name="webhook-lookup", daemon=True).start()
    return answer.result(max(0.0, ends_at - time.monotonic()))


def _is_loopback(address: IpAddress) -> bool:
    return address.is_loopback


def _split(url: str) -> SplitResult:
    if len(url) > URL_CHARACTERS_MAX:
        raise AddressRefused(f"The address has more than {URL_CHARACTERS_MAX} characters.")
    if not url.isascii() or any(ord(c) <= 32 or c in '\\<>"^`{|}\x7f' for c in url):
        raise AddressRefused("Write the address in ASCII, without spaces: names as xn--...")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise AddressRefused("This is not an address.") from None
    if "@" in parts.netloc:
        raise AddressRefused("The address must hold no user name or password.")
    if "#" in url:
        raise AddressRefused("The address must have no part after #.")
    if not parts.hostname or ("[" in parts.netloc and ":" not in parts.hostname):
        raise AddressRefused("The address must begin with https:// and name a host.")
    return parts


def _check_host(host: str) -> None:
    try:
        # The zone of an IPv6 address names an interface of this machine.
        address = ipaddress.ip_address(host.replace("%", " "))
    except ValueError:
        labels = host.split(".")
        if (
            len(labels) < 2
            or not all(_LABEL.fullmatch(label) for label in labels)
            or _NUMBER.fullmatch(labels[-1])
            or labels[-1] in _LOCAL_NAMES
        ):
            raise AddressRefused("The address must name a public host.") from None
        return
    if not is_public(address):
        raise AddressRefused("The address is not public.")
