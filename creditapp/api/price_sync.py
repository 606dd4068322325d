"""Stripe's prices into the catalog, for the operator's scripts."""

from __future__ import annotations

from flask import Response, current_app, request

from creditapp.api import api
from creditapp.api.credits import reply
from creditapp.api.models import Answer
from creditapp.api.openapi import documented
from creditapp.catalog import Catalog, CatalogInvalid
from creditapp.config import Settings
from creditapp.db import snapshot, stop_reading, transaction
from creditapp.errors import Conflict
from creditapp.payments import price_sync
from creditapp.payments.gateway import Gateway, GatewayError
from creditapp.web.credits import PaymentUnavailable
from creditapp.web.security import policy
from creditapp.wiring import the


class PriceProblem(Answer):
    """A price that cannot be sold, and why."""

    price_id: str
    problem: str


class SyncAnswer(Answer):
    """What the prices at Stripe changed in the catalog."""

    created: list[str]
    changed: list[str]
    archived: list[str]
    problems: list[PriceProblem]
    version: str
    """The catalog version in force now."""


@api.post("/billing/sync-prices")
@policy("key")
@documented(
    "Take Stripe's prices into the catalog", SyncAnswer, query=["dryRun"], headers=["x-admin-key"]
)
def sync_prices() -> Response:
    """Read Stripe's prices and put a changed catalog in force; with ``dryRun=1`` only say what."""
    stop_reading()
    try:
        prices = the(Gateway).list_prices()
    except GatewayError:
        raise PaymentUnavailable from None
    catalog = the(Catalog)
    try:
        with snapshot() as session:
            document = price_sync.document_in_force(session)
        diff = price_sync.compare(prices, document, catalog.currency)
        if not diff.empty and request.args.get("dryRun") != "1":
            from creditapp import use_catalog

            with transaction() as session:
                catalog = price_sync.apply(session, diff)
            use_catalog(current_app._get_current_object(), the(Settings), catalog)  # type: ignore[attr-defined]
    except CatalogInvalid as error:
        raise Conflict(f"The catalog stays as it is: {error}") from None
    return reply(SyncAnswer.model_validate({**diff.as_dict(), "version": catalog.version}))
