"""Automatic top-up in the settings: agree, save a card, switch off."""

from __future__ import annotations

from flask import Blueprint, Response

from creditapp import units
from creditapp.catalog import Catalog
from creditapp.clock import now
from creditapp.db import transaction
from creditapp.errors import AppError, ValidationFailed
from creditapp.http import forms
from creditapp.http.policies import policy
from creditapp.http.problems import app_error
from creditapp.http.rendering import go
from creditapp.http.sessions import require_account
from creditapp.http.stripe_requests import asks_stripe
from creditapp.http.viewer import notify
from creditapp.payments.auto_topup import consent as topup_consent
from creditapp.payments.auto_topup.consent import Consent
from creditapp.payments.stripe.records import GatewayError
from creditapp.services import get
from creditapp.web.settings import page

SETTINGS_PATH = "/settings#top-up"

pages = Blueprint("topup", __name__)


@pages.post("/settings/top-up")
@policy("user")
@asks_stripe
def agree_to_top_up() -> Response:
    """Store the agreement, and go to Stripe's page to save a card where there is none."""
    member = require_account()
    try:
        url = topup_consent.enable(_consent(), member, new_card=forms.text("card") == "new")
    except (GatewayError, AppError) as error:
        return page(member, app_error(error))
    if url is not None:
        return go(url)
    notify("info", text="Automatic top-up is on.")
    return go(SETTINGS_PATH)


@pages.get("/settings/top-up/back")
@policy("user")
@asks_stripe
def back_from_saving_a_card() -> Response:
    """Return from the page that saves a card; only a saved card switches the top-up on."""
    member = require_account()
    try:
        row = topup_consent.finish_setup(member)
    except GatewayError as error:
        return page(member, app_error(error))
    if row is not None and row.on and row.setup_checkout_id is None:
        notify("info", text=f"Automatic top-up is on, with {row.card}.")
    else:
        notify("info", text="No card was saved. Automatic top-up is unchanged.")
    return go(SETTINGS_PATH)


@pages.post("/settings/top-up/off")
@policy("user")
def stop_top_up() -> Response:
    """Switch the top-up off at once."""
    member = require_account()
    with transaction() as session:
        topup_consent.disable(session, member, now=now())
    notify("info", text="Automatic top-up is off. You will not be charged.")
    return go(SETTINGS_PATH)


def _consent() -> Consent:
    catalog = get(Catalog)
    errors = {}
    threshold_micro = limit_minor = 0
    try:
        threshold_micro = units.micro_from_text(forms.text("threshold", None))
    except units.AmountInvalid as error:
        errors["threshold"] = str(error)
    pack = catalog.pack(forms.text("pack"))
    try:
        currency = pack.currency if pack else catalog.currency
        limit_minor = units.minor_from_text(forms.text("limit", None), currency)
    except units.AmountInvalid as error:
        errors["limit"] = str(error)
    if not forms.ticked("agree"):
        errors["agree"] = "Tick the box to agree to these charges."
    consent = Consent(
        pack_id=forms.text("pack"),
        threshold_micro=threshold_micro,
        limit_minor=limit_minor,
        counts_manual=forms.ticked("counts_manual"),
        catalog_shown=forms.text("catalog"),
    )
    if errors:
        raise ValidationFailed.of_fields(topup_consent.problems_of(consent) | errors)
    return consent
