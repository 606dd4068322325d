"""HTTP code that the pages and the JSON API share.

Policies, CSRF, sessions, rate limits, headers, JSON, problems, the viewer, templates, OpenAPI.
"""

from __future__ import annotations

from flask import Flask
from flask_compress import Compress

from creditapp.config import Settings
from creditapp.http import (
    csrf,
    headers,
    policies,
    problems,
    rate_limiting,
    rendering,
    request_checks,
    sessions,
    shared_pages,
    stripe_requests,
    viewer,
)
from creditapp.http.json_provider import ExactJson


def init_app(app: Flask, settings: Settings) -> None:
    """Add everything that every route has to the app."""
    app.json = ExactJson(app)
    app.config["COMPRESS_ALGORITHM"] = ["br", "gzip"]
    app.config["COMPRESS_BR_LEVEL"] = 4
    Compress(app)
    # In the order in which a request meets them.
    request_checks.init_app(app)
    sessions.init_app(app, settings)
    rate_limiting.init_app(app, settings)
    policies.init_app(app)
    csrf.init_app(app)
    stripe_requests.init_app(app, settings)
    headers.init_app(app, settings)
    rendering.init_app(app)
    shared_pages.init_app(app)
    problems.init_app(app)
    app.context_processor(
        lambda: {
            "site": viewer.site(),
            "viewer": viewer.viewer(),
            "confirmation": viewer.confirmation,
        }
    )
