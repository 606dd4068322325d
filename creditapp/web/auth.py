"""Sign-up, login, logout and password reset."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, make_response
from sqlalchemy.orm import Session

from creditapp import accounts, emails, jobs
from creditapp.accounts import AccountRules, EmailTaken, LinkInvalid, User
from creditapp.clock import now
from creditapp.config import Settings
from creditapp.db import reading, transaction
from creditapp.errors import AppError, ValidationFailed
from creditapp.generation import adopt, count_of_guest
from creditapp.http import forms
from creditapp.http.policies import policy
from creditapp.http.problems import form_page
from creditapp.http.rendering import go, render_page
from creditapp.http.sessions import (
    begin_session,
    current_member,
    current_visitor,
    known_browser,
    sign_in,
    sign_out,
)
from creditapp.http.viewer import forget_viewer, notify
from creditapp.ids import new_id
from creditapp.services import get
from creditapp.web import studio_settings

auth = Blueprint("auth", __name__, url_prefix="/auth")


@auth.get("/signup")
@policy("public")
def sign_up() -> Response:
    """Show the sign-up form."""
    if current_member() is not None:
        return go(forms.next_path())
    return _sign_up_form()


@auth.post("/signup")
@policy("public")
def join() -> Response:
    """Create an account, log in, and keep the guest's images.

    For an email address that already has an account, its owner gets an email and the page says to
    check it. The two responses differ; after a few taken addresses of a network all of its
    sign-ups get that page, and the account is opened by the email alone.
    """
    email = forms.text("email", None)
    visitor, rules = current_visitor(), get(AccountRules)
    try:
        application = accounts.check_application(email, forms.text("password", None))
        with transaction() as session:
            accounts.count_sign_up(session, visitor.networks, rules, now=now())
            rules = accounts.limit_welcome_credits(session, visitor.networks, rules, now=now())
            hidden = accounts.hides_sign_ups(session, visitor.networks, rules, now=now())
    except AppError as refusal:
        return _sign_up_form(refusal)
    new_user = application.prepare()
    if hidden:
        new_user = new_user.without_password()
    kept_images = _kept_images()
    try:
        with transaction() as session:
            signup = accounts.sign_up(session, new_user, rules, now=now(), guest=visitor.cookie_id)
            waiting_micro = accounts.waiting_credits_micro(session, signup.user, rules)
            studio_settings.carry(signup.user)
            session_id = None if hidden else begin_session(session, signup.user)
    except EmailTaken as refusal:
        with transaction() as session:
            accounts.count_taken(session, visitor.networks, rules, now=now())
        # Once a day, so that repeated attempts cannot fill the owner's mailbox.
        send_email(refusal.user, "account_exists", f"{now():%Y%m%d}")
        return _check_email("signup", email)
    if session_id is None:
        return _check_email("signup", email)
    sign_in(session_id)
    forget_viewer()
    notify("welcome", micro=signup.granted_micro, waiting_micro=waiting_micro, count=kept_images)
    return go(forms.next_path())


@auth.get("/login")
@policy("public")
def log_in() -> Response:
    """Show the form to log in."""
    if current_member() is not None:
        return go(forms.next_path())
    return account_form("login")


@auth.post("/login")
@policy("public")
def check_credentials() -> Response:
    """Log in; an unknown address and a wrong password take the same time and get the same words."""
    email = forms.text("email", None)
    rules = get(AccountRules)
    try:
        with transaction() as session:
            attempt = accounts.begin_log_in(
                session,
                email,
                current_visitor().networks,
                rules,
                now=now(),
                browser=known_browser(email),
            )
        proof = attempt.check(forms.text("password", None))
        with transaction() as session:
            user = accounts.log_in(session, proof, now=now())
            adopt(session, current_visitor().cookie_id, user.id)
            studio_settings.carry(user)
            session_id = begin_session(session, user)
    except AppError as refusal:
        return account_form("login", refusal)
    sign_in(session_id)
    return go(forms.next_path())


@auth.post("/logout")
@policy("public")
def log_out() -> Response:
    """End this browser's session; with ``everywhere`` those of all devices."""
    member = current_member()
    if member is not None:
        with transaction() as session:
            if forms.ticked("everywhere"):
                accounts.end_sessions(session, member.id, now=now())
            else:
                accounts.end_session(session, member.id, member.session_id, now=now())
    sign_out()
    notify("logged_out")
    response = go("/")
    # The cache keeps images for a year and the tab what was typed: the next user of this browser
    # must not find them.
    response.headers["Clear-Site-Data"] = '"cache", "storage"'
    return response


