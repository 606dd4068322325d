"""Import of Stripe's prices into the catalog, for operators' scripts."""

from __future__ import annotations

from flask import Blueprint, Response, current_app, request

from creditapp.catalog import Catalog, CatalogInvalid
from creditapp.errors import Conflict
from creditapp.http.documented import Documented
from creditapp.http.json_provider import json_response
from creditapp.http.policies import policy
from creditapp.http.schemas import Schema
from creditapp.http.stripe_requests import asks_stripe
from creditapp.payments.catalog_import import import_prices
from creditapp.services import get, provide

routes = Blueprint("price_sync", __name__)


class PriceProblem(Schema):
    """A price that cannot be sold, with the reason."""

    price_id: str
    problem: str


class SyncAnswer(Schema):
    """The changes that Stripe's prices made to the catalog."""

    created: list[str]
    changed: list[str]
    archived: list[str]
    problems: list[PriceProblem]
    version: str
    """The catalog version in use."""


@routes.post("/billing/sync-prices")
@policy("key")
@asks_stripe
@Documented(
    "Import Stripe's prices into the catalog",
    SyncAnswer,
    query=["dryRun"],
    headers=["x-admin-key"],
    refuses=[Conflict],
)
def sync_prices() -> Response:
    """Import Stripe's prices and activate the changed catalog; ``dryRun=1`` only compares."""
    try:
        diff, catalog = import_prices(dry_run=request.args.get("dryRun") == "1")
    except CatalogInvalid as error:
        raise Conflict(f"The catalog is unchanged: {error}") from None
    if catalog is not None:
        provide(current_app, Catalog, catalog)
    version = get(Catalog).version
    return json_response(SyncAnswer.model_validate({**diff.as_dict(), "version": version}))
