"""Customer portal, and previews of plan changes."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.stripe_sandbox.sandbox_kit import Sandbox

BACK = "http://shop.test/account"


def portal(sandbox: Sandbox, subscription: stripe.Subscription, flow: Any = None) -> Any:
    """Open the portal of a subscription's customer."""
    given: Any = {"customer": str(subscription.customer), "return_url": BACK}
    if flow:
        given["flow_data"] = flow
    return sandbox.stripe.v1.billing_portal.sessions.create(given)


def now(sandbox: Sandbox, subscription: stripe.Subscription) -> stripe.Subscription:
    return sandbox.stripe.v1.subscriptions.retrieve(subscription.id)


def test_a_plan_is_cancelled_and_kept_in_the_portal(sandbox: Sandbox) -> None:
    subscription = sandbox.subscribe(sandbox.price())
    session = portal(sandbox, subscription)
    assert session.url == f"{sandbox.server.url}/portal/{session.id}"
    path = f"/portal/{session.id}"
    page = sandbox.get(path)
    for words in ("Plan of 1500, $15.00 a month", f'href="{BACK}"', "Cancel the plan", "Invoices"):
        assert words in page.text
    assert "form-action 'self' http://shop.test" in page.headers["Content-Security-Policy"]

    sandbox.press(f"{path}/cancel", subscription=subscription.id)
    # As with Stripe's portal in flexible billing, the date is set and the boolean is not.
    canceled = now(sandbox, subscription)
    ends_at = canceled["items"].data[0].current_period_end
    assert (canceled.cancel_at, canceled.cancel_at_period_end) == (ends_at, False)
    sandbox.stripe.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": False})
    assert now(sandbox, subscription).cancel_at == ends_at
    assert "Keep the plan" in sandbox.get(path).text
    sandbox.press(f"{path}/resume", subscription=subscription.id)
    assert now(sandbox, subscription).cancel_at is None


def test_a_new_card_is_saved_for_the_customer_and_the_plan(sandbox: Sandbox) -> None:
    subscription = sandbox.subscribe(sandbox.price(), "declined-later")
    path = f"/portal/{portal(sandbox, subscription).id}"

    answer = sandbox.press(f"{path}/card", card="declined")
    assert (answer.status_code, "Your card was declined. Nothing" in answer.text) == (422, True)
    assert sandbox.press(f"{path}/card", card="gold").status_code == 422
    sandbox.press(f"{path}/card", card="succeeds")

    method = now(sandbox, subscription).default_payment_method
    customer = sandbox.stripe.v1.customers.retrieve(str(subscription.customer))
    assert customer.invoice_settings
    assert customer.invoice_settings.default_payment_method == method
    assert method != subscription.default_payment_method
    assert sandbox.event_types()[-3:] == [
        "payment_method.attached",
        "customer.updated",
        "customer.subscription.updated",
    ]


def test_the_plan_is_changed_in_the_portal_or_an_error_is_shown(sandbox: Sandbox) -> None:
    subscription = sandbox.subscribe(sandbox.price(1500))
    large = sandbox.price(4500)
    path = f"/portal/{portal(sandbox, subscription).id}"
    sandbox.press(f"{path}/plan", subscription=subscription.id, price=large)
    assert now(sandbox, subscription)["items"].data[0].price.id == large
    assert sandbox.invoices(subscription.id)[-1].billing_reason == "subscription_update"

    sandbox.press(f"{path}/card", card="declined-later")
    answer = sandbox.press(f"{path}/plan", subscription=subscription.id, price=sandbox.price(9000))
    assert answer.status_code == 422
    assert now(sandbox, subscription)["items"].data[0].price.id == large


def test_a_flow_shows_one_part_and_ends_at_the_shops_url(sandbox: Sandbox) -> None:
    subscription = sandbox.subscribe(sandbox.price())
    flow = {
        "type": "subscription_cancel",
        "subscription_cancel": {"subscription": subscription.id},
        "after_completion": {"type": "redirect", "redirect": {"return_url": f"{BACK}?gone=1"}},
    }
    path = f"/portal/{portal(sandbox, subscription, flow).id}"
    page = sandbox.get(path).text
    assert "Cancel the plan" in page
    assert "Change the card" not in page
    answer = sandbox.press(f"{path}/cancel", subscription=subscription.id)
    assert answer.location == f"{BACK}?gone=1"

    card = {
        "type": "payment_method_update",
        "after_completion": {
            "type": "hosted_confirmation",
            "hosted_confirmation": {"custom_message": "Your card is saved."},
        },
    }
    path = f"/portal/{portal(sandbox, subscription, card).id}"
    assert "Cancel the plan" not in sandbox.get(path).text
    answer = sandbox.press(f"{path}/card", card="succeeds")
    assert "Your card is saved." in sandbox.get(answer.location).text
    update = {
        "type": "subscription_update",
        "subscription_update": {"subscription": subscription.id},
    }
    path = f"/portal/{portal(sandbox, subscription, update).id}"
    assert "Change the plan" in sandbox.get(path).text


