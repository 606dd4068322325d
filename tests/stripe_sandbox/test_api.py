"""API behavior: authentication, idempotency, pagination, expansion and errors."""

from __future__ import annotations

import concurrent.futures
from pathlib import Path
from typing import Any

import pytest
import stripe

from creditapp.stripe_sandbox import create_sandbox
from tests.stripe_sandbox.sandbox_kit import KEY, Sandbox

CUSTOMERS = "/v1/customers"


def call(sandbox: Sandbox, method: str, path: str, key: str = KEY, **more: Any) -> Any:
    """Send a plain request; more headers go into ``headers``."""
    headers = {"Authorization": f"Bearer {key}", **more.pop("headers", {})}
    return sandbox.app.test_client().open(path, method=method, headers=headers, **more)


@pytest.mark.parametrize(
    "key", ["", "sk_live_0123456789", "rk_live_0123456789", "pk_test_1", "whatever", "sk_test_"]
)
def test_only_a_test_key_is_accepted(sandbox: Sandbox, key: str) -> None:
    answer = call(sandbox, "GET", CUSTOMERS, key)
    assert answer.status_code == 401
    assert key[8:] not in answer.text or not key[8:]
    with pytest.raises(stripe.AuthenticationError):
        stripe.StripeClient(
            key or "x", base_addresses={"api": sandbox.server.url}
        ).v1.customers.list()


def test_a_sandbox_with_one_key_refuses_others(tmp_path: Path) -> None:
    app = create_sandbox(
        tmp_path / "s.sqlite",
        public_url="http://x",
        webhook_url=None,
        webhook_secret="",
        secret_key="sk_test_mine",  # opens nothing
    )
    browser = app.test_client()
    for key, status in (("sk_test_mine", 200), ("sk_test_other", 401)):
        answer = browser.get(CUSTOMERS, headers={"Authorization": f"Bearer {key}"})
        assert answer.status_code == status


@pytest.mark.parametrize("bad", [{"secret_key": "sk_live_1"}, {"webhook_url": "http://shop"}])
def test_a_sandbox_cannot_be_created_with_a_live_key_or_an_empty_secret(
    tmp_path: Path, bad: dict[str, str]
) -> None:
    given: dict[str, Any] = {"public_url": "http://x", "webhook_url": None, "webhook_secret": ""}
    with pytest.raises(ValueError, match=r"secret|sk_test_"):
        create_sandbox(tmp_path / "s.sqlite", **{**given, **bad})


def test_another_api_version_is_refused(sandbox: Sandbox) -> None:
    answer = call(sandbox, "GET", CUSTOMERS, headers={"Stripe-Version": "2020-08-27"})
    assert answer.status_code == 400
    assert "Invalid Stripe API version" in answer.get_json()["error"]["message"]


def test_a_json_body_is_refused(sandbox: Sandbox) -> None:
    assert call(sandbox, "POST", CUSTOMERS, json={"email": "a@x.test"}).status_code == 400


def test_an_unknown_url_is_refused_in_stripes_format(sandbox: Sandbox) -> None:
    answer = call(sandbox, "GET", "/v1/payouts")
    assert answer.status_code == 404
    assert "Unrecognized request URL (GET: /v1/payouts)" in answer.get_json()["error"]["message"]
    assert call(sandbox, "DELETE", "/v1/customers/cus_1").status_code == 404


def test_an_unknown_id_is_404_in_a_path_and_400_in_a_parameter(sandbox: Sandbox) -> None:
    with pytest.raises(stripe.InvalidRequestError) as in_path:
        sandbox.stripe.v1.checkout.sessions.retrieve("cs_test_nobody")
    assert (in_path.value.http_status, in_path.value.code) == (404, "resource_missing")
    with pytest.raises(stripe.InvalidRequestError) as in_parameter:
        sandbox.open_checkout(customer="cus_nobody")
    assert (in_parameter.value.http_status, in_parameter.value.param) == (400, "customer")
    with pytest.raises(stripe.InvalidRequestError, match="No such"):
        sandbox.stripe.v1.customers.list({"starting_after": "cus_nobody"})
    assert "There is nothing here" in sandbox.get("/pay/cs_test_nobody").text


