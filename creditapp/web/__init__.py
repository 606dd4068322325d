"""The doors for browsers: one module a page family."""

from __future__ import annotations

from flask import Flask
from flask_compress import Compress

from creditapp.config import Settings
from creditapp.http import problems, rendering, security, viewer
from creditapp.http.json_provider import ExactJson


def init_app(app: Flask, settings: Settings) -> None:
    """Put security, rendering, errors and every page onto the app."""
    from creditapp.web import (
        api_docs,
        auth,
        credits,
        credits_demo,
        dashboard,
        gallery,
        health,
        studio,
        webhooks,
    )
    from creditapp.web import notifications as notifications  # its routes stand on the dashboard's
    from creditapp.web import receipts as receipts  # the same
    from creditapp.web import settings as settings_page
    from creditapp.web import topup as topup  # the same

    app.json = ExactJson(app)
    app.config["COMPRESS_ALGORITHM"] = ["br", "gzip"]
    app.config["COMPRESS_BR_LEVEL"] = 4
    Compress(app)
    security.init_app(app, settings)
    rendering.init_app(app)
    problems.init_app(app)
    app.context_processor(lambda: {"site": viewer.site(), "viewer": viewer.viewer()})
    for page in (
        studio,
        gallery,
        credits,
        webhooks,
        auth,
        dashboard,
        settings_page,
        credits_demo,
        api_docs,
        health,
    ):
        page.register(app)
