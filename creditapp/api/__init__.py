"""The doors for programs: one module a resource, all on one blueprint."""

from __future__ import annotations

from flask import Blueprint, Flask

api = Blueprint("api", __name__, url_prefix="/api")


def init_app(app: Flask) -> None:
    """Put every JSON route onto the app."""
    from creditapp.api import credits, generations, plans, price_sync, prices, purchases, waiting
    from creditapp.http import openapi

    for resource in (credits, prices, price_sync, plans, purchases, generations, openapi):
        assert resource.__doc__, "importing a resource registers its routes"
    waiting.init_app(app)
    app.register_blueprint(api)
