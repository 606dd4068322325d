"""Limits of requests to somebody's server that a member causes by hand.

They count by account, because endpoints and their logs can be deleted and made anew.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from creditapp.accounts.throttle import count_try, counter
from creditapp.config import Settings
from creditapp.rate_limits import WEBHOOK_ADDRESSES, WEBHOOK_RESENDS, WEBHOOK_TESTS, RateLimit
from creditapp.services import get


def count_address(session: Session, user_id: str, *, now: datetime) -> None:
    """Count a new or changed address; raise ``RateLimited`` after many."""
    _count(session, WEBHOOK_ADDRESSES, "address", user_id, now, "You entered many addresses.")


def count_test(session: Session, user_id: str, *, now: datetime) -> None:
    """Count a test event; raise ``RateLimited`` after many."""
    _count(session, WEBHOOK_TESTS, "test", user_id, now, "You sent many test events.")


def count_resend(session: Session, user_id: str, *, now: datetime) -> None:
    """Count a delivery that is sent again; raise ``RateLimited`` after many."""
    _count(session, WEBHOOK_RESENDS, "resend", user_id, now, "You sent many events again.")


def _count(
    session: Session, rate: RateLimit, name: str, user_id: str, now: datetime, detail: str
) -> None:
    secret = get(Settings).derived_key("webhooks")
    limit = counter(f"webhook_{name}", rate, secret, user_id)
    count_try(session, [limit], now=now, detail=detail)
