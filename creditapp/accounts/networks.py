"""Networks of an IP address: what counts as one subscriber, and the larger blocks around it.

One IPv6 subscriber has a /64 at least, and often a /56 or a /48, which holds 65,536 of them (RFC
6177). Each limit by network therefore counts every block, and a larger block may use a multiple.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from creditapp.accounts.hashing import keyed_hash

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_BLOCKS = {4: ((32, 1), (24, 4)), 6: ((64, 1), (56, 2), (48, 4))}
"""For each IP version the prefix length of each block, and the multiple of the limit for it."""

MULTIPLES = tuple(sorted({multiple for blocks in _BLOCKS.values() for _, multiple in blocks}))

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


@dataclass(frozen=True)
class Network:
    """One block of addresses: a keyed hash of it, never an address."""

    key: str
    multiple: int = 1
    """How many times the limit of one subscriber all addresses in the block may use."""


Networks = tuple[Network, ...]
"""All blocks that an address is in, the smallest first: every counter takes them in this order."""


def networks_of(remote_addr: str, secret: str) -> Networks:
    """Return the networks that a request of this address counts for.

    All requests without a readable address share one network, so that hiding it gains nothing.
    """
    address = parse_ip(remote_addr)
    if address is None:
        return (Network(keyed_hash(secret, "network", "unknown")),)
    address = _embedded_ipv4(address) or address
    return tuple(
        Network(keyed_hash(secret, "network", _block(address, bits)), multiple)
        for bits, multiple in _BLOCKS[address.version]
    )


def parse_ip(text: str) -> IPAddress | None:
    """Return an IP address, or None; a socket for both versions shows IPv4 clients as mapped."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _embedded_ipv4(address: IPAddress) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that a translated or tunnelled IPv6 address belongs to.

    One IPv4 subscriber has 65,536 /64s by 6to4 (RFC 3056), and all subscribers of a translator
    share one by NAT64 (RFC 6052) or Teredo (RFC 4380).
    """
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.sixtofour or (address.teredo[1] if address.teredo else None)


def _block(address: IPAddress, bits: int) -> str:
    return f"{address.version}:{int(address) >> (address.max_prefixlen - bits):x}/{bits}"