def test_a_repeated_idempotency_key_replays_the_response_and_runs_once(sandbox: Sandbox) -> None:
    options: Any = {"headers": {"Idempotency-Key": "customer:1:create:1"}}
    first = call(sandbox, "POST", CUSTOMERS, data={"email": "a@x.test"}, **options)
    second = call(sandbox, "POST", CUSTOMERS, data={"email": "a@x.test"}, **options)
    assert first.get_json() == second.get_json()
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"
    assert first.headers["Request-Id"] != second.headers["Request-Id"]
    assert len(sandbox.stripe.v1.customers.list().data) == 1
    (told,) = sandbox.stripe.v1.events.list().data
    assert told.request
    assert told.request.idempotency_key == "customer:1:create:1"
    assert told.request.id == first.headers["Request-Id"]


def test_an_idempotency_key_with_another_body_or_path_is_refused(sandbox: Sandbox) -> None:
    options: stripe.RequestOptions = {"idempotency_key": "customer:1:create:1"}
    customers = sandbox.stripe.v1.customers
    customers.create({"email": "a@x.test"}, options)
    with pytest.raises(stripe.IdempotencyError, match="same parameters"):
        customers.create({"email": "b@x.test"}, options)
    with pytest.raises(stripe.IdempotencyError, match="same endpoint"):
        sandbox.stripe.v1.products.create({"name": "Pro"}, options)
    assert len(customers.list().data) == 1


def test_an_idempotency_key_is_used_up_by_a_handler_error_but_not_by_a_parameter_error(
    sandbox: Sandbox,
) -> None:
    options: Any = {"headers": {"Idempotency-Key": "refund:1"}}
    malformed = call(sandbox, "POST", "/v1/refunds", data={"amount": "x"}, **options)
    refused = call(sandbox, "POST", "/v1/refunds", data={"charge": "ch_nobody"}, **options)
    again = call(sandbox, "POST", "/v1/refunds", data={"charge": "ch_nobody"}, **options)
    assert (malformed.status_code, refused.status_code, again.status_code) == (400, 400, 400)
    assert "Idempotent-Replayed" not in refused.headers
    assert again.headers["Idempotent-Replayed"] == "true"


def test_a_refused_request_stores_nothing(sandbox: Sandbox) -> None:
    good = {"currency": "usd", "unit_amount": 1499, "product_data": {"name": "Creator"}}
    with pytest.raises(stripe.InvalidRequestError):
        sandbox.open_checkout(
            line_items=[{"quantity": 1, "price_data": good}, {"quantity": 1, "price": "price_no"}]
        )
    assert sandbox.stripe.v1.products.list().data == []
    assert sandbox.stripe.v1.checkout.sessions.list().data == []


def test_sixteen_threads_with_one_key_create_one_customer(sandbox: Sandbox) -> None:
    def create(_: int) -> str:
        made = sandbox.stripe.v1.customers.create(
            {"email": "a@x.test"}, {"idempotency_key": "customer:1:create:1"}
        )
        return made.id

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(create, range(32)))) == 1
    assert sandbox.event_types() == ["customer.created"]


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"line_items": []}, "line_items"),
        ({"mode": "setup"}, "line_items"),
        ({"mode": "subscription"}, "payment_intent_data"),
        ({"customer_update": {"name": "auto"}}, "customer_update"),
        ({"expires_at": 1}, "expires_at"),
        ({"metadata": {"k" * 41: "x"}}, "metadata"),
        ({"metadata": {"k": "x" * 501}}, "metadata"),
        ({"metadata": {f"k{n}": "x" for n in range(51)}}, "metadata"),
        ({"line_items": [{"quantity": 1}]}, "line_items[0][price]"),
        ({"line_items": [{"price": "price_no", "quantity": 1}]}, "line_items[0][price]"),
        (
            {"line_items": [{"quantity": 1, "price_data": {"currency": "usd"}}]},
            "line_items[0][price_data][product]",
        ),
        (
            {
                "line_items": [
                    {"quantity": 1, "price_data": {"currency": "usd", "product": "prod_no"}}
                ]
            },
            "line_items[0][price_data][product]",
        ),
    ],
)
def test_a_checkout_with_conflicting_parameters_is_refused(
    sandbox: Sandbox, change: dict[str, Any], param: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        sandbox.open_checkout(**change)
    assert refused.value.http_status == 400
    assert str(refused.value.param).startswith(param)


@pytest.mark.parametrize(
    ("currency", "amount", "code"),
    [
        *[("usd", 49, "amount_too_small"), ("gbp", 29, "amount_too_small")],
        *[("czk", 1499, "amount_too_small"), ("huf", 17499, "amount_too_small")],
        *[("isk", 5050, "parameter_invalid_integer"), ("ugx", 501, "parameter_invalid_integer")],
        *[("kwd", 5124, "parameter_invalid_integer"), ("usd", 10**8, "amount_too_large")],
        ("xau", 500, None),
    ],
)
def test_an_amount_that_its_currency_cannot_have_is_refused(
    sandbox: Sandbox, currency: str, amount: int, code: str | None
) -> None:
    odd = {"currency": currency, "unit_amount": amount, "product_data": {"name": "Crumb"}}
    with pytest.raises(stripe.InvalidRequestError) as refused:
        sandbox.open_checkout(line_items=[{"quantity": 1, "price_data": odd}])
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("currency", "amount"),
    [("gbp", 30), ("isk", 500), ("kwd", 5120), ("twd", 80045), ("idr", 10**11), ("jpy", 50)],
)
def test_the_amounts_that_a_currency_has_are_taken(
    sandbox: Sandbox, currency: str, amount: int
) -> None:
    price = {"currency": currency, "unit_amount": amount, "product_data": {"name": "Crumb"}}
    session = sandbox.open_checkout(line_items=[{"quantity": 1, "price_data": price}])
    assert (session.currency, session.amount_total) == (currency, amount)


