"""The worked example of a feature that spends credits: it counts the words of a text.

It uses no model, and counting cannot fail. Work that can fail is done between ``hold`` and
``capture`` instead, so that a failure costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy.orm import Session

from creditapp.accounts import Member
from creditapp.errors import ValidationFailed
from creditapp.features.spending import FeatureSpend, Spent, spend
from creditapp.units import MICRO_PER_CREDIT

FEATURE: Final = "word-count"
COST_MICRO: Final = MICRO_PER_CREDIT
CHARACTERS_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class WordCount:
    """The result of the example, and what it cost."""

    words: int
    characters: int
    spent: Spent


def count_words(session: Session, by: Member, text: str, *, key: str, now: datetime) -> WordCount:
    """Take one credit and count; refusals are those of ``spending.spend``."""
    if not text.strip() or len(text) > CHARACTERS_MAX:
        raise ValidationFailed.of("text", f"Write 1 to {CHARACTERS_MAX:,} characters.")
    order = FeatureSpend(
        amount_micro=COST_MICRO,
        feature=FEATURE,
        key=key,
        note="The words of a text, counted",
        request=text,
        route="use-credits",
    )
    spent = spend(session, by, order, now=now)
    return WordCount(len(text.split()), len(text), spent)