def test_a_customer_cannot_change_the_plan_of_another(sandbox: Sandbox) -> None:
    price = sandbox.price()
    alice = sandbox.subscribe(price)
    bob = sandbox.subscribe(price, customer_email="bob@x.test")
    path = f"/portal/{portal(sandbox, bob).id}"
    assert sandbox.press(f"{path}/cancel", subscription=alice.id).status_code == 404
    assert sandbox.app.test_client().post(f"{path}/cancel").status_code == 403
    assert sandbox.get("/portal/bps_nobody").status_code == 404
    assert not now(sandbox, alice).cancel_at_period_end
    flow = {"type": "subscription_cancel", "subscription_cancel": {"subscription": alice.id}}
    with pytest.raises(stripe.InvalidRequestError, match="No such subscription"):
        portal(sandbox, bob, flow)
    with pytest.raises(stripe.InvalidRequestError, match="Missing required param"):
        portal(sandbox, bob, {"type": "subscription_cancel"})


def test_an_invoice_has_a_page(sandbox: Sandbox) -> None:
    subscription = sandbox.subscribe(sandbox.price())
    (invoice,) = sandbox.invoices(subscription.id)
    assert invoice.hosted_invoice_url == f"{sandbox.server.url}/invoices/{invoice.id}"
    page = sandbox.get(f"/invoices/{invoice.id}").text
    assert "1 × Plan of 1500 (at $15.00 / month)" in page


@pytest.mark.parametrize("interval", ["month", "year"])
def test_a_preview_shows_the_amount_of_the_change(sandbox: Sandbox, interval: str) -> None:
    subscription = sandbox.subscribe(sandbox.price(1500))
    item = subscription["items"].data[0]
    sandbox.wait(days=10)
    date = item.current_period_start + 10 * 86_400
    change: Any = {
        "items": [{"id": item.id, "price": sandbox.price(4500, interval)}],
        "proration_behavior": "always_invoice",
        "proration_date": date,
    }
    told = len(sandbox.event_types())
    shown = sandbox.stripe.v1.invoices.create_preview(
        {
            "customer": str(subscription.customer),
            "subscription": subscription.id,
            "subscription_details": change,
        }
    )
    assert now(sandbox, subscription).to_dict() == subscription.to_dict()
    assert len(sandbox.event_types()) == told
    sandbox.stripe.v1.subscriptions.update(subscription.id, change)
    bill = sandbox.invoices(subscription.id)[-1]
    assert shown.amount_due == bill.amount_paid > 0
    assert [each.amount for each in shown.lines.data] == [each.amount for each in bill.lines.data]


def test_a_preview_without_a_change_is_the_next_invoice(sandbox: Sandbox) -> None:
    subscription = sandbox.subscribe(sandbox.price(1500))
    customer = str(subscription.customer)
    preview = sandbox.stripe.v1.invoices.create_preview
    shown = preview({"customer": customer})
    assert (shown.billing_reason, shown.amount_due) == ("upcoming", 1500)
    item = subscription["items"].data[0].id
    cheaper: Any = {
        "subscription": subscription.id,
        "subscription_details": {
            "items": [{"id": item, "price": sandbox.price(900)}],
            "proration_behavior": "none",
        },
    }
    assert preview(cheaper).amount_due == 900
    bad: Any = {
        "subscription": subscription.id,
        "subscription_details": {"items": [{"id": "si_no", "price": "x"}]},
    }
    with pytest.raises(stripe.InvalidRequestError) as refused:
        preview(bad)
    assert refused.value.param == "subscription_details[items][0][id]"
    sandbox.stripe.v1.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    with pytest.raises(stripe.InvalidRequestError) as none:
        preview({"customer": customer})
    assert none.value.code == "invoice_upcoming_none"
