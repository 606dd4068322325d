"""``/example-ai``: the worked example of a feature that spends credits, with its code."""

from __future__ import annotations

import hashlib
import inspect
import secrets

from flask import Blueprint, Response

from creditapp.clock import now
from creditapp.db import transaction
from creditapp.errors import AppError
from creditapp.features import example
from creditapp.features.example import WordCount
from creditapp.http import forms
from creditapp.http.policies import policy
from creditapp.http.problems import form_page
from creditapp.http.sessions import current_member, require_member
from creditapp.http.viewer import forget_viewer

pages = Blueprint("example_ai", __name__)


@pages.get("/example-ai")
@policy("public")
def show_example() -> Response:
    """Show the example with its price and its code."""
    return _page()


@pages.post("/example-ai")
@policy("user")
def use_credits() -> Response:
    """Spend one credit and count the words of the text; the same form again pays nothing."""
    text = forms.text("text", None).replace("\r\n", "\n")
    try:
        key = forms.idempotency_key(hashlib.sha256(text.encode()).hexdigest())
        with transaction() as session:
            counted = example.count_words(session, require_member(), text, key=key, now=now())
    except AppError as refusal:
        return _page(text=text, refusal=refusal)
    forget_viewer()
    return _page(text=text, counted=counted)


def _page(
    *, text: str = "", counted: WordCount | None = None, refusal: AppError | None = None
) -> Response:
    return form_page(
        "pages/example_ai/index.html",
        refusal,
        text=text,
        counted=counted,
        cost_micro=example.COST_MICRO,
        characters_max=example.CHARACTERS_MAX,
        is_member=current_member() is not None,
        nonce=secrets.token_urlsafe(16),
        code=inspect.getsource(example.count_words),
    )
