"""``/api/billing/auto-topup``: a member's automatic top-up and its limits.

Keys with the scope ``read`` read it. Only a member who is logged in changes it: a program must not
be able to agree to charges of the member's card.
"""

from __future__ import annotations

from typing import Annotated, Literal

from flask import Blueprint, Response
from pydantic import Field, StrictBool, StrictInt

from creditapp.api.requests import parse_body
from creditapp.catalog import Catalog
from creditapp.clock import now
from creditapp.config import Settings
from creditapp.db import reading, transaction
from creditapp.errors import Conflict, ValidationFailed
from creditapp.http.documented import Documented
from creditapp.http.json_provider import json_response, read_json
from creditapp.http.policies import policy
from creditapp.http.schemas import Credits, CreditsInput, Moment, RequestSchema, Schema
from creditapp.http.sessions import require_account, require_member
from creditapp.http.stripe_requests import asks_stripe
from creditapp.payments.auto_topup import consent as topup_consent
from creditapp.payments.auto_topup import limits as topup_limits
from creditapp.payments.auto_topup.consent import CONSENT_VERSION, Consent
from creditapp.payments.auto_topup.models import AutoTopup
from creditapp.payments.stripe.client import StripeGateway
from creditapp.services import get
from creditapp.units import MINOR_MAX

routes = Blueprint("auto_topup", __name__)

_MEMBERS = {"pack": "packId", "limit": "limitMinor"}
"""JSON names of the fields that a consent is refused for, where they differ."""


class AutoTopupOn(RequestSchema):
    """Switches it on, or changes its limits; the member has read the terms and the pack's price."""

    enabled: Literal[True]
    pack_id: str = Field(max_length=64, description="The pack that each charge buys.")
    threshold: CreditsInput = Field(description="A balance below this is topped up.")
    limit_minor: Annotated[StrictInt, Field(ge=1, le=MINOR_MAX)] = Field(
        description="The most that may be charged in a calendar month (UTC), in minor units."
    )
    counts_manual: StrictBool = Field(
        False, description="Whether packs that the member buys count against the limit too."
    )
    new_card: StrictBool = Field(False, description="Save another card in place of the saved one.")
    terms_version: str = Field(description="The termsVersion that the member agreed to.")
    catalog: str = Field(min_length=1, description="The catalog whose prices the member saw.")


class AutoTopupOff(RequestSchema):
    """Switches it off at once."""

    enabled: Literal[False]


class Agreement(Schema):
    """The limits that the member agreed to; at another price of the pack nothing is charged."""

    pack_id: str
    price_minor: int
    currency: str
    credits_micro: Credits
    threshold_micro: Credits
    limit_minor: int
    counts_manual: bool
    consent_version: str = Field(alias="termsVersion")
    consented_at: Moment


class SavedCard(Schema):
    """The card that is charged."""

    brand: str | None
    last4: str | None


class AutoTopupAnswer(Schema):
    """The automatic top-up, what this month has charged, and what a member agrees to next."""

    enabled: bool
    state: Literal["off", "card_needed", "on", "stopped"]
    stopped_reason: str | None = Field(
        description="member, declined, authentication, card_removed, pack (its price changed) "
        "or review."
    )
    agreement: Agreement | None
    card: SavedCard | None
    charged_minor: int = Field(description="What counts against the limit of this month.")
    resets_at: Moment | None = Field(description="When the limit starts over.")
    terms_version: str
    terms_url: str
    catalog: str
    setup_url: str | None = Field(
        description="The page that saves a card, in answers of PUT where one is needed."
    )


@routes.get("/billing/auto-topup")
@policy("user", scope="read")
@Documented("The automatic top-up and its limits", AutoTopupAnswer)
def show_auto_topup() -> Response:
    """Return the member's automatic top-up."""
    return json_response(_answer(require_member().id))


@routes.put("/billing/auto-topup")
@policy("user")
@asks_stripe
@Documented(
    "Switch the automatic top-up on or off",
    AutoTopupAnswer,
    body=AutoTopupOn | AutoTopupOff,
    refuses=[Conflict],
)
def change_auto_topup() -> Response:
    """Store the member's consent, or withdraw it."""
    member, setup_url = require_account(), None
    if read_json().get("enabled") is False:
        with transaction() as session:
            topup_consent.disable(session, member, now=now())
    else:
        body = parse_body(AutoTopupOn)
        if body.terms_version != CONSENT_VERSION:
            raise Conflict(f"The terms are those of version {CONSENT_VERSION}; agree to these.")
        setup_url = _enable(body)
    return json_response(_answer(member.id, setup_url=setup_url))


def _enable(body: AutoTopupOn) -> str | None:
    """Store the consent; return the page that saves a card, where one is needed."""
    terms = Consent(
        pack_id=body.pack_id,
        threshold_micro=body.threshold,
        limit_minor=body.limit_minor,
        counts_manual=body.counts_manual,
        catalog_shown=body.catalog,
    )
    try:
        return topup_consent.enable(terms, require_account(), new_card=body.new_card)
    except ValidationFailed as refusal:
        raise refusal.renamed(_MEMBERS) from None


def _answer(user_id: str, *, setup_url: str | None = None) -> AutoTopupAnswer:
    session, moment = reading(), now()
    row = topup_consent.find_auto_topup(session, user_id)
    if row is not None and row.livemode != get(StripeGateway).livemode:
        row = None  # its card and customer do not exist in this mode
    usage = topup_limits.monthly_usage(session, row, now=moment) if row else None
    return AutoTopupAnswer(
        enabled=row is not None and row.on,
        state=_state(row),
        stopped_reason=row.stopped_reason if row else None,
        agreement=Agreement.model_validate(row) if row else None,
        card=SavedCard(brand=row.card_brand, last4=row.card_last4) if row and row.card_id else None,
        charged_minor=usage.charged_minor if usage else 0,
        resets_at=topup_limits.start_of_next_month(moment) if row else None,
        terms_version=CONSENT_VERSION,
        terms_url=f"{get(Settings).site_url}/settings#top-up",
        catalog=get(Catalog).digest,
        setup_url=setup_url,
    )


def _state(row: AutoTopup | None) -> Literal["off", "card_needed", "on", "stopped"]:
    if row is None:
        return "off"
    if row.on:
        return "on"
    return "stopped" if row.stopped_at and row.setup_checkout_id is None else "card_needed"
