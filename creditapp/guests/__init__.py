"""Guests: a few free pictures for people without an account.

A guest is known by a signed cookie and by the network the request comes from; what counts is
whichever of the two was used more. Each has a window that opens with its first use, and when the
window ends everything comes back at once. A claim is a row that remembers the windows it was
taken from, so that a picture that fails late gives back to those and not to the next ones.
"""

from creditapp.guests.claims import (
    GuestAllowance,
    GuestBudgetReached,
    GuestLimitReached,
    claim,
    give_back,
    keep,
    state,
    sweep,
)
from creditapp.guests.models import GuestBudget, GuestClaim, GuestWindow
from creditapp.guests.visitors import Visitor, client_address, network_of, visitor_of

__all__ = [
    "GuestAllowance",
    "GuestBudget",
    "GuestBudgetReached",
    "GuestClaim",
    "GuestLimitReached",
    "GuestWindow",
    "Visitor",
    "claim",
    "client_address",
    "give_back",
    "keep",
    "network_of",
    "state",
    "sweep",
    "visitor_of",
]
