"""Email preferences: the choices in the settings, and the unsubscribe link of each email."""

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
    """Return the optional emails with their setting, and those that are always sent."""
    off = emails.unsubscribed_events(reading(), user_id)
    return {
        "choices": [{"event": event, "on": event not in off} for event in emails.OPTIONAL],
        "fixed": emails.ABOUT_MONEY,
    }


@pages.post("/settings/notifications")
@policy("user")
def save_notifications() -> Response:
    """Store which optional emails to send: those that are ticked."""
    member = require_member()
    events = set(request.form.getlist("notify"))
    with transaction() as session:
        emails.save_preferences(session, member.id, events, now=now())
    notify("profile_saved")
    return go("/settings")


@pages.get("/unsubscribe/<token>")
@policy("public")
def unsubscribe(token: str) -> str:
    """Ask whether to stop one kind of email; opening the link changes nothing.

    Security scanners open the links of an email and must not unsubscribe the user.
    """
    user, event = emails.read_unsubscribe(reading(), token, get(EmailService).secret)
    off = emails.unsubscribed_events(reading(), user.id)
    return render_page(PAGE, event=event, email=user.email, done=event in off)


@pages.post("/unsubscribe/<token>")
@policy("signature")
def stop_emails(token: str) -> str:
    """Stop one kind of email for the user of the signed link, logged in or not.

    An email program posts here when its user presses "Unsubscribe" (RFC 8058), without cookies and
    without our CSRF token: the signature of the link authenticates the request.
    """
    with transaction() as session:
        user, event = emails.read_unsubscribe(session, token, get(EmailService).secret)
        emails.unsubscribe(session, user.id, event, now=now())
        email = user.email
    return render_page(PAGE, event=event, email=email, done=True)
