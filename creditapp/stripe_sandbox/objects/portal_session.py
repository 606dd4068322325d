"""Portal sessions: the page on which a customer manages plan and card."""

from __future__ import annotations

from typing import Any

from creditapp.stripe_sandbox.errors import StripeAPIError, missing_object
from creditapp.stripe_sandbox.ids import new_id
from creditapp.stripe_sandbox.store import Json, Store

FLOWS = ("payment_method_update", "subscription_cancel", "subscription_update")
_SUBSCRIPTION_FLOWS = FLOWS[1:]


def create(store: Store, params: dict[str, Any], page_url: str) -> Json:
    """Store and return a portal session; ``page_url`` is the base URL of its page."""
    customer = store.get("customer", params.get("customer") or "")
    if customer is None:
        if not params.get("customer"):
            raise StripeAPIError(
                "Missing required param: customer.", code="parameter_missing", param="customer"
            )
        raise missing_object("customer", params["customer"], param="customer")
    session_id = new_id("bps_1")
    return store.put(
        {
            "id": session_id,
            "object": "billing_portal.session",
            "after_expiration": None,
            "configuration": _configuration(store),
            "created": store.now,
            "customer": customer["id"],
            "customer_account": None,
            "flow": _flow(store, params.get("flow_data"), customer),
            "livemode": False,
            "locale": params.get("locale"),
            "on_behalf_of": None,
            "return_url": params.get("return_url"),
            "url": f"{page_url.rstrip('/')}/portal/{session_id}",
        }
    )


def _flow(store: Store, params: dict[str, Any] | None, customer: Json) -> Json | None:
    if not params:
        return None
    kind = params["type"]
    for name in _SUBSCRIPTION_FLOWS:
        param = f"flow_data[{name}]"
        if name != kind and name in params:
            raise StripeAPIError(f"You can not pass `{param}` with the flow `{kind}`.", param=param)
        if name == kind and name not in params:
            raise StripeAPIError(
                f"Missing required param: {param}.", code="parameter_missing", param=param
            )
    if kind in _SUBSCRIPTION_FLOWS:
        subscription_id = params[kind]["subscription"]
        subscription = store.get("subscription", subscription_id)
        if subscription is None or subscription["customer"] != customer["id"]:
            raise missing_object(
                "subscription", subscription_id, param=f"flow_data[{kind}][subscription]"
            )
    return {
        "after_completion": _after_completion(
            params.get("after_completion", {"type": "portal_homepage"})
        ),
        "customer_update": None,
        "subscription_cancel": _part(params, "subscription_cancel"),
        "subscription_pause": None,
        "subscription_update": _part(params, "subscription_update"),
        "subscription_update_confirm": None,
        "type": kind,
    }


def _after_completion(params: dict[str, Any]) -> Json:
    if params["type"] == "redirect" and "redirect" not in params:
        param = "flow_data[after_completion][redirect]"
        raise StripeAPIError(
            f"Missing required param: {param}.", code="parameter_missing", param=param
        )
    confirmation = params.get("hosted_confirmation")
    return {
        "hosted_confirmation": {"custom_message": confirmation.get("custom_message")}
        if confirmation
        else None,
        "redirect": params.get("redirect"),
        "type": params["type"],
    }


def _part(params: dict[str, Any], name: str) -> Json | None:
    part = params.get(name)
    if part is None:
        return None
    retention = {"retention": None} if name == "subscription_cancel" else {}
    return {"subscription": part["subscription"], **retention}


def _configuration(store: Store) -> str:
    name = store.setting("portal_configuration", "")
    if not name:
        name = new_id("bpc_1")
        store.set_setting("portal_configuration", name)
    return name
