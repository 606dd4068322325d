"""Plan kinds: what a kind allows in the catalog, and how its credits are described.

A new kind is one name and one row here. Every kind is granted alike: each paid month grants its
credits, once per seat.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

KindName = Literal["credits", "unlimited", "team"]
"""The values of ``kind`` in the catalog."""


@dataclass(frozen=True, slots=True)
class PlanKind:
    """Rules and wording of one kind of plan."""

    has_seats: bool = False
    """Whether more than one seat can be bought; prices and credits are per seat then."""
    credits: str = "{credits}"
    """How the credits of a month are described; ``{credits}`` is ``500 credits a month``."""

    @property
    def per_seat(self) -> str:
        """The words that follow a price or an amount of credits of one seat."""
        return " for each seat" if self.has_seats else ""

    def describe(self, amount: str) -> str:
        """Return the description of a month's credits, such as ``500 credits a month``."""
        return self.credits.format(credits=amount)


PLAN_KINDS: Final[Mapping[str, PlanKind]] = {
    "credits": PlanKind(),
    # The credits are a fair-use cap.
    "unlimited": PlanKind(credits="Unlimited, with fair use up to {credits}"),
    "team": PlanKind(has_seats=True),
}
