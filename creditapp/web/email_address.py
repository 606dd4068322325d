"""The email address of an account: its confirmation, and its change."""

from __future__ import annotations

from flask import Blueprint, Response

from creditapp import accounts, emails, payments
from creditapp.accounts import AccountRules, LinkInvalid, mint_token
from creditapp.clock import now
from creditapp.db import reading, transaction
from creditapp.errors import AppError, NotFound
from creditapp.http import forms
from creditapp.http.headers import EMAIL_POLICY
from creditapp.http.policies import policy
from creditapp.http.rendering import go
from creditapp.http.sessions import current_account, current_member, require_account
from creditapp.http.viewer import forget_viewer, notify, shows_sent_email
from creditapp.ids import new_id
from creditapp.services import get
from creditapp.web import settings
from creditapp.web.auth import account_form, queue_email, send_email

pages = Blueprint("email_address", __name__)


@pages.get("/auth/verify/<token>")
@policy("public")
def verify(token: str) -> Response:
    """Show the button that confirms the address, so that a link scanner confirms nothing."""
    session, rules = reading(), get(AccountRules)
    try:
        owner = accounts.find_by_verification_token(session, token, rules, now=now())
    except LinkInvalid as refusal:
        return _expired_link(token, refusal)
    waiting_micro = accounts.waiting_credits_micro(session, owner, rules)
    return account_form("verify", token=token, state="ready", micro=waiting_micro)


@pages.post("/auth/verify/<token>")
@policy("public")
def confirm(token: str) -> Response:
    """Confirm the address and grant the credits of Free, once per person."""
    try:
        with transaction() as session:
            confirmed = accounts.verify_address(session, token, get(AccountRules), now=now())
    except LinkInvalid as refusal:
        return _expired_link(token, refusal)
    if confirmed.user.password_hash is None:
        rules = get(AccountRules)
        return go(f"/auth/reset/{mint_token(confirmed.user, 'reset', rules.secret, now=now())}")
    member = current_member()
    if member is None or member.id != confirmed.user.id:
        return account_form("verify", token=token, state="done", micro=0)
    forget_viewer()
    notify("verified", micro=confirmed.granted_micro)
    return go("/")


@pages.post("/auth/verify")
@policy("user")
def send_verification() -> Response:
    """Send the confirmation link again."""
    account = require_account()
    if account.verified:
        notify("info", text="Your email address is already confirmed.")
    else:
        send_email(account, "verify", f"{now():%Y%m%d%H}")
        notify("email_sent")
    return go("/settings")


def _expired_link(token: str, refusal: LinkInvalid) -> Response:
    """Show that a link has expired, or to a confirmed member that the address is confirmed."""
    account = current_account()
    if account is not None and account.verified:
        return account_form("verify", token=token, state="done", micro=0)
    return account_form("verify", status=refusal.status, token=token, state="expired", micro=0)


@pages.post("/settings/email")
@policy("user")
def change_address() -> Response:
    """Ask for another address: it counts once the email to it was read; the old one is told."""
    member, rules = require_account(), get(AccountRules)
    try:
        proof = settings.prove(member, rules, "email_password")
        with transaction() as session:
            email = forms.text("new_email", None)
            user, taken = accounts.request_change(session, proof, email, rules, now=now())
            once = new_id("change")
            queue_email(session, user, "address_changing", once)
            # A taken address looks the same here; its owner learns of it.
            if taken is not None:
                queue_email(session, taken, "account_exists", f"{now():%Y%m%d}")
            else:
                queue_email(session, user, "address_change", once, to=user.new_email)
    except AppError as refusal:
        return settings.page(member, refusal)
    notify("info", text="We have sent a link to the new address. It counts once you open it.")
    return go("/settings#email")


@pages.get("/auth/change/<token>")
@policy("public")
def show_change(token: str) -> Response:
    """Show the button that confirms a new address, so that a link scanner confirms nothing."""
    try:
        owner = accounts.find_by_change_token(reading(), token, get(AccountRules), now=now())
    except LinkInvalid as refusal:
        return account_form("change", status=refusal.status, token=token, state="expired")
    return account_form("change", token=token, state="ready", new_email=owner.new_email)


@pages.post("/auth/change/<token>")
@policy("public")
def confirm_change(token: str) -> Response:
    """Replace the address of the account by the new one."""
    try:
        with transaction() as session:
            rules = get(AccountRules)
            old_email = accounts.find_by_change_token(session, token, rules, now=now()).email
            user = accounts.confirm_change(session, token, rules, now=now())
            queue_email(session, user, "address_changed", new_id("change"), to=old_email)
            payments.note_changed_address(session, user.id, now=now())
    except LinkInvalid as refusal:
        return account_form("change", status=refusal.status, token=token, state="expired")
    return account_form("change", token=token, state="done")


@pages.get("/settings/email/sent")
@policy("user")
def show_sent_email() -> Response:
    """Show the member's confirmation email in a demo, which sends none, on its own machine."""
    member = require_account()
    if member.verified or not shows_sent_email():
        raise NotFound
    html = emails.preview(member, "verify")
    return Response(html, headers={"Content-Security-Policy": EMAIL_POLICY})
