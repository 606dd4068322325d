"""Moments as pages and emails show them: a span, a date and hour, a day."""

from __future__ import annotations

from datetime import datetime, timedelta

from markupsafe import Markup, escape

from creditapp import clock


def moment(value: datetime) -> Markup:
    """Return a ``<time>``: the future as a span ("in 3 h 20 min"), the past as a date and hour."""
    present = clock.now()
    text = f"in {_span(value - present)}" if value > present else _stamp(value, present)
    iso = value.isoformat(timespec="seconds").replace("+00:00", "Z")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        iso, moment_text(value), escape(text)
    )


def day(value: datetime | str) -> str:
    """Return a moment's day: ``21 November 2026``. Queued emails store their moments as text."""
    moment = _parsed(value)
    return f"{moment.day} {moment:%B %Y}"


def short_day(value: datetime) -> str:
    """Return a moment's day for the narrow columns of pages: ``21 Nov 2026``."""
    return f"{value.day} {value:%b %Y}"


def moment_text(value: datetime | str) -> str:
    """Return a moment in full: ``21 November 2026, 14:05 UTC``.

    Emails and receipts are read days later and without a script, so they never show a span.
    """
    moment = _parsed(value)
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"


def _parsed(value: datetime | str) -> datetime:
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def _stamp(value: datetime, present: datetime) -> str:
    year = "" if value.year == present.year else f" {value.year}"
    return f"{value.day} {value:%b}{year}, {value:%H:%M}"


def _span(difference: timedelta) -> str:
    seconds = int(difference.total_seconds())
    if seconds < 60:
        return f"{max(seconds, 1)} s"
    hours, minutes = divmod(seconds // 60, 60)
    if hours < 1:
        return f"{minutes} min"
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    words = f"{days} {'day' if days == 1 else 'days'}"
    return f"{words} {hours} h" if hours and days < 4 else words
