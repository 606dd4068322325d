"""The sandbox's parameters and responses match the types of Stripe's SDK."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import stripe

from creditapp.payments.stripe import connection
from creditapp.stripe_sandbox import parameters as p
from creditapp.stripe_sandbox.objects import event
from creditapp.stripe_sandbox.routes import ROUTES, Route
from creditapp.stripe_sandbox.schemas import Schema
from tests.stripe_sandbox.contract import (
    faults_of_answer,
    faults_of_error,
    faults_of_schema,
    typed_dict_of,
)
from tests.stripe_sandbox.sandbox_kit import KEY, Sandbox


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_a_schema_allows_only_what_stripe_allows(route: Route) -> None:
    assert faults_of_schema(route.schema, typed_dict_of(route.method, route.path)) == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"payment_method_types": p.Array(of=p.Text())}, "unknown to Stripe"),
        ({"coupon": p.Text()}, "unknown to Stripe"),
        ({"ui_mode": p.Choice(of=("hosted",))}, "no words of Stripe's"),
        ({"expires_at": p.Text()}, "Text against"),
        ({"allow_promotion_codes": p.Integer()}, "Integer against"),
        ({"success_url": p.Object(of={})}, "Object against"),
        ({"adaptive_pricing": p.Object(of={"on": p.Boolean()})}, "adaptive_pricing.on: unknown"),
        ({"line_items": p.Array(of=p.Object(of={"amount": p.Integer()}))}, "[].amount: unknown"),
        (
            {"line_items": p.Array(of=p.Object(of={"price_data": p.Object(of={})}))},
            "price_data.currency: Stripe requires it",
        ),
        ({"expires_at": p.Integer(unsettable=True)}, "does not let it be unset"),
    ],
)
def test_the_schema_checker_finds_each_kind_of_fault(change: Schema, fault: str) -> None:
    params = typed_dict_of("POST", "/v1/checkout/sessions")
    assert any(fault in message for message in faults_of_schema(change, params))


def test_the_response_checker_finds_each_kind_of_fault(sandbox: Sandbox) -> None:
    session = sandbox.open_checkout()
    sandbox.pay(session.id)
    path = f"/v1/checkout/sessions/{session.id}"
    session_json = _get(
        sandbox, path + "?expand[]=payment_intent.latest_charge&expand[]=line_items"
    )
    events = _get(sandbox, "/v1/events")
    assert faults_of_answer(session_json) == []
    assert faults_of_answer(events) == []

    def fault(change: Any, of: Any = session_json) -> str:
        changed = copy.deepcopy(of)
        change(changed)
        return "\n".join(faults_of_answer(changed))

    charge = "checkout.session.payment_intent.latest_charge"
    intent = session_json["payment_intent"]
    assert intent["latest_charge"]["id"]
    assert fault(lambda s: s.update(colour="red")) == "checkout.session.colour: unknown field"
    assert fault(lambda s: s.pop("metadata")) == "checkout.session.metadata: missing"
    assert "is not int" in fault(lambda s: s.update(amount_total="1499"))
    assert "is not int" in fault(lambda s: s.update(amount_total=True))
    assert "is none of" in fault(lambda s: s.update(status="closed"))
    assert "not an object" in fault(lambda s: s.update(automatic_tax="off"))
    assert f"{charge}.paid" in fault(lambda s: s["payment_intent"]["latest_charge"].pop("paid"))
    assert "unknown field" in fault(lambda s: s["line_items"]["data"][0].update(x=1))
    assert "has_more" in fault(lambda s: s["line_items"].pop("has_more"))
    assert "none of" in fault(lambda page: page["data"][0].update(type="checkout.done"), events)
    assert "missing" in fault(lambda page: page["data"][0]["data"]["object"].pop("id"), events)
    assert "Customer" in fault(lambda s: s["payment_intent"].update(object="customer"))


@dataclass(frozen=True)
class BadRequest:
    """One request that Stripe refuses, and the parameter named in the error."""

    fields: dict[str, str]
    param: str
    fault: str


def _bad_values(
    parameter: p.Parameter, name: str, siblings: dict[str, str]
) -> Iterator[BadRequest]:
    """Yield every wrong type and value of one parameter and of those inside it.

    ``siblings`` are valid values of the other required parameters.
    """
    single = p.Integer | p.Percent | p.Boolean | p.Choice | p.Url | p.TimestampRange
    if isinstance(parameter, single):
        yield BadRequest({**siblings, name: "no such value"}, name, "wrong value")
    if isinstance(parameter, p.Text):
        too_long = "https://" + "x" * parameter.length_max
        yield BadRequest({**siblings, name: too_long}, name, "too long")
    if isinstance(parameter, p.Integer):
        for bound, step in ((parameter.minimum, -1), (parameter.maximum, 1)):
            if bound is not None:
                yield BadRequest({**siblings, name: str(bound + step)}, name, "out of bounds")
    if isinstance(parameter, p.Object | p.Array | p.Metadata):
        yield BadRequest({**siblings, name: "text"}, name, "text for an object or a list")
    else:
        inner = "no_such" if isinstance(parameter, p.TimestampRange) else "inner"
        yield BadRequest({**siblings, f"{name}[{inner}]": "x"}, name, "an object for a plain value")
    if isinstance(parameter, p.Object):
        unknown = f"{name}[no_such]"
        yield BadRequest({**siblings, unknown: "x"}, unknown, "unknown parameter")
        for key, nested in parameter.of.items():
            valid = siblings | _required(parameter.of, but=key, name=f"{name}[%s]")
            yield from _bad_values(nested, f"{name}[{key}]", valid)
    if isinstance(parameter, p.Array):
        yield from _bad_values(parameter.of, f"{name}[0]", siblings)
    if not parameter.unsettable:
        yield BadRequest({**siblings, name: ""}, name, "empty")


def _required(schema: Mapping[str, p.Parameter], *, but: str, name: str = "%s") -> dict[str, str]:
    valid: dict[str, str] = {}
    for key, parameter in schema.items():
        if parameter.required and key != but:
            valid |= _valid(parameter, name % key)
    return valid


def _valid(parameter: p.Parameter, name: str) -> dict[str, str]:
    """Return a valid value of one parameter, or of the required parameters inside it."""
    if isinstance(parameter, p.Object):
        return _required(parameter.of, but="", name=f"{name}[%s]")
    if isinstance(parameter, p.Choice):
        return {name: parameter.of[0]}
    if isinstance(parameter, p.Integer):
        return {name: str(parameter.minimum or 1)}
    return {name: "https://x.test/" if isinstance(parameter, p.Url) else "usd"}


def _missing(schema: Mapping[str, p.Parameter], name: str = "%s") -> Iterator[BadRequest]:
    """Yield requests without one required parameter, at the top level or nested."""
    for key, parameter in schema.items():
        if parameter.required:
            yield BadRequest(_required(schema, but=key, name=name), name % key, "missing")
        inner = parameter.of if isinstance(parameter, p.Array) else parameter
        if isinstance(inner, p.Object) and any(k.required for k in inner.of.values()):
            nested_name = name % key + ("[0]" if isinstance(parameter, p.Array) else "")
            for bad in _missing(inner.of, f"{nested_name}[%s]"):
                if bad.fields:
                    siblings = _required(schema, but=key, name=name)
                    yield BadRequest(siblings | bad.fields, bad.param, "missing")


def _bad_requests(schema: Mapping[str, p.Parameter]) -> Iterator[BadRequest]:
    yield BadRequest({"no_such": "x"}, "no_such", "unknown parameter")
    yield from _missing(schema)
    for name, parameter in schema.items():
        yield from _bad_values(parameter, name, _required(schema, but=name))


@pytest.fixture(scope="module")
def api_client(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A client of a sandbox for requests that change nothing."""
    from creditapp.stripe_sandbox import create_sandbox

    folder = tmp_path_factory.mktemp("sandbox")
    return create_sandbox(
        folder / "sandbox.sqlite", public_url="http://x", webhook_url=None, webhook_secret=""
    ).test_client()


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_each_route_refuses_every_request_that_stripe_refuses(api_client: Any, method: str) -> None:
    headers = {"Authorization": f"Bearer {KEY}"}
    place = "data" if method == "POST" else "query_string"
    for route in ROUTES:
        if route.method != method:
            continue
        path = route.path.replace("<id>", "some_id")
        for bad in _bad_requests(route.schema):
            case = f"{method} {route.path} {bad.param} {bad.fault}"
            answer = api_client.open(path, method=method, headers=headers, **{place: bad.fields})
            error = answer.get_json()["error"]
            assert answer.status_code == 400, (case, error)
            assert error["type"] == "invalid_request_error", case
            assert faults_of_error(answer.get_json()) == [], case
            assert error["param"].startswith(bad.param), (case, error)


def test_sdk_gateway_and_sandbox_use_one_api_version() -> None:
    assert stripe.api_version == connection.API_VERSION == event.API_VERSION


def _get(sandbox: Sandbox, path: str) -> dict[str, Any]:
    answer = sandbox.app.test_client().get(path, headers={"Authorization": f"Bearer {KEY}"})
    parsed: dict[str, Any] = answer.get_json()
    return parsed
