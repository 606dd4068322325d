"""The JSON API: a module for each resource, with a blueprint below ``/api``; ``/mcp``; ``/v1``."""

from __future__ import annotations

from flask import Blueprint, Flask

from creditapp.api import (
    access_tokens,
    agent_images,
    agent_receipts,
    agents,
    auto_topup,
    chat,
    credits,
    did,
    example,
    generate,
    generations,
    grants,
    keys,
    mcp,
    openapi,
    payment_requests,
    plans,
    price_sync,
    prices,
    purchases,
    quotes,
    spending,
    uploads,
    usage,
    v1,
    waiting,
    webhook_endpoints,
)

api = Blueprint("api", __name__, url_prefix="/api")
for resource in (
    access_tokens,
    agent_images,
    agent_receipts,
    agents,
    auto_topup,
    chat,
    credits,
    example,
    generate,
    generations,
    grants,
    keys,
    openapi,
    payment_requests,
    plans,
    price_sync,
    prices,
    purchases,
    quotes,
    spending,
    uploads,
    usage,
    webhook_endpoints,
):
    api.register_blueprint(resource.routes)

# What agents call without /api: the same routes, as clients that were written for others do.
agents_outside = Blueprint("agents", __name__)
for resource in (agents, agent_images, agent_receipts, payment_requests, did):
    agents_outside.register_blueprint(resource.routes)


def init_app(app: Flask) -> None:
    """Add every JSON route to the app."""
    waiting.init_app(app)
    app.register_blueprint(api)
    app.register_blueprint(agents_outside)
    app.register_blueprint(mcp.routes)
    app.register_blueprint(v1.v1)
