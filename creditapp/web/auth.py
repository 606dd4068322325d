"""Signing up, logging in and out, confirming an address, a forgotten password."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, make_response, request
from sqlalchemy.orm import Session

from creditapp import accounts, emails, jobs
from creditapp.accounts import AccountRules, EmailTaken, LinkInvalid, User
from creditapp.clock import now
from creditapp.config import Settings
from creditapp.db import reading, transaction
from creditapp.errors import AppError, ValidationFailed
from creditapp.generation import adopt, count_of_guest
from creditapp.http.policies import policy
from creditapp.http.rendering import go, render_page
from creditapp.http.sessions import (
    current_member,
    current_visitor,
    require_member,
    sign_in,
    sign_out,
)
from creditapp.http.viewer import forget_viewer, notify, safe_path
from creditapp.services import get
from creditapp.web import view_models

auth = Blueprint("auth", __name__, url_prefix="/auth")


@auth.get("/signup")
@policy("public")
def sign_up() -> Response:
    """Show the form that opens an account."""
    if current_member() is not None:
        return go(safe_path(request.args.get("next")))
    return _form("signup", kept_images=_kept_images())


@auth.post("/signup")
@policy("public")
def join() -> Response:
    """Open an account and begin its session; the guest's pictures come along.

    An address that has an account already is told to look into its mail, where its owner is told
    so. Whoever tries addresses can tell the two apart; they are counted, and it ends after a few.
    """
    email, goes_to = request.form.get("email", ""), safe_path(request.form.get("next"))
    visitor, rules = current_visitor(), get(AccountRules)
    try:
        application = accounts.check_application(email, request.form.get("password", ""))
        with transaction() as session:
            accounts.count_sign_up(session, visitor.network, rules, now=now())
            rules = accounts.rules_for(session, visitor.network, rules, now=now())
    except AppError as refusal:
        return _form("signup", refusal, kept_images=_kept_images())
    new = application.prepare()
    kept = _kept_images()
    try:
        with transaction() as session:
            joined = accounts.sign_up(session, new, rules, now=now(), guest=visitor.cookie_id)
            waiting_micro = accounts.gifts_waiting(session, joined.user, rules)
    except EmailTaken as taken:
        # Once a day: whoever types somebody's address again and again must not fill their mailbox.
        _mail(taken.user, "account_exists", f"{now():%Y%m%d}")
        return _check_mail("signup", email)
    sign_in(joined.user)
    forget_viewer()
    notify("welcome", micro=joined.given_micro, waiting_micro=waiting_micro, count=kept)
    _send_waiting_mail()
    return go(goes_to)


@auth.get("/login")
@policy("public")
def log_in() -> Response:
    """Show the form to log in."""
    if current_member() is not None:
        return go(safe_path(request.args.get("next")))
    return _form("login")


@auth.post("/login")
@policy("public")
def begin_session() -> Response:
    """Log in: the same time and words for an unknown address and a wrong password."""
    email, goes_to = request.form.get("email", ""), safe_path(request.form.get("next"))
    rules = get(AccountRules)
    try:
        with transaction() as session:
            attempt = accounts.begin_log_in(
                session, email, current_visitor().network, rules, now=now()
            )
        proof = attempt.check(request.form.get("password", ""))
        with transaction() as session:
            user = accounts.log_in(session, proof, now=now())
            adopt(session, current_visitor().cookie_id, user.id)
    except AppError as refusal:
        return _form("login", refusal)
    sign_in(user)
    return go(goes_to)


@auth.post("/logout")
@policy("public")
def log_out() -> Response:
    """End this browser's session; with ``everywhere`` that of every device.

    A session lives in its cookie: a copy of it ends only with the others, or after its 30 days.
    """
    member = current_member()
    if member is not None and request.form.get("everywhere") == "1":
        with transaction() as session:
            user = accounts.find(session, member.id)
            if user is not None:
                accounts.end_sessions(session, user)
    sign_out()
    notify("logged_out")
    response = go("/")
    # Pictures stay in the browser's cache for a year, and what was typed in its tab; whoever sits
    # here next must not find them.
    response.headers["Clear-Site-Data"] = '"cache", "storage"'
    return response


@auth.get("/forgot")
@policy("public")
def forgot() -> Response:
    """Show the form that asks for a new password."""
    return _form("forgot")


@auth.post("/forgot")
@policy("public")
def send_reset() -> Response:
    """Mail a link to set a new password, if the address has an account; the page never tells."""
    email, rules = request.form.get("email", ""), get(AccountRules)
    try:
        with transaction() as session:
            user = accounts.request_reset(
                session, email, current_visitor().network, rules, now=now()
            )
            if user is not None:
                _queue_mail(session, user, "reset", f"{now():%Y%m%d%H%M}")
    except AppError as refusal:
        return _form("forgot", refusal)
    # Asked for in both cases, so that the time it takes does not tell one from the other.
    _send_waiting_mail()
    return _check_mail("reset", email)


@auth.get("/reset/<token>")
@policy("public")
def reset(token: str) -> Response:
    """Show the form for a new password, or that the link has ended."""
    try:
        accounts.whose_reset(reading(), token, get(AccountRules), now=now())
    except LinkInvalid as refusal:
        return _form("reset", status=refusal.status, token=token, expired=True)
    return _form("reset", token=token, expired=False)


@auth.post("/reset/<token>")
@policy("public")
def set_password(token: str) -> Response:
    """Set the new password, end every other session and begin one here."""
    rules = get(AccountRules)
    try:
        owner = accounts.whose_reset(reading(), token, rules, now=now())
        new = accounts.new_password(request.form.get("password", ""), address=owner.email)
        with transaction() as session:
            user = accounts.reset_password(session, token, new, rules, now=now())
    except LinkInvalid as refusal:
        return _form("reset", status=refusal.status, token=token, expired=True)
    except ValidationFailed as refusal:
        return _form("reset", refusal, token=token, expired=False)
    sign_in(user)
    notify("password_changed")
    return go("/")


@auth.get("/verify/<token>")
@policy("public")
def verify(token: str) -> Response:
    """Show the button that confirms: programs that follow links in mails confirm nothing."""
    session, rules = reading(), get(AccountRules)
    try:
        owner = accounts.whose_verification(session, token, rules, now=now())
    except LinkInvalid as refusal:
        return _ended_link(token, refusal)
    waiting_micro = accounts.gifts_waiting(session, owner, rules)
    return _form("verify", token=token, state="ready", micro=waiting_micro)


@auth.post("/verify/<token>")
@policy("public")
def confirm(token: str) -> Response:
    """Confirm the address and give Free's credits, once a person."""
    try:
        with transaction() as session:
            confirmed = accounts.verify_address(session, token, get(AccountRules), now=now())
    except LinkInvalid as refusal:
        return _ended_link(token, refusal)
    member = current_member()
    if member is None or member.id != confirmed.user.id:
        return _form("verify", token=token, state="done", micro=0)
    forget_viewer()
    notify("verified", micro=confirmed.given_micro)
    return go("/")