@auth.get("/forgot")
@policy("public")
def forgot() -> Response:
    """Show the form that asks for a new password."""
    return account_form("forgot")


@auth.post("/forgot")
@policy("public")
def send_reset() -> Response:
    """Email a reset link; the page never reveals whether the address has an account."""
    email, rules = forms.text("email", None), get(AccountRules)
    try:
        with transaction() as session:
            user = accounts.request_reset(
                session, email, current_visitor().networks, rules, now=now()
            )
            if user is not None:
                queue_email(session, user, "reset", f"{now():%Y%m%d%H%M}")
    except AppError as refusal:
        return account_form("forgot", refusal)
    if user is None:
        # A job without an email, so that the time it takes does not reveal whether there is an
        # account.
        jobs.enqueue("email", new_id("email"))
    return _check_email("reset", email)


@auth.get("/reset/<token>")
@policy("public")
def reset(token: str) -> Response:
    """Show the form for a new password, or that the link has expired."""
    try:
        accounts.find_by_reset_token(reading(), token, get(AccountRules), now=now())
    except LinkInvalid as refusal:
        return account_form("reset", status=refusal.status, token=token, expired=True)
    return account_form("reset", token=token, expired=False)


@auth.post("/reset/<token>")
@policy("public")
def set_password(token: str) -> Response:
    """Set the new password, end every other session and log in here."""
    rules = get(AccountRules)
    try:
        owner = accounts.find_by_reset_token(reading(), token, rules, now=now())
        text = forms.text("password", None)
        accounts.check_new_password(text, address=owner.email)
        with transaction() as session:
            accounts.count_reset(session, owner, rules, now=now())
        password = accounts.new_password(text, address=owner.email)
        with transaction() as session:
            user = accounts.reset_password(session, token, password, rules, now=now())
            session_id = begin_session(session, user)
    except LinkInvalid as refusal:
        return account_form("reset", status=refusal.status, token=token, expired=True)
    except AppError as refusal:
        return account_form("reset", refusal, token=token, expired=False)
    sign_in(session_id)
    notify("password_changed")
    return go("/")


def account_form(
    page: str, refusal: AppError | None = None, status: int = 200, **extra: Any
) -> Response:
    """Render one of the account pages, with the values and errors of a refused form."""
    form = {"email": forms.text("email", 320), "next": forms.next_path()}
    template = f"pages/auth/{page}/index.html"
    return form_page(template, refusal, status, form=form, focus=_focus(refusal), **extra)


def _focus(refusal: AppError | None) -> str:
    """Return the field to begin in: the first that is wrong, or the password to type again."""
    if isinstance(refusal, ValidationFailed):
        return refusal.errors[0]["field"]
    return "email" if refusal is None else "password"


def _sign_up_form(refusal: AppError | None = None) -> Response:
    """Render the sign-up page with what an account gives now."""
    rules = get(AccountRules)
    waits = accounts.welcome_waits(reading(), current_visitor().networks, rules, now=now())
    return account_form("signup", refusal, kept_images=_kept_images(), welcome_waits=waits)


def _check_email(kind: str, email: str) -> Response:
    settings = get(Settings)
    folder = "" if settings.mail_url else str(settings.data_dir / "mail")
    return make_response(
        render_page(
            "pages/auth/check_email/index.html", kind=kind, email=email[:320], email_folder=folder
        )
    )


def send_email(user: User, event: str, once_per: str) -> None:
    """Queue an email, at most one for each value of ``once_per``."""
    with transaction() as session:
        queue_email(session, user, event, once_per)


def queue_email(
    session: Session, user: User, event: str, once_per: str, *, to: str | None = None
) -> None:
    """Queue an email to a user, at most one for each value of ``once_per``."""
    emails.queue(
        session,
        event,
        to=to or user.email,
        user_id=user.id,
        context={},
        key=f"{event}:{user.id}:{once_per}",
        now=now(),
    )


def _kept_images() -> int:
    return count_of_guest(reading(), current_visitor().cookie_id)
