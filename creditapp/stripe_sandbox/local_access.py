"""Access to the bank: its pages show all buyers and refund them, so only this machine opens them.

Decided for each request: an address to listen on says nothing about who asks, because a proxy on
the same machine calls from the loopback address too. Buyers reach the checkout from everywhere.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from flask import Flask, current_app, request

from creditapp.stripe_sandbox.state import State

_CHECKOUT = ("/pay/", "/portal/", "/invoices/", "/static/")
_API = "/v1/"
_FORWARDED = re.compile(
    r"x-forwarded.*|forwarded.*|via|x-real-ip|x-client-ip|x-cluster-client-ip|true-client-ip"
    r"|(cf|fastly|fly|x-azure|x-envoy|x-original)-.*",
    re.IGNORECASE,
)
"""Headers that a proxy adds."""


def install(app: Flask) -> None:
    """Refuse what is not for the caller, before anything else."""
    app.before_request(_refuse_others)


def _refuse_others() -> tuple[str, int, dict[str, str]] | None:
    if request.path.startswith(_CHECKOUT):
        return None
    # A sandbox with a public address has a proxy in front, which may add no header.
    is_private = _is_loopback(urlsplit(State.of(current_app).public_url).hostname)
    if _is_local() and (is_private or request.path.startswith(_API)):
        return None
    text = "The bank is played on the machine that runs this demo, under its loopback address.\n"
    return text, 404, {"Content-Type": "text/plain; charset=utf-8"}


def _is_local() -> bool:
    """Whether a program or a browser on this machine asks, under a name of this machine.

    Another name that resolves to 127.0.0.1 is a page of a stranger that rebinds it (DNS rebinding).
    """
    return (
        _is_loopback(request.remote_addr)
        and _is_loopback(_host_name(request.headers.get("Host", "")))
        and not any(_FORWARDED.fullmatch(name) for name, _ in request.headers)
    )


def _host_name(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _is_loopback(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host or "")
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