def test_lists_are_paged_by_cursor_and_filtered(sandbox: Sandbox) -> None:
    customers = sandbox.stripe.v1.customers
    made = [customers.create({"email": f"{n}@x.test"}).id for n in range(7)]
    newest_first = made[::-1]
    first = customers.list({"limit": 3})
    assert [each.id for each in first.data] == newest_first[:3]
    assert first.has_more
    back = customers.list({"limit": 2, "ending_before": newest_first[3]})
    assert [each.id for each in back.data] == newest_first[1:3]
    assert [each.id for each in first.auto_paging_iter()] == newest_first
    assert [each.id for each in customers.list({"email": "4@x.test"}).data] == [made[4]]
    now = customers.retrieve(made[0]).created
    assert customers.list({"created": {"gt": now + 60}}).data == []
    assert len(customers.list({"created": {"gte": now - 60, "lt": now + 60}}).data) == 7


def test_a_customer_is_updated_and_its_metadata_merged(sandbox: Sandbox) -> None:
    customers = sandbox.stripe.v1.customers
    alice = customers.create({"email": "a@x.test", "metadata": {"user_id": "u1", "old": "1"}})
    customers.update(alice.id, {"name": "Alice", "metadata": {"old": "", "new": "2"}})
    now = customers.retrieve(alice.id)
    assert (now.name, now.email) == ("Alice", "a@x.test")
    assert now.metadata
    assert now.metadata.to_dict() == {"user_id": "u1", "new": "2"}
    customers.update(alice.id, {"metadata": ""})
    changed = customers.retrieve(alice.id)
    assert changed.metadata is not None
    assert changed.metadata.to_dict() == {}
    assert sandbox.event_types() == ["customer.created", "customer.updated", "customer.updated"]


@pytest.mark.parametrize("path", ["colour", "metadata", "payment_intent.colour", "id"])
def test_an_unexpandable_property_is_refused(sandbox: Sandbox, path: str) -> None:
    session = sandbox.open_checkout()
    sandbox.pay(session.id)
    with pytest.raises(stripe.InvalidRequestError, match="cannot be expanded"):
        sandbox.stripe.v1.checkout.sessions.retrieve(session.id, {"expand": [path]})


def test_a_list_expands_its_data(sandbox: Sandbox) -> None:
    session = sandbox.open_checkout()
    sandbox.pay(session.id)
    shown = sandbox.stripe.v1.checkout.sessions.list({"expand": ["data.payment_intent"]}).data
    intent: Any = shown[0].payment_intent
    assert intent.amount == 1499
    with pytest.raises(stripe.InvalidRequestError, match=r"try expanding 'data\.payment_intent'"):
        sandbox.stripe.v1.checkout.sessions.list({"expand": ["payment_intent"]})
    items = sandbox.stripe.v1.checkout.sessions.line_items.list(session.id).data
    assert [each.description for each in items] == ["Creator"]
