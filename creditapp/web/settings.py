"""A member's settings: profile, own keys, automatic top-up, password, notifications, sessions."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, request

from creditapp import accounts, credentials, units
from creditapp.accounts import AccountRules, Proof, User, WrongCredentials
from creditapp.clock import now
from creditapp.db import reading, transaction
from creditapp.errors import AppError, NotFound, ValidationFailed
from creditapp.http import forms
from creditapp.http.policies import policy
from creditapp.http.problems import form_page
from creditapp.http.rendering import go
from creditapp.http.sessions import (
    begin_session,
    choose_theme,
    current_visitor,
    known_browser,
    require_account,
    require_member,
    sign_in,
)
from creditapp.http.viewer import notify, viewer
from creditapp.payments.auto_topup import consent as topup_consent
from creditapp.payments.auto_topup import limits as topup_limits
from creditapp.services import get
from creditapp.web import view_models
from creditapp.web.notifications import notifications_of
from creditapp.web.view_models import Topup

pages = Blueprint("settings", __name__)


@pages.get("/settings")
@policy("user")
def settings() -> Response:
    """Show the settings."""
    return page(require_account())


@pages.post("/settings/profile")
@policy("user")
def save_profile() -> Response:
    """Change the name and the low balance warning."""
    member = require_account()
    name = forms.text("name", None)
    try:
        low_micro = _low_balance(name)
        with transaction() as session:
            user = session.get(User, member.id)
            if user is None:
                raise NotFound
            accounts.change_profile(session, user, name=name, low_balance_micro=low_micro)
    except ValidationFailed as refusal:
        return page(member, refusal)
    notify("profile_saved")
    return go("/settings")


@pages.post("/settings/theme")
@policy("user")
def save_theme() -> Response:
    """Keep the theme of this browser."""
    response = go("/settings#appearance")
    choose_theme(response, forms.text("theme"))
    return response


@pages.post("/settings/password")
@policy("user")
def change_password() -> Response:
    """Change the password and end every other session."""
    member, rules = require_account(), get(AccountRules)
    try:
        password = forms.text("password", None)
        accounts.check_new_password(password, address=member.email)
        proof = prove(member, rules)
        new = accounts.new_password(password, address=member.email)
        with transaction() as session:
            user = accounts.change_password(session, proof, new, now=now())
            session_id = begin_session(session, user)
    except AppError as refusal:
        return page(member, refusal)
    sign_in(session_id)
    notify("password_changed")
    return go("/settings")


@pages.post("/settings/sessions/<session_id>/end")
@policy("user")
def end_session(session_id: str) -> Response:
    """End one of the member's sessions, on another device or this one."""
    member = require_member()
    with transaction() as session:
        if not accounts.end_session(session, member.id, session_id, now=now()):
            raise NotFound
    notify("info", text="That device is logged out.")
    return go("/settings#sessions")


@pages.post("/settings/sessions/end-others")
@policy("user")
def end_other_sessions() -> Response:
    """End every session of the member except this one."""
    member = require_member()
    with transaction() as session:
        accounts.end_sessions(session, member.id, now=now(), keep=member.session_id)
    notify("info", text="You are logged out on all other devices.")
    return go("/settings#sessions")


def prove(member: User, rules: AccountRules, field: str = "current_password") -> Proof:
    """Return the proof of a field with the password; counted before anything is hashed."""
    with transaction() as session:
        attempt = accounts.begin_log_in(
            session,
            member.email,
            current_visitor().networks,
            rules,
            now=now(),
            browser=known_browser(member.email),
        )
    proof = attempt.check(forms.text(field, None))
    try:
        proof.require()
    except WrongCredentials:
        text = "This is not your current password."
        raise ValidationFailed.of(field, text) from None
    return proof


def page(member: User, refusal: AppError | None = None) -> Response:
    """Return the settings, with the values and errors of a refused form."""
    fresh = reading().get(User, member.id) or member
    low = units.credits_number(viewer().low_at_micro)
    form: dict[str, Any] = {"name": fresh.name, "email": fresh.email, "low_balance": str(low)}
    if isinstance(refusal, ValidationFailed):
        form |= {
            name: request.form[name]
            for name in ("name", "low_balance", "new_email")
            if name in request.form
        }
    return form_page(
        "pages/settings/index.html",
        refusal,
        form=form,
        verified=fresh.verified,
        new_email=fresh.new_email,
        api_key_mode=fresh.api_key_mode,
        provider_keys=view_models.provider_keys(credentials.list_keys(reading(), fresh.id)),
        notifications=notifications_of(fresh.id),
        sessions=accounts.list_sessions(reading(), fresh.id, now=now()),
        this_session=require_member().session_id,
        topup=_topup(fresh, sent=refusal is not None and request.path.endswith("/top-up")),
    )


def _topup(member: User, *, sent: bool) -> Topup:
    session = reading()
    row = topup_consent.find_auto_topup(session, member.id)
    month = topup_limits.monthly_usage(session, row, now=now()) if row else None
    return view_models.topup(row, month, request.form if sent else None)


def _low_balance(name: str) -> int:
    """Return the threshold; raise ``ValidationFailed``, with the name if it is wrong too."""
    text = forms.text("low_balance", None).strip()
    try:
        return units.micro_from_text(text) if text not in ("0", "") else 0
    except units.AmountInvalid as error:
        problem = accounts.name_problem(" ".join(name.split()))
        names = {"name": problem} if problem else {}
        raise ValidationFailed.of_fields({**names, "low_balance": str(error)}) from None
