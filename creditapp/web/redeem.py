"""Page to add the rest of an agent's receipt to the account of the person who paid for it."""

from __future__ import annotations

from flask import Blueprint, Response

from creditapp.agents import account, receipts
from creditapp.agents.refusals import CreditsExhausted, ReceiptInvalid, Refunded
from creditapp.agents.tokens import TOKEN_CHARACTERS_MAX
from creditapp.clock import now
from creditapp.config import Settings
from creditapp.db import transaction
from creditapp.errors import NotFound, ValidationFailed
from creditapp.http import forms
from creditapp.http.policies import policy
from creditapp.http.problems import form_page
from creditapp.http.rendering import go
from creditapp.http.sessions import require_account
from creditapp.http.viewer import forget_viewer, notify
from creditapp.services import get

PAGE = "pages/redeem/index.html"

pages = Blueprint("redeem", __name__)


@pages.before_request
def require_agents_key() -> None:
    """Raise ``NotFound`` on a site that sells nothing to agents."""
    if not get(Settings).agents_key:
        raise NotFound


@pages.get("/redeem")
@policy("user")
def show() -> Response:
    """Show the form."""
    return form_page(PAGE)


@pages.post("/redeem")
@policy("user")
def redeem() -> Response:
    """Move all that is left of the receipt into the member's account."""
    member, moment = require_account(), now()
    text = forms.text("receipt", TOKEN_CHARACTERS_MAX + 1).strip()
    try:
        receipt = receipts.prove(text, now=moment)
        with transaction() as session:
            moved = account.move_to_account(session, receipt, member.id, now=moment)
    except (ReceiptInvalid, CreditsExhausted, Refunded) as refusal:
        return form_page(PAGE, ValidationFailed.of("receipt", refusal.detail))
    forget_viewer()
    notify("receipt_redeemed", micro=moved.moved_micro, balance_micro=moved.balance_micro)
    return go("/dashboard")
