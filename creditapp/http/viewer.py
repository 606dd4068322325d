"""The viewer of a page: the balance or allowance that the header and every component show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import urlsplit

from flask import g, request, session

from creditapp import accounts, credentials, guests, ledger
from creditapp.accounts import AccountRules, Member
from creditapp.catalog import Catalog
from creditapp.clock import now
from creditapp.config import Settings
from creditapp.db import reading
from creditapp.generation import Caller
from creditapp.http.rendering import wants_fragment
from creditapp.http.sessions import current_account, current_member, current_theme, current_visitor
from creditapp.payments.purchases.pending import PendingPayment, list_pending
from creditapp.services import get

Notice = dict[str, object]


@dataclass(frozen=True)
class Viewer:
    """A member with a balance, or a guest with the free images that are left."""

    kind: str
    email: str | None = None
    is_admin: bool = False
    wallet_id: int | None = None
    balance_micro: int = 0
    held_micro: int = 0
    frozen_micro: int = 0
    owed_micro: int = 0
    lifetime_spent_micro: int = 0
    low: bool = False
    low_at_micro: int = 0
    guest_remaining: int = 0
    guest_limit: int = 0
    guest_reset_at: datetime | None = None
    mode: str = "credits"
    """``own``: a member who pays vendors with keys of their own."""
    own_vendors: frozenset[str] = frozenset()
    """The vendors of these keys."""
    pending: Sequence[PendingPayment] = ()
    """Payments on their way, the newest first."""


def viewer() -> Viewer:
    """Return the viewer, read once a request: a query for a guest, two for a member."""
    if "viewer" not in g:
        member = current_member()
        g.viewer = _member(member) if member else _guest()
    current_viewer: Viewer = g.viewer
    return current_viewer


def forget_viewer() -> None:
    """Let the next ``viewer()`` read again, after a balance changed during this request."""
    g.pop("viewer", None)


def caller(max_micro: int | None = None) -> Caller:
    """Return the caller of a generation: the member, or the guest.

    ``max_micro`` is the most that the request may cost.
    """
    member = current_member()
    if member is not None and max_micro is not None:
        member = replace(member, max_micro=max_micro)
    return Caller(member, current_visitor(), _request_keys(member))


def _request_keys(member: Member | None) -> Mapping[str, str]:
    """Return the own keys in the request's headers, of a member who pays with own keys."""
    if member is None or member.api_key_mode != "own":
        return {}
    return {
        vendor.id: credentials.parse_key(request.headers[vendor.header], vendor.header)
        for vendor in credentials.VENDORS.values()
        if vendor.header and vendor.header in request.headers
    }


def _member(member: Member) -> Viewer:
    threshold = member.low_at_micro(get(Catalog).low_balance_micro)
    of_the_member = Viewer(
        kind="user",
        email=member.email,
        is_admin=member.is_admin,
        low=True,
        low_at_micro=threshold,
        mode=member.api_key_mode,
        own_vendors=_own_vendors(member),
        pending=list_pending(reading(), member.id),
    )
    if member.wallet_id is None:
        return of_the_member
    balance = ledger.balance(reading().connection(), member.wallet_id, now=now())
    return replace(
        of_the_member,
        wallet_id=member.wallet_id,
        balance_micro=balance.available_micro,
        held_micro=balance.held_micro,
        frozen_micro=balance.frozen_micro,
        owed_micro=balance.owed_micro,
        lifetime_spent_micro=balance.lifetime_spent_micro,
        low=balance.available_micro < threshold,
    )


def _own_vendors(member: Member) -> frozenset[str]:
    if member.api_key_mode != "own":
        return frozenset()
    return credentials.list_vendors(reading(), member.id)


def _guest() -> Viewer:
    catalog = get(Catalog)
    allowance = guests.get_allowance(
        reading(),
        current_visitor(),
        now(),
        limit=catalog.guest_limit,
        window_hours=catalog.guest_window_hours,
    )
    return Viewer(
        kind="guest",
        guest_remaining=allowance.remaining,
        guest_limit=allowance.limit,
        guest_reset_at=allowance.reset_at,
    )


def confirmation() -> dict[str, object] | None:
    """Return what confirming the viewer's address gives, or None where nothing waits for it."""
    member = current_member()
    account = current_account() if member is not None and not member.verified else None
    if account is None:
        return None
    return {
        "email": account.email,
        "micro": accounts.waiting_credits_micro(reading(), account, get(AccountRules)),
        "shown": shows_sent_email(),
    }


def shows_sent_email() -> bool:
    """Whether an email may be read on a page: in a demo that sends none, on its own machine."""
    settings = get(Settings)
    hosts = (urlsplit(settings.site_url).hostname, urlsplit(f"//{request.host}").hostname)
    is_local = all(host in ("localhost", "127.0.0.1", "::1") for host in hosts)
    is_demo = not settings.production and not settings.mail_url
    return is_demo and is_local and "X-Forwarded-For" not in request.headers


def site() -> dict[str, object]:
    """Return the facts about this site and this request that the layout of a page shows."""
    return site_facts() | {
        "request_id": g.get("request_id", ""),
        "theme": current_theme(),
        "path": _return_path(),
        "notices": _notices(),
    }


def site_facts() -> dict[str, object]:
    """Return the same without this request: for a page that all visitors share."""
    settings, catalog = get(Settings), get(Catalog)
    return {
        "name": settings.site_name,
        "support_email": settings.support_email,
        "terms_url": settings.terms_url or "/terms",
        "privacy_url": settings.privacy_url or "/privacy",
        "sandbox": settings.sandbox,
        "taxed": settings.automatic_tax,
        "demo": settings.env != "production",
        "request_id": "",
        "theme": "system",
        "path": "/",
        "notices": [],
        "welcome_micro": catalog.welcome_micro,
        "chat": catalog.operation("chat") is not None,
        "agents": bool(settings.agents_key),
    }


def _notices() -> list[Notice]:
    """Return the waiting notices; a fragment, which shows none, leaves them to the next page."""
    notices: list[Notice] = [] if wants_fragment() else session.pop("notices", [])
    return notices


def notify(code: str, **fields: object) -> None:
    """Show a notice on the next page that this browser opens."""
    session["notices"] = [*session.get("notices", []), {"code": code, **fields}]


def _return_path() -> str:
    if request.method != "GET" or "HX-Request" in request.headers:
        return "/"
    return request.full_path.rstrip("?")
