"""The pages: one module a page family, each with a blueprint of its own."""

from __future__ import annotations

from flask import Flask

from creditapp.http.exports import Exports
from creditapp.services import provide
from creditapp.web import (
    account_deletion,
    api_docs,
    api_keys,
    auth,
    chat,
    credits,
    credits_demo,
    dashboard,
    discovery,
    email_address,
    example_ai,
    gallery,
    generation,
    health,
    history,
    images,
    legal,
    metrics,
    notifications,
    plans,
    provider_keys,
    purchases,
    receipts,
    redeem,
    refunds,
    studio,
    topup,
    uploads,
    wall,
    webhook_endpoints,
    webhooks,
)
from creditapp.web import settings as settings_pages

BLUEPRINTS = {
    auth.auth: [],
    chat.pages: [],
    credits.credits_pages: [plans.pages, purchases.pages, redeem.pages, refunds.pages],
    credits_demo.site: [api_docs.pages, discovery.pages, example_ai.pages, legal.pages],
    dashboard.account: [
        settings_pages.pages,
        account_deletion.pages,
        api_keys.pages,
        email_address.pages,
        notifications.pages,
        provider_keys.pages,
        topup.pages,
        receipts.pages,
        webhook_endpoints.pages,
    ],
    health.health: [],
    studio.generation: [
        gallery.pages,
        generation.pages,
        history.pages,
        images.pages,
        uploads.pages,
        wall.routes,
    ],
    webhooks.webhooks: [],
}
"""Every blueprint of the pages, with those nested in it."""

for parent, children in BLUEPRINTS.items():
    for child in children:
        parent.register_blueprint(child)


def init_app(app: Flask) -> None:
    """Add metrics and every page to the app."""
    metrics.init_app(app)
    provide(app, Exports, Exports())
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
