"""The checkout's pages: where a buyer pays; and what every page has in common."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from flask import (
    Flask,
    Response,
    abort,
    current_app,
    redirect,
    render_template,
    request,
    url_for,
)

from creditapp.stripe_sandbox import admin_actions as _buttons  # noqa: F401  # joins the blueprint
from creditapp.stripe_sandbox import payment, portal, promotions
from creditapp.stripe_sandbox.cards import MEANS
from creditapp.stripe_sandbox.errors import Refused
from creditapp.stripe_sandbox.formatting import moment, money, terms_of
from creditapp.stripe_sandbox.forms import our_form, pages
from creditapp.stripe_sandbox.objects.checkout_session import needs_means
from creditapp.stripe_sandbox.state import State
from creditapp.stripe_sandbox.store import Json

_EMAIL = re.compile(r"^[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)+$")


def install(app: Flask) -> None:
    """Put the pages at the root."""
    app.register_blueprint(pages)
    app.jinja_env.filters.update(money=money, moment=moment)
    app.jinja_env.globals["form_token"] = lambda: State.of(app).form_token()
    app.jinja_env.globals["app_name"] = State.of(app).app_name
    app.after_request(_protect)
    app.register_error_handler(404, _missing)


@pages.get("/pay/<session_id>")
def pay(session_id: str) -> Any:
    """The page on which a buyer pays."""
    with State.of(current_app).transaction() as books:
        payment.tick(books)
        session = books.get("checkout.session", session_id) or abort(404)
        waits = payment.awaits_step(books, session)
        problem = payment.problem_of(books, session)
    if session["status"] != "open":
        return render_template("closed.html", session=session, target=_back(session))
    if waits:
        return redirect(url_for("pages.step", session_id=session_id), 303)
    said = {"card": f"{problem} Nothing was charged."} if problem else {}
    return _checkout(session, said)


@pages.post("/pay/<session_id>")
@our_form
def submit(session_id: str) -> Any:
    """Try to pay."""
    email = request.form.get("email", "").strip()
    chosen = request.form.get("card", "")
    with State.of(current_app).transaction() as books:
        payment.tick(books)
        session = books.get("checkout.session", session_id) or abort(404)
        if session["_email_fixed"]:
            email = session["_email"]
        means = {each.key: each for each in payment.offered(session)}
        problems = _problems(email, chosen in means or not needs_means(session))
        if session["status"] == "open" and not problems:
            step_url = f"{books.public_url}/pay/{session_id}/step"
            way = means.get(chosen, MEANS[0])
            session = payment.pay(books, session, way, email, step_url)
    if session["status"] == "complete":
        return redirect(_success(session), 303)
    if problems and session["status"] == "open":
        return _checkout(session | {"_email": email}, problems, chosen), 422
    return redirect(url_for("pages.pay", session_id=session_id), 303)


@pages.post("/pay/<session_id>/code")
@our_form
def enter_code(session_id: str) -> Any:
    """Put a promotion code on the checkout, or take it off."""
    word = request.form.get("code", "").strip()
    with State.of(current_app).transaction() as books:
        payment.tick(books)
        session = books.get("checkout.session", session_id) or abort(404)
        try:
            promotions.enter(books, session, word)
            problem = ""
        except Refused as refused:
            problem = str(refused)
    if problem and session["status"] == "open":
        return _checkout(session, {"code": problem}), 422
    return redirect(url_for("pages.pay", session_id=session_id), 303)


@pages.get("/pay/<session_id>/step")
def step(session_id: str) -> Any:
    """The bank's further step: what 3-D Secure looks like."""
    with State.of(current_app).transaction() as books:
        session = books.get("checkout.session", session_id) or abort(404)
        waits = payment.awaits_step(books, session)
    if not waits:
        return redirect(url_for("pages.pay", session_id=session_id), 303)
    return render_template("step.html", session=session)


@pages.post("/pay/<session_id>/step")
@our_form
def answer_step(session_id: str) -> Any:
    """The buyer confirms at the bank, or fails to."""
    with State.of(current_app).transaction() as books:
        session = books.get("checkout.session", session_id) or abort(404)
        complete = request.form.get("answer") == "complete"
        session = payment.answer_step(books, session, complete=complete)
    if session["status"] == "complete":
        return redirect(_success(session), 303)
    return redirect(url_for("pages.pay", session_id=session_id), 303)


def _checkout(session: Json, problems: dict[str, str], chosen: str = "succeeds") -> str:
    with State.of(current_app).transaction() as books:
        code = promotions.code_of(books, session)
    return render_template(
        "pay.html",
        session=session,
        means=payment.offered(session) if needs_means(session) else [],
        terms=terms_of(session),
        code=code["code"] if code else None,
        problems=problems,
        chosen=chosen,
    )


def _problems(email: str, card_known: bool) -> dict[str, str]:
    problems = {}
    if not _EMAIL.match(email):
        problems["email"] = "Enter an address such as you@example.com."
    if not card_known:
        problems["card"] = "Choose how to pay."
    return problems


def _success(session: Json) -> str:
    address: str = session["success_url"]
    return address.replace("{CHECKOUT_SESSION_ID}", session["id"])


def _back(session: Json) -> str | None:
    if session["status"] == "complete":
        return _success(session)
    target: str | None = session["cancel_url"]
    return target


def _protect(response: Response) -> Response:
    """Set the security headers. A form ends at the shop, so its origin is allowed as a target."""
    if response.mimetype == "text/html":
        targets = " ".join(["'self'", *sorted(_shops())])
        response.headers.setdefault(
            "Content-Security-Policy",
            "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none';"
            f" frame-ancestors 'none'; form-action {targets}",
        )
        response.headers.setdefault("Cache-Control", "no-store")
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Referrer-Policy", "no-referrer")
    return response


def _shops() -> set[str]:
    """Return the origin to which the current page's form may lead."""
    path = request.view_args or {}
    if not path.keys() & {"session_id", "portal_id"}:
        return set()
    with State.of(current_app).store.transaction() as books:
        session = books.get("checkout.session", path.get("session_id", ""))
        found = [session["success_url"]] if session else []
        found += portal.shop_addresses(books, path.get("portal_id", ""))
    parts = [urlsplit(address) for address in found]
    return {f"{each.scheme}://{each.netloc}" for each in parts}


def _missing(_error: Exception) -> tuple[str, int]:
    return render_template("missing.html"), 404