@auth.post("/verify")
@policy("user")
def send_verification() -> Response:
    """Send the link again."""
    member = require_member()
    if member.verified:
        notify("info", text="Your address is confirmed already.")
    else:
        _mail(member, "verify", f"{now():%Y%m%d%H}")
        notify("mail_sent")
    return go("/settings")


def _ended_link(token: str, refusal: LinkInvalid) -> Response:
    """Say that a link has ended; to whom it has confirmed already, that it has."""
    member = current_member()
    if member is not None and member.verified:
        return _form("verify", token=token, state="done", micro=0)
    return _form("verify", status=refusal.status, token=token, state="expired", micro=0)


def _form(page: str, refusal: AppError | None = None, status: int = 200, **extra: Any) -> Response:
    """Render one of the account pages, with what was typed and what is wrong with it."""
    errors: dict[str, str] = {}
    problem = None
    if isinstance(refusal, ValidationFailed):
        errors = {each["field"]: each["message"] for each in refusal.errors}
    elif refusal is not None:
        problem = view_models.problem(refusal)
    body = render_page(
        f"pages/auth/{page}/index.html",
        form={
            "email": request.form.get("email", "")[:320],
            "next": safe_path(request.values.get("next")),
        },
        errors=errors,
        problem=problem,
        **extra,
    )
    headers = refusal.headers if refusal else {}
    return make_response(body, refusal.status if refusal else status, headers)


def _check_mail(kind: str, email: str) -> Response:
    settings = get(Settings)
    folder = "" if settings.mail_url else str(settings.data_dir / "mail")
    return make_response(
        render_page(
            "pages/auth/check_mail/index.html", kind=kind, email=email[:320], mail_folder=folder
        )
    )


def _mail(user: User, event: str, once_per: str) -> None:
    """Queue a mail to a person, at most one in the span that ``once_per`` names, and send it."""
    with transaction() as session:
        _queue_mail(session, user, event, once_per)
    _send_waiting_mail()


def _queue_mail(session: Session, user: User, event: str, once_per: str) -> None:
    emails.queue(
        session,
        event,
        to=user.email,
        user_id=user.id,
        context={"name": user.name},
        key=f"{event}:{user.id}:{once_per}",
        now=now(),
    )


def _send_waiting_mail() -> None:
    """Ask for the mails that were queued; the sweep would find them a minute later."""
    jobs.enqueue("mails", f"now:{now():%Y%m%d%H%M%S%f}")


def _kept_images() -> int:
    return count_of_guest(reading(), current_visitor().cookie_id)
