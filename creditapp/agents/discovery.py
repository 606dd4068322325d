"""Discovery: the payments that this site takes from programs, as documents name them.

Advice, as the draft has it: the 402 alone says what is paid. Source: draft-payment-discovery-00.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from creditapp.agents.rails import Rails
from creditapp.agents.rails.evm import UNIT, EvmRail
from creditapp.agents.rails.mpp import MppRail
from creditapp.catalog import Catalog
from creditapp.services import get
from creditapp.units import money_text

INTENT: Final = "charge"


def payment_info(sold: Literal["credits", "image"]) -> dict[str, Any] | None:
    """Return ``x-payment-info`` of a route that sells; None without a rail of signed payments."""
    rail = _signed_rail()
    if rail is None:
        return None
    agents = get(Catalog).agents
    price = money_text(agents.price_minor, agents.currency)
    per = "an image" if sold == "image" else "a credit, times count"
    offer = {
        "intent": INTENT,
        "method": "evm",
        "amount": None if sold == "credits" else str(agents.total_minor(1) * UNIT),
        "currency": rail.chain.asset.address,
        "description": f"{price} {per}, in USDC on {rail.chain.asset.network}; by MPP or x402, "
        "as the 402 has it.",
    }
    return {"offers": [offer]}


def payment_methods() -> dict[str, Any] | None:
    """Return the content of ``/.well-known/payment``; None without MPP."""
    rail = next((rail for rail in get(Rails) if isinstance(rail, MppRail)), None)
    if rail is None:
        return None
    method = {"intents": [INTENT], "assets": [rail.chain.asset.address]}
    return {"version": 1, "realm": rail.chain.realm, "methods": {"evm": method}}


def rail_names() -> list[str]:
    """Return the names of this site's rails."""
    return [rail.name for rail in get(Rails)]


def _signed_rail() -> EvmRail | None:
    """Return a rail of signed payments in dollars, or None."""
    if get(Catalog).agents.currency != "USD":
        return None
    return next((rail for rail in get(Rails) if isinstance(rail, EvmRail)), None)
