"""Which mails come: the choices on the settings, and the link that a mail brings with it."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, request

from creditapp import emails
from creditapp.clock import now
from creditapp.db import reading, transaction
from creditapp.emails import EmailService
from creditapp.http.policies import policy
from creditapp.http.rendering import go, render_page
from creditapp.http.sessions import require_member
from creditapp.http.viewer import notify
from creditapp.services import get

PAGE = "pages/notifications/index.html"

pages = Blueprint("notifications", __name__)


def notifications_of(user_id: str) -> dict[str, Any]:
    """Return the optional mails with whether they come, and those that always come."""
    off = emails.switched_off(reading(), user_id)
    return {
        "choices": [{"event": event, "on": event not in off} for event in emails.OPTIONAL],
        "fixed": emails.ABOUT_MONEY,
    }


@pages.post("/settings/notifications")
@policy("user")
def save_notifications() -> Response:
    """Keep which optional mails come; what is not ticked does not."""
    member = require_member()
    chosen = set(request.form.getlist("notify"))
    with transaction() as session:
        emails.choose(session, member.id, chosen, now=now())
    notify("profile_saved")
    return go("/settings")


@pages.get("/unsubscribe/<token>")
@policy("public")
def unsubscribe(token: str) -> str:
    """Ask whether to end mails of one kind; opening the link alone changes nothing.

    Programs open the links of a mail to look for danger, and must not unsubscribe anybody.
    """
    user, event = emails.read_unsubscribe(reading(), token, get(EmailService).secret)
    off = emails.switched_off(reading(), user.id)
    return render_page(PAGE, event=event, email=user.email, done=event in off)


@pages.post("/unsubscribe/<token>")
@policy("signature")
def stop_mails(token: str) -> str:
    """End mails of one kind for whoever the signed link was sent to, signed in or not.

    A mail program posts here by itself when its reader presses "Unsubscribe" (RFC 8058): without
    cookies and without our token, so the link's signature is what is believed.
    """
    with transaction() as session:
        user, event = emails.read_unsubscribe(session, token, get(EmailService).secret)
        emails.switch_off(session, user.id, event, now=now())
        email = user.email
    return render_page(PAGE, event=event, email=email, done=True)
