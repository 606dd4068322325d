"""Queries by many values, in batches of bounded size."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

BATCH: Final = 500


def select_in(session: Session, column: Any, values: Iterable[str]) -> list[Any]:
    """Return the rows of the column's model that have one of the values."""
    ordered, rows = sorted(values), list[Any]()
    for first in range(0, len(ordered), BATCH):
        batch = ordered[first : first + BATCH]
        rows += session.scalars(select(column.class_).where(column.in_(batch)))
    return rows
