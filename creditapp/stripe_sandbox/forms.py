"""The pages' blueprint, and the guard that lets only our own forms in."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import Blueprint, current_app, render_template, request

from creditapp.stripe_sandbox.state import State

View = Callable[..., Any]
pages = Blueprint("pages", __name__)


def our_form(view: View) -> View:
    """Let a form in only with the token that our pages put into it."""

    @wraps(view)
    def guarded(*args: Any, **path: Any) -> Any:
        given = request.form.get("token", "")
        if not hmac.compare_digest(given.encode(), State.of(current_app).form_token().encode()):
            return render_template("stale.html"), 403
        return view(*args, **path)

    return guarded
