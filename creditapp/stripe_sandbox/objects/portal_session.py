"""Portal sessions: the page on which customers look after their own plan and card."""

from __future__ import annotations

from typing import Any

from creditapp.stripe_sandbox.errors import Refused, missing_object
from creditapp.stripe_sandbox.ids import new_id
from creditapp.stripe_sandbox.store import Books, Json

FLOWS = ("payment_method_update", "subscription_cancel", "subscription_update")
_OF_SUBSCRIPTION = FLOWS[1:]


def create(books: Books, given: dict[str, Any], page_url: str) -> Json:
    """Store and return a portal session; its page is below ``page_url``."""
    customer = books.get("customer", given.get("customer") or "")
    if customer is None:
        if not given.get("customer"):
            raise Refused(
                "Missing required param: customer.", code="parameter_missing", param="customer"
            )
        raise missing_object("customer", given["customer"], param="customer")
    session_id = new_id("bps_1")
    return books.put(
        {
            "id": session_id,
            "object": "billing_portal.session",
            "after_expiration": None,
            "configuration": _configuration(books),
            "created": books.now,
            "customer": customer["id"],
            "customer_account": None,
            "flow": _flow(books, given.get("flow_data"), customer),
            "livemode": False,
            "locale": given.get("locale"),
            "on_behalf_of": None,
            "return_url": given.get("return_url"),
            "url": f"{page_url.rstrip('/')}/portal/{session_id}",
        }
    )


def _flow(books: Books, given: dict[str, Any] | None, customer: Json) -> Json | None:
    if not given:
        return None
    kind = given["type"]
    for name in _OF_SUBSCRIPTION:
        param = f"flow_data[{name}]"
        if name != kind and name in given:
            raise Refused(f"You can not pass `{param}` with the flow `{kind}`.", param=param)
        if name == kind and name not in given:
            raise Refused(
                f"Missing required param: {param}.", code="parameter_missing", param=param
            )
    if kind in _OF_SUBSCRIPTION:
        named = given[kind]["subscription"]
        subscription = books.get("subscription", named)
        if subscription is None or subscription["customer"] != customer["id"]:
            raise missing_object("subscription", named, param=f"flow_data[{kind}][subscription]")
    return {
        "after_completion": _after(given.get("after_completion", {"type": "portal_homepage"})),
        "customer_update": None,
        "subscription_cancel": _part(given, "subscription_cancel"),
        "subscription_pause": None,
        "subscription_update": _part(given, "subscription_update"),
        "subscription_update_confirm": None,
        "type": kind,
    }


def _after(given: dict[str, Any]) -> Json:
    if given["type"] == "redirect" and "redirect" not in given:
        param = "flow_data[after_completion][redirect]"
        raise Refused(f"Missing required param: {param}.", code="parameter_missing", param=param)
    confirmation = given.get("hosted_confirmation")
    return {
        "hosted_confirmation": {"custom_message": confirmation.get("custom_message")}
        if confirmation
        else None,
        "redirect": given.get("redirect"),
        "type": given["type"],
    }


def _part(given: dict[str, Any], name: str) -> Json | None:
    part = given.get(name)
    if part is None:
        return None
    retention = {"retention": None} if name == "subscription_cancel" else {}
    return {"subscription": part["subscription"], **retention}


def _configuration(books: Books) -> str:
    name = books.setting("portal_configuration", "")
    if not name:
        name = new_id("bpc_1")
        books.set_setting("portal_configuration", name)
    return name
