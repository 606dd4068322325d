"""Keyset pagination: a page begins after the last row of the page before, so that all cost alike.

A list reads one row more than a page shows, newest first, and ``page_of`` cuts it. The cursor is
the key of the last row shown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from creditapp.errors import ValidationFailed

PAGE_SIZE, PAGE_SIZE_MAX = 25, 100
"""Rows of a page of the API: without a ``limit``, and at most."""

Row = TypeVar("Row")


@dataclass(frozen=True)
class Page(Generic[Row]):
    """Rows of one page, and the cursor of the next one if there is more."""

    rows: Sequence[Row]
    next_cursor: str | None


def page_of(rows: Sequence[Row], size: int, key: Callable[[Row], object]) -> Page[Row]:
    """Return the page of a query that read up to ``size + 1`` rows."""
    shown = rows[:size]
    return Page(shown, str(key(shown[-1])) if len(rows) > size else None)


def parse_cursor(text: str | None, form: re.Pattern[str]) -> str | None:
    """Return the cursor of a request, None for the first page; raise ``ValidationFailed``."""
    if text is None or form.fullmatch(text):
        return text
    raise ValidationFailed.of("cursor", "Send the nextCursor of the previous page.")
