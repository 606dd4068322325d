"""The page on which a member deletes the account."""

from __future__ import annotations

from flask import Blueprint, Response

from creditapp import accounts
from creditapp.accounts import AccountRules, User
from creditapp.clock import now
from creditapp.db import reading, transaction
from creditapp.errors import AppError, ValidationFailed
from creditapp.http import forms
from creditapp.http.policies import policy
from creditapp.http.problems import form_page
from creditapp.http.rendering import go
from creditapp.http.sessions import require_account, sign_out
from creditapp.http.viewer import notify, viewer
from creditapp.payments.subscriptions import status as plan_status
from creditapp.services import get
from creditapp.web import settings

PAGE = "pages/account_deletion/index.html"

pages = Blueprint("account_deletion", __name__)


@pages.get("/settings/delete")
@policy("user")
def show() -> Response:
    """Say what a deletion erases and what is kept, and ask for the password."""
    return _page(require_account())


@pages.post("/settings/delete")
@policy("user")
def delete() -> Response:
    """Delete the account for good, and log out everywhere."""
    member, rules = require_account(), get(AccountRules)
    try:
        _prove(member, rules)
        with transaction() as session:
            accounts.delete_account(session, session.get_one(User, member.id), rules, now=now())
    except AppError as refusal:
        return _page(member, refusal)
    sign_out()
    notify("info", text="Your account is deleted.")
    response = go("/")
    # The cache keeps images for a year and the tab what was typed.
    response.headers["Clear-Site-Data"] = '"cache", "storage"'
    return response


def _prove(member: User, rules: AccountRules) -> None:
    """Check the password, or the typed address of an account without one."""
    if member.password_hash is not None:
        settings.prove(member, rules)
    elif forms.text("email", None).strip().lower() != member.email.lower():
        raise ValidationFailed.of("email", "This is not the address of your account.")


def _page(member: User, refusal: AppError | None = None) -> Response:
    status = plan_status.get_status(reading(), member.id)
    return form_page(
        PAGE,
        refusal,
        email=member.email,
        asks_password=member.password_hash is not None,
        balance_micro=viewer().balance_micro,
        plan=status,
        is_paying=bool(viewer().pending),
    )
