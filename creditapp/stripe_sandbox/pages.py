"""Checkout pages, and the setup that all pages share."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Response, abort, current_app, redirect, render_template, request, url_for
from jinja2 import StrictUndefined

from creditapp.stripe_sandbox import admin_actions as _admin_actions  # noqa: F401  # joins the blueprint
from creditapp.stripe_sandbox import checkout, portal, promotions
from creditapp.stripe_sandbox.errors import StripeAPIError
from creditapp.stripe_sandbox.formatting import moment, money, subscription_terms
from creditapp.stripe_sandbox.forms import pages, require_form_token
from creditapp.stripe_sandbox.objects.checkout_session import needs_payment_method
from creditapp.stripe_sandbox.payment_options import PAYMENT_OPTIONS
from creditapp.stripe_sandbox.state import State
from creditapp.stripe_sandbox.store import Json

_EMAIL = re.compile(r"^[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)+$")


def install(app: Flask) -> None:
    """Register the pages at the root."""
    app.register_blueprint(pages)
    app.jinja_env.undefined = StrictUndefined
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.filters.update(money=money, moment=moment)
    app.jinja_env.globals["form_token"] = lambda: State.of(app).form_token()
    app.jinja_env.globals["app_name"] = State.of(app).app_name
    app.after_request(_protect)
    app.register_error_handler(404, _not_found)


@pages.get("/pay/<session_id>")
def pay(session_id: str) -> Any:
    """Show the checkout page."""
    card = request.args.get("card", "")
    with State.of(current_app).transaction() as store:
        checkout.run_due_work(store)
        session = store.get("checkout.session", session_id) or abort(404)
        awaits_step = checkout.awaits_step(store, session)
        problem = checkout.last_error_message(store, session)
    if session["status"] != "open":
        return render_template("closed.html", session=session, target=_return_url(session))
    if awaits_step:
        return redirect(url_for("pages.step", session_id=session_id, card=card or None), 303)
    problems = {"card": f"{problem} Nothing was charged."} if problem else {}
    return _checkout(session, problems, card)


@pages.post("/pay/<session_id>")
@require_form_token
def submit(session_id: str) -> Any:
    """Submit a payment."""
    email = request.form.get("email", "").strip()
    card = request.form.get("card", "")
    with State.of(current_app).transaction() as store:
        checkout.run_due_work(store)
        session = store.get("checkout.session", session_id) or abort(404)
        if session["_email_fixed"]:
            email = session["_email"]
        options = {option.key: option for option in checkout.payment_options(session)}
        problems = _problems(email, card in options or not needs_payment_method(session))
        if session["status"] == "open" and not problems:
            step_url = f"{store.public_url}/pay/{session_id}/step"
            option = options.get(card, PAYMENT_OPTIONS[0])
            session = checkout.pay(store, session, option, email, step_url)
    if session["status"] == "complete":
        return redirect(_success_url(session), 303)
    if problems and session["status"] == "open":
        return _checkout(session | {"_email": email}, problems, card), 422
    return redirect(_try_again_url(session, card), 303)


@pages.post("/pay/<session_id>/code")
@require_form_token
def enter_code(session_id: str) -> Any:
    """Apply a promotion code to the checkout, or remove it."""
    code = request.form.get("code", "").strip()
    with State.of(current_app).transaction() as store:
        checkout.run_due_work(store)
        session = store.get("checkout.session", session_id) or abort(404)
        try:
            promotions.apply(store, session, code)
            problem = ""
        except StripeAPIError as api_error:
            problem = str(api_error)
    if problem and session["status"] == "open":
        return _checkout(session, {"code": problem}), 422
    return redirect(url_for("pages.pay", session_id=session_id), 303)


@pages.get("/pay/<session_id>/step")
def step(session_id: str) -> Any:
    """Show the bank's authentication step (3-D Secure)."""
    with State.of(current_app).transaction() as store:
        session = store.get("checkout.session", session_id) or abort(404)
        awaits_step = checkout.awaits_step(store, session)
    if not awaits_step:
        return redirect(url_for("pages.pay", session_id=session_id), 303)
    return render_template("step.html", session=session, card=request.args.get("card", ""))


@pages.post("/pay/<session_id>/step")
@require_form_token
def answer_step(session_id: str) -> Any:
    """Complete or fail the bank's authentication step."""
    with State.of(current_app).transaction() as store:
        session = store.get("checkout.session", session_id) or abort(404)
        complete = request.form.get("answer") == "complete"
        session = checkout.answer_step(store, session, complete=complete)
    if session["status"] == "complete":
        return redirect(_success_url(session), 303)
    return redirect(_try_again_url(session, request.args.get("card", "")), 303)


def _try_again_url(session: Json, card: str) -> str:
    """Return the checkout's path; a card that failed stays chosen, beside its message."""
    kept = card if session["status"] == "open" and card else None
    return url_for("pages.pay", session_id=session["id"], card=kept)


def _checkout(session: Json, problems: dict[str, str], card: str = "") -> str:
    options = checkout.payment_options(session) if needs_payment_method(session) else []
    keys = [option.key for option in options]
    with State.of(current_app).transaction() as store:
        code = promotions.code_of(store, session)
    return render_template(
        "pay.html",
        session=session,
        options=options,
        terms=subscription_terms(session),
        code=code["code"] if code else None,
        problems={"card": "", "code": "", "email": ""} | problems,
        chosen=card if card in keys else next(iter(keys), ""),
    )


def _problems(email: str, card_known: bool) -> dict[str, str]:
    problems = {}
    if not _EMAIL.match(email):
        problems["email"] = "Enter an address such as you@example.com."
    if not card_known:
        problems["card"] = "Choose how to pay."
    return problems


def _success_url(session: Json) -> str:
    address: str = session["success_url"]
    return address.replace("{CHECKOUT_SESSION_ID}", session["id"])


def _return_url(session: Json) -> str | None:
    if session["status"] == "complete":
        return _success_url(session)
    target: str | None = session["cancel_url"]
    return target


def _protect(response: Response) -> Response:
    """Set security headers. A form redirects to the shop, so its origin is an allowed target."""
    if response.mimetype == "text/html":
        targets = " ".join(["'self'", *sorted(_form_targets())])
        response.headers.setdefault(
            "Content-Security-Policy",
            "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none';"
            f" frame-ancestors 'none'; form-action {targets}",
        )
        response.headers.setdefault("Cache-Control", "no-store")
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Referrer-Policy", "no-referrer")
    return response


def _form_targets() -> set[str]:
    """Return the origins to which the current page's form may redirect."""
    path = request.view_args or {}
    if not path.keys() & {"session_id", "portal_id"}:
        return set()
    with State.of(current_app).database.transaction() as store:
        session = store.get("checkout.session", path.get("session_id", ""))
        urls = [session["success_url"]] if session else []
        urls += portal.return_urls(store, path.get("portal_id", ""))
    parts = [urlsplit(url) for url in urls]
    return {f"{part.scheme}://{part.netloc}" for part in parts}


def _not_found(_error: Exception) -> tuple[str, int]:
    return render_template("missing.html"), 404
