"""Blueprint of the pages, and CSRF protection of their forms."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import Blueprint, current_app, render_template, request

from creditapp.stripe_sandbox.state import State

View = Callable[..., Any]
pages = Blueprint("pages", __name__)


def require_form_token(view: View) -> View:
    """Answer 403 to a form without the token of the sandbox's own pages."""

    @wraps(view)
    def protected(*args: Any, **path: Any) -> Any:
        params = request.form.get("token", "")
        if not hmac.compare_digest(params.encode(), State.of(current_app).form_token().encode()):
            return render_template("stale.html"), 403
        return view(*args, **path)

    return protected
