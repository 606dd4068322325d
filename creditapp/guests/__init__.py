"""Guests: a few free images for visitors without an account.

A guest is identified by a signed cookie and by the networks of the request; the one that has least
left counts. Each has a window that opens with its first use; when the window ends, all
free images are available again. A claim stores the windows it was taken from, so that an image that
fails late is released to those and not to later ones.
"""

from creditapp.guests.claims import (
    GuestAllowance,
    GuestBudgetReached,
    GuestLimitReached,
    claim,
    get_allowance,
    keep,
    release,
    sweep,
)
from creditapp.guests.models import GuestBudget, GuestClaim, GuestWindow
from creditapp.guests.visitors import COOKIE_LIFETIME, Visitor, client_address, visitor_of
