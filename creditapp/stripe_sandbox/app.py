"""Sandbox WSGI app: the API under ``/v1``, the pages at the root."""

from __future__ import annotations

from pathlib import Path

from flask import Flask

from creditapp.stripe_sandbox.api import install as install_api
from creditapp.stripe_sandbox.local_access import install as restrict_to_this_machine
from creditapp.stripe_sandbox.pages import install as install_pages
from creditapp.stripe_sandbox.state import State
from creditapp.stripe_sandbox.store import Database


def create_sandbox(
    data_path: Path,
    *,
    public_url: str,
    webhook_url: str | None,
    webhook_secret: str,
    app_name: str = "CreditApp",
    secret_key: str | None = None,
) -> Flask:
    """Return a sandbox that stores its state in the SQLite file at ``data_path``.

    ``public_url`` is the address of its pages for browsers, including any prefix. Events are sent
    to ``webhook_url`` once ``start_deliveries`` runs; with None they are not sent. The API accepts
    only ``secret_key``, or every ``sk_test_…`` if it is None. Raises ``ValueError`` on an empty
    webhook secret or a live key.
    """
    if webhook_url and not webhook_secret:
        raise ValueError("webhooks need a secret to be signed with")
    if secret_key is not None and not secret_key.startswith("sk_test_"):
        raise ValueError("the sandbox takes only a key that begins with sk_test_")
    app = Flask(__name__, static_url_path="/static")
    app.config["MAX_CONTENT_LENGTH"] = 1_000_000
    app.config["MAX_FORM_PARTS"] = 5_000
    State(
        database=Database(data_path),
        public_url=public_url.rstrip("/"),
        webhook_url=webhook_url,
        webhook_secret=webhook_secret,
        secret_key=secret_key,
        app_name=app_name,
    ).attach(app)
    restrict_to_this_machine(app)
    install_api(app)
    install_pages(app)
    return app
