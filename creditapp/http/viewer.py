"""Who looks at the page: what the header, the till and every component may know about them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from flask import g, request, session

from creditapp import guests, ledger
from creditapp.accounts import User
from creditapp.catalog import Catalog
from creditapp.clock import now
from creditapp.config import Settings
from creditapp.db import reading
from creditapp.generation import Caller
from creditapp.http.rendering import wants_fragment
from creditapp.http.sessions import current_member, current_visitor
from creditapp.services import get

Notice = dict[str, object]


@dataclass(frozen=True)
class Viewer:
    """A member with a balance, or a guest with what is left of the free images."""

    kind: str
    email: str | None = None
    is_admin: bool = False
    wallet_id: int | None = None
    balance_micro: int = 0
    held_micro: int = 0
    frozen_micro: int = 0
    owed_micro: int = 0
    low: bool = False
    low_at_micro: int = 0
    guest_remaining: int = 0
    guest_limit: int = 0
    guest_reset_at: datetime | None = None
    mode: str = "credits"


def viewer() -> Viewer:
    """Return who looks, read once a request; for a member it costs two queries, for a guest one."""
    if "viewer" not in g:
        member = current_member()
        g.viewer = _member(member) if member else _guest()
    found: Viewer = g.viewer
    return found


def forget_viewer() -> None:
    """Read the viewer anew: a balance changed during this request."""
    g.pop("viewer", None)


def caller() -> Caller:
    """Return who asks for a generation."""
    return Caller(current_member(), current_visitor())


def low_at_micro(member: User) -> int:
    """Return below which balance this member wants to be told."""
    return member.low_at_micro(get(Catalog).low_balance_micro)


def _member(member: User) -> Viewer:
    connection = reading().connection()
    wallet_id = ledger.find_wallet(connection, "user", member.id)
    threshold = low_at_micro(member)
    if wallet_id is None:
        return Viewer("user", member.email, member.is_admin, low=True, low_at_micro=threshold)
    balance = ledger.balance(connection, wallet_id, now=now())
    return Viewer(
        kind="user",
        email=member.email,
        is_admin=member.is_admin,
        wallet_id=wallet_id,
        balance_micro=balance.available_micro,
        held_micro=balance.held_micro,
        frozen_micro=balance.frozen_micro,
        owed_micro=balance.owed_micro,
        low=balance.available_micro < threshold,
        low_at_micro=threshold,
    )


def _guest() -> Viewer:
    catalog = get(Catalog)
    allowance = guests.state(
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


def site() -> dict[str, object]:
    """Return what the frame of every page says about this site."""
    settings, catalog = get(Settings), get(Catalog)
    return {
        "name": settings.site_name,
        "support_email": settings.support_email,
        "sandbox": settings.sandbox,
        "taxed": settings.automatic_tax,
        "demo": settings.env != "production",
        "request_id": g.get("request_id", ""),
        "path": _path_to_come_back_to(),
        "notices": g.pop("notices", None) or _notices(),
        "registration_open": True,
        "welcome_micro": catalog.welcome_micro,
    }


def _notices() -> list[dict[str, object]]:
    """Return what waits to be said; a fragment, which shows none, leaves it to the next page."""
    found: list[dict[str, object]] = [] if wants_fragment() else session.pop("notices", [])
    return found


def notify(code: str, **fields: object) -> None:
    """Say something on the next page that this browser opens."""
    session["notices"] = [*session.get("notices", []), {"code": code, **fields}]


def notify_here(code: str, **fields: object) -> None:
    """Say something on the page that this request renders."""
    g.notices = [*g.get("notices", []), {"code": code, **fields}]


def _path_to_come_back_to() -> str:
    if request.method != "GET" or "HX-Request" in request.headers:
        return "/"
    return request.full_path.rstrip("?")


def safe_path(path: str | None, default: str = "/") -> str:
    """Return a path of this site to go to, never an address of another one.

    A browser reads ``//host`` and ``/\\host`` as another site, so both become ``default``.
    """
    if not path or not path.startswith("/") or len(path) > 512:
        return default
    if path.startswith("//") or "\\" in path or any(ord(c) < 32 for c in path):
        return default
    return path
